/**
 * Random numbers whose state is one number: it is recorded with a chain, so that a chain that goes on after a crash is
 * the chain that it would have been. (`Random` of Effect can be seeded, but its state cannot be taken out.)
 */

/** A source of random numbers. `state` is all there is to it. */
export interface Generator {
  readonly state: number
  /** Uniform in [0, 1). */
  readonly uniform: () => number
  /** Standard normal. */
  readonly normal: () => number
}

/** The same seed, or the same state, gives the same numbers. The generator is mulberry32. */
export const generator = (seed: number): Generator => {
  let state = seed >>> 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    get state() {
      return state
    },
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  }
}
