/**
 * Sets of things of which some exclude each other: how many there are, all of them, and one by chance.
 */
import { shuffled, type Source } from "./statisticsRandom.ts"

/** A thing, and the names of those that it cannot be together with; both of a pair name each other. */
export interface Exclusive {
  readonly name: string
  readonly conflicts: ReadonlySet<string>
}

/**
 * The number of sets in which nothing excludes anything: either the thing with most conflicts is in (and those it
 * excludes are not), or it is not. A thing without conflicts doubles the number.
 */
export const countSets = (things: ReadonlyArray<Exclusive>): bigint => {
  const degrees = things.map(({ conflicts }) => things.filter(({ name }) => conflicts.has(name)).length)
  const most = Math.max(0, ...degrees)
  const busy = things.filter((_, index) => degrees[index]! > 0)
  const free = 1n << BigInt(things.length - busy.length)
  if (most === 0) return free
  const pivot = things[degrees.indexOf(most)]!
  const without = busy.filter((thing) => thing !== pivot)
  return free * (countSets(without) + countSets(without.filter(({ name }) => !pivot.conflicts.has(name))))
}

/** Every such set, the empty one first. */
export function* allSets(things: ReadonlyArray<Exclusive>): Generator<ReadonlyArray<string>> {
  const [thing, ...others] = things
  if (thing === undefined) return yield []
  yield* allSets(others)
  for (const set of allSets(others.filter(({ name }) => !thing.conflicts.has(name)))) yield [thing.name, ...set]
}

/** One such set, each equally likely: thing after thing is put in with the share of the remaining sets that hold it. */
export const drawSet = (things: ReadonlyArray<Exclusive>, random: Source): ReadonlyArray<string> => {
  const drawn: Array<string> = []
  let open: ReadonlyArray<Exclusive> = shuffled(things, random)
  while (open.length > 0) {
    const [thing, ...others] = open as readonly [Exclusive, ...Array<Exclusive>]
    const compatible = others.filter(({ name }) => !thing.conflicts.has(name))
    const share = compatible.length === others.length ? 0.5 : quotient(countSets(compatible), countSets(open))
    const isIn = random.next() < share
    if (isIn) drawn.push(thing.name)
    open = isIn ? compatible : others
  }
  return drawn
}

/** Of big integers, between 0 and 1. */
const quotient = (part: bigint, whole: bigint): number => Number((part << 53n) / whole) / 2 ** 53
