/**
 * Counting primes: something to do that takes as long as one likes, and whose answer can be looked up.
 */

/** What a search has found so far, from its lower bound up to (and without) `upTo`. */
export interface Found {
  readonly upTo: number
  readonly count: number
  /** 0: none yet. */
  readonly largest: number
}

/** How many numbers are looked at in one go: some milliseconds, in which nobody else has the processor. */
export const segment = 1_000_000

/** All primes up to a number, by the sieve of Eratosthenes. */
const primesUpTo = (most: number): ReadonlyArray<number> => {
  const composite = new Uint8Array(most + 1)
  const primes: Array<number> = []
  for (let n = 2; n <= most; n++) {
    if (composite[n] === 1) continue
    primes.push(n)
    for (let multiple = n * n; multiple <= most; multiple += n) composite[multiple] = 1
  }
  return primes
}

/** A search that goes on one segment at a time, up to and without `below`. */
export const search = (below: number): (found: Found) => Found => {
  const primes = primesUpTo(Math.floor(Math.sqrt(below)))
  return ({ count, largest, upTo: from }) => {
    const upTo = Math.min(below, from + segment)
    const composite = new Uint8Array(Math.max(0, upTo - from))
    for (const prime of primes) {
      if (prime * prime >= upTo) break
      const first = Math.max(prime * prime, Math.ceil(from / prime) * prime)
      for (let multiple = first; multiple < upTo; multiple += prime) composite[multiple - from] = 1
    }
    for (let n = Math.max(2, from); n < upTo; n++) {
      if (composite[n - from] === 1) continue
      count += 1
      largest = n
    }
    return { upTo, count, largest }
  }
}
