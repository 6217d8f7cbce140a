/**
 * Stands for training: one step of a small recurrent network with gates (a minimal gated unit, Zhou et al., 2016, with a
 * diagonal recurrence) that reads an image pixel by pixel, by back-propagation through time, with clipped gradients, Adam
 * (Kingma and Ba, 2015) and a running average of the weights. What it computes is fixed. The samples cost time in
 * proportion to their number; the update of the weights costs the same for every step, however small its batch is.
 */

import { type Batch, CHANNELS, CLASSES, CROP, SAMPLE_VALUES, type Tensor } from "./format.ts"
import { randomNumbers } from "./order.ts"

const POOL = 2
const SIDE = CROP / POOL
/** Pixels after pooling: the steps in time of the network. */
const TIMES = SIDE * SIDE
const CELLS = 4
/** The states after every second pixel are what the classes are told from. */
const EVERY = 2
const FEATURES = CELLS * TIMES / EVERY
/** What the gate and the candidate of a cell each see: the channels, the cell's state, a constant. */
const INPUTS = CHANNELS + 2
const RATE = 0.001
const MOMENTUM = 0.9
const DECAY = 0.999
const AVERAGING = 0.995
const LARGEST_NORM = 1

/** A matrix of weights, with all that the optimiser keeps about each of them. */
class Weights {
  readonly values: Float64Array
  readonly gradient: Float64Array
  readonly averaged: Float64Array
  private readonly mean: Float64Array
  private readonly square: Float64Array

  constructor(length: number, scale: number, random: () => number) {
    this.values = Float64Array.from({ length }, () => (random() / 2 ** 31 - 1) * scale)
    this.averaged = this.values.slice()
    this.gradient = new Float64Array(length)
    this.mean = new Float64Array(length)
    this.square = new Float64Array(length)
  }

  squaredNorm(): number {
    let sum = 0
    for (let i = 0; i < this.gradient.length; i++) sum += this.gradient[i]! * this.gradient[i]!
    return sum
  }

  update(step: number, clip: number): void {
    const { averaged, gradient, mean, square, values } = this
    const rate = RATE * Math.sqrt(1 - DECAY ** step) / (1 - MOMENTUM ** step)
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i]! * clip
      const m = MOMENTUM * mean[i]! + (1 - MOMENTUM) * g
      const s = DECAY * square[i]! + (1 - DECAY) * g * g
      mean[i] = m
      square[i] = s
      values[i] = values[i]! - rate * m / (Math.sqrt(s) + 1e-8)
      averaged[i] = AVERAGING * averaged[i]! + (1 - AVERAGING) * values[i]!
      gradient[i] = 0
    }
  }
}

/** A model that is trained batch by batch. */
export class Model {
  /** Of each cell: the weights of its gate, then those of its candidate. */
  private readonly cells: Weights
  /** Of each feature: one weight for every class. */
  private readonly output: Weights
  private readonly pixels = new Float64Array(TIMES * CHANNELS)
  private readonly states = new Float64Array(CELLS * TIMES)
  private readonly gates = new Float64Array(CELLS * TIMES)
  private readonly candidates = new Float64Array(CELLS * TIMES)
  private readonly errors = new Float64Array(CLASSES)
  private steps = 0

  constructor() {
    const random = randomNumbers(42)
    this.cells = new Weights(CELLS * 2 * INPUTS, 1, random)
    this.output = new Weights(FEATURES * CLASSES, 1 / Math.sqrt(FEATURES), random)
  }

  /** Trains on one batch; gives its mean loss before the update. */
  step(batch: Batch): number {
    const share = 1 / batch.labels.length
    let loss = 0
    for (let i = 0; i < batch.labels.length; i++) {
      this.pool(batch.tensor, i * SAMPLE_VALUES)
      for (let cell = 0; cell < CELLS; cell++) this.forward(cell)
      loss += this.score(batch.labels[i]!, share)
      for (let cell = 0; cell < CELLS; cell++) this.backward(cell)
    }
    const norm = Math.sqrt(this.cells.squaredNorm() + this.output.squaredNorm())
    const clip = Math.min(1, LARGEST_NORM / (norm + 1e-8))
    this.steps++
    this.cells.update(this.steps, clip)
    this.output.update(this.steps, clip)
    return loss * share
  }

  /** Averages of POOL x POOL squares, brought from planes into pixels. */
  private pool(tensor: Tensor, offset: number): void {
    for (let channel = 0; channel < CHANNELS; channel++) {
      for (let y = 0; y < SIDE; y++) {
        for (let x = 0; x < SIDE; x++) {
          const start = offset + (channel * CROP + y * POOL) * CROP + x * POOL
          const sum = tensor[start]! + tensor[start + 1]! + tensor[start + CROP]! + tensor[start + CROP + 1]!
          this.pixels[(y * SIDE + x) * CHANNELS + channel] = sum / (POOL * POOL)
        }
      }
    }
  }

  private forward(cell: number): void {
    const { candidates, gates, pixels, states } = this
    const { values } = this.cells
    const w = cell * 2 * INPUTS
    let state = 0
    for (let t = 0; t < TIMES; t++) {
      const red = pixels[t * CHANNELS]!
      const green = pixels[t * CHANNELS + 1]!
      const blue = pixels[t * CHANNELS + 2]!
      const opening = values[w]! * red + values[w + 1]! * green + values[w + 2]! * blue + values[w + 3]! * state +
        values[w + 4]!
      const gate = 1 / (1 + Math.exp(-opening))
      const candidate = Math.tanh(
        values[w + 5]! * red + values[w + 6]! * green + values[w + 7]! * blue + values[w + 8]! * state + values[w + 9]!
      )
      state += gate * (candidate - state)
      gates[cell * TIMES + t] = gate
      candidates[cell * TIMES + t] = candidate
      states[cell * TIMES + t] = state
    }
  }

  /** Leaves the slope of the loss by each score in `errors`. */
  private score(label: number, share: number): number {
    const { errors, output, states } = this
    let total = 0
    for (let c = 0; c < CLASSES; c++) {
      let sum = 0
      for (let i = 0; i < FEATURES; i++) sum += output.values[i * CLASSES + c]! * states[i * EVERY]!
      errors[c] = Math.exp(sum)
      total += errors[c]!
    }
    const loss = -Math.log(errors[label]! / total)
    for (let c = 0; c < CLASSES; c++) errors[c] = (errors[c]! / total - (c === label ? 1 : 0)) * share
    return loss
  }

  private backward(cell: number): void {
    const { candidates, errors, gates, output, pixels, states } = this
    const { gradient, values } = this.cells
    const w = cell * 2 * INPUTS
    let slope = 0
    for (let t = TIMES - 1; t >= 0; t--) {
      const place = cell * TIMES + t
      const gate = gates[place]!
      const candidate = candidates[place]!
      const earlier = t === 0 ? 0 : states[place - 1]!
      if (t % EVERY === 0) {
        const weights = place / EVERY * CLASSES
        for (let c = 0; c < CLASSES; c++) {
          slope += errors[c]! * output.values[weights + c]!
          output.gradient[weights + c]! += errors[c]! * states[place]!
        }
      }
      const byOpening = slope * (candidate - earlier) * gate * (1 - gate)
      const byCandidate = slope * gate * (1 - candidate * candidate)
      for (let channel = 0; channel < CHANNELS; channel++) {
        gradient[w + channel]! += byOpening * pixels[t * CHANNELS + channel]!
        gradient[w + INPUTS + channel]! += byCandidate * pixels[t * CHANNELS + channel]!
      }
      gradient[w + 3]! += byOpening * earlier
      gradient[w + 4]! += byOpening
      gradient[w + 8]! += byCandidate * earlier
      gradient[w + 9]! += byCandidate
      slope = slope * (1 - gate) + byOpening * values[w + 3]! + byCandidate * values[w + 8]!
    }
  }
}
