/**
 * Random numbers from a seed, for pure code: the same seed gives the same numbers, and no state outlives the call.
 *
 * The generator is the one of Effect's `Random.withSeed` (ISAAC): nothing of our own, nothing to install. Its service
 * is taken out of a context without running anything else, so that a pure function can draw from it.
 */
import { Effect, Random } from "effect"

/** A source of random numbers. Drawing changes it: it never leaves the function that made it. */
export interface Source {
  /** uniform in [0, 1) */
  readonly next: () => number
  /** an integer, uniform in 0 .. `below` - 1 */
  readonly int: (below: number) => number
  /** from the standard normal distribution */
  readonly normal: () => number
}

/** A source for a seed; parts that are told apart by name or number (`source(seed, "random", 7)`) are independent. */
export const source = (...seed: ReadonlyArray<string | number>): Source => {
  const random = Effect.runSync(Random.withSeed(Effect.service(Random.Random), JSON.stringify(seed)))
  const next = () => random.nextDoubleUnsafe()
  return {
    next,
    int: (below) => Math.floor(next() * below),
    // Box and Muller (1958); 1 - u is never zero.
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  }
}

/** A copy in random order (Fisher and Yates). */
export const shuffled = <A>(items: ReadonlyArray<A>, random: Source): Array<A> => {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}
