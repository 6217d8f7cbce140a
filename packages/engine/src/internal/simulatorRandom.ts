/**
 * Numbers that look random and follow from a seed, in streams that do not touch each other: what is drawn in one place of a
 * simulation does not change what is drawn in another, so that a program from which parts are taken still behaves.
 */

/** Mixes numbers into one of 32 bits (the finalizer of MurmurHash3, in the public domain). */
export const mix = (...parts: ReadonlyArray<number>): number => {
  let hash = 0x9e3779b9
  for (const part of parts) {
    hash = Math.imul(hash ^ (part | 0) ^ Math.floor(part / 0x1_0000_0000), 0x85ebca6b)
    hash ^= hash >>> 13
    hash = Math.imul(hash, 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return hash >>> 0
}

/** A number for a text. */
export const numberOf = (text: string): number => {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash, 31) + text.charCodeAt(index) | 0
  return hash
}

/** One stream: the generator known as mulberry32 (in the public domain). */
export class Random {
  private state: number

  constructor(...seed: ReadonlyArray<number>) {
    this.state = mix(...seed)
  }

  /** A number from 0 on and below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** A whole number from 0 on and below `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** True so many times in a hundred. */
  chance(percent: number): boolean {
    return this.next() * 100 < percent
  }

  pick<A>(from: ReadonlyArray<A>): A {
    return from[this.below(from.length)]!
  }

  /** One of several, the more often the greater its weight. */
  weighted<A>(from: ReadonlyArray<readonly [weight: number, value: A]>): A {
    let sum = 0
    for (const [weight] of from) sum += weight
    let left = this.next() * sum
    for (const [weight, value] of from) {
      left -= weight
      if (left < 0) return value
    }
    return from[from.length - 1]![1]
  }
}
