/** Numbers from a seed, uniform in [0, 1): the linear congruential generator of Numerical Recipes. */
export const numbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
