/**
 * Stands for training: one step of a small recurrent network that reads an image row by row, by back-propagation through
 * time, with clipped gradients, Adam (Kingma and Ba, 2015) and a running average of the weights. What it computes is
 * fixed. The samples cost time in proportion to their number; the update of the weights costs the same for every step,
 * however small its batch is.
 */

import { type Batch, CHANNELS, CLASSES, CROP, SAMPLE_VALUES, type Tensor } from "./format.ts"
import { randomNumbers } from "./order.ts"

const POOL = 2
/** Rows after pooling: the steps in time of the network. */
const ROWS = CROP / POOL
/** Numbers of a row after pooling. */
const INPUTS = CHANNELS * ROWS
const HIDDEN = 24
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
  private readonly input: Weights
  private readonly recurrent: Weights
  private readonly output: Weights
  private readonly rows = new Float64Array(ROWS * INPUTS)
  /** Row t + 1 is the state after row t of the image; row 0 is the state to begin with. */
  private readonly states = new Float64Array((ROWS + 1) * HIDDEN)
  private readonly errors = new Float64Array(CLASSES)
  private slopes = new Float64Array(HIDDEN)
  private earlierSlopes = new Float64Array(HIDDEN)
  private steps = 0

  constructor() {
    const random = randomNumbers(42)
    this.input = new Weights(HIDDEN * INPUTS, 1 / Math.sqrt(INPUTS), random)
    this.recurrent = new Weights(HIDDEN * HIDDEN, 1 / Math.sqrt(HIDDEN), random)
    this.output = new Weights(CLASSES * ROWS * HIDDEN, 1 / Math.sqrt(ROWS * HIDDEN), random)
  }

  /** Trains on one batch; gives its mean loss before the update. */
  step(batch: Batch): number {
    const share = 1 / batch.labels.length
    let loss = 0
    for (let i = 0; i < batch.labels.length; i++) {
      this.pool(batch.tensor, i * SAMPLE_VALUES)
      this.forward()
      loss += this.score(batch.labels[i]!, share)
      this.backward()
    }
    const all = [this.input, this.recurrent, this.output]
    const norm = Math.sqrt(all.reduce((sum, weights) => sum + weights.squaredNorm(), 0))
    const clip = Math.min(1, LARGEST_NORM / (norm + 1e-8))
    this.steps++
    for (const weights of all) weights.update(this.steps, clip)
    return loss * share
  }

  /** Averages of POOL x POOL squares, brought into rows. */
  private pool(tensor: Tensor, offset: number): void {
    for (let y = 0; y < ROWS; y++) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        for (let x = 0; x < ROWS; x++) {
          const start = offset + (channel * CROP + y * POOL) * CROP + x * POOL
          const sum = tensor[start]! + tensor[start + 1]! + tensor[start + CROP]! + tensor[start + CROP + 1]!
          this.rows[y * INPUTS + channel * ROWS + x] = sum / (POOL * POOL)
        }
      }
    }
  }

  private forward(): void {
    const { input, recurrent, rows, states } = this
    for (let t = 0; t < ROWS; t++) {
      for (let j = 0; j < HIDDEN; j++) {
        let sum = 0
        for (let k = 0; k < INPUTS; k++) sum += input.values[j * INPUTS + k]! * rows[t * INPUTS + k]!
        for (let k = 0; k < HIDDEN; k++) sum += recurrent.values[j * HIDDEN + k]! * states[t * HIDDEN + k]!
        states[(t + 1) * HIDDEN + j] = Math.tanh(sum)
      }
    }
  }

  /** Leaves the slope of the loss by each score in `errors`. */
  private score(label: number, share: number): number {
    const { errors, output, states } = this
    let total = 0
    for (let c = 0; c < CLASSES; c++) {
      let sum = 0
      for (let i = 0; i < ROWS * HIDDEN; i++) sum += output.values[c * ROWS * HIDDEN + i]! * states[HIDDEN + i]!
      errors[c] = Math.exp(sum)
      total += errors[c]!
    }
    const loss = -Math.log(errors[label]! / total)
    for (let c = 0; c < CLASSES; c++) errors[c] = (errors[c]! / total - (c === label ? 1 : 0)) * share
    return loss
  }

  private backward(): void {
    const { errors, input, output, recurrent, rows, states } = this
    this.slopes.fill(0)
    for (let t = ROWS - 1; t >= 0; t--) {
      const { earlierSlopes, slopes } = this
      earlierSlopes.fill(0)
      for (let j = 0; j < HIDDEN; j++) {
        const state = states[(t + 1) * HIDDEN + j]!
        let slope = slopes[j]!
        for (let c = 0; c < CLASSES; c++) {
          const place = (c * ROWS + t) * HIDDEN + j
          slope += errors[c]! * output.values[place]!
          output.gradient[place]! += errors[c]! * state
        }
        slope *= 1 - state * state
        for (let k = 0; k < INPUTS; k++) input.gradient[j * INPUTS + k]! += slope * rows[t * INPUTS + k]!
        for (let k = 0; k < HIDDEN; k++) {
          recurrent.gradient[j * HIDDEN + k]! += slope * states[t * HIDDEN + k]!
          earlierSlopes[k]! += slope * recurrent.values[j * HIDDEN + k]!
        }
      }
      this.slopes = earlierSlopes
      this.earlierSlopes = slopes
    }
  }
}
