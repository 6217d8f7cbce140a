/**
 * Makes a program that fails smaller: what can be left out without it ceasing to fail is left out, the larger parts first.
 */
import type { Program } from "./simulatorProgram.ts"

/** Runs a program; what it says when it fails, or undefined. */
export type Attempt = (program: Program) => string | undefined

/** Two failures are of one sort when they differ in names and numbers only. */
export const sortOf = (message: string): string => message.split("\n")[0]!.replace(/[\d"]+/g, "").slice(0, 60)

export const shrink = (program: Program, attempt: Attempt, budget = 3_000): Program => {
  const first = attempt(program)
  if (first === undefined) return program
  const sort = sortOf(first)
  let attempts = 0
  const fails = (candidate: Program): boolean => {
    attempts += 1
    if (attempts > budget) return false
    const message = attempt(candidate)
    return message !== undefined && sortOf(message) === sort
  }
  let smallest = program
  for (;;) {
    const next = smaller(smallest, fails)
    if (next === undefined) return smallest
    smallest = next
  }
}

/** A program with less in it that fails still, or undefined. */
const smaller = (program: Program, fails: (candidate: Program) => boolean): Program | undefined => {
  const shorter = [0, program.turns >> 1, program.turns - 1]
    .filter((turns) => turns >= 0 && turns < program.turns)
    .map((turns) => ({ ...program, turns, happenings: program.happenings.filter(({ turn }) => turn < turns) }))
    .find(fails)
  return shorter ?? without(withHappenings(program), fails) ?? without(withSketches(program), fails)
}

/** A list of the program, and the program with another in its place. */
interface Part<A> {
  readonly items: ReadonlyArray<A>
  readonly put: (items: ReadonlyArray<A>) => Program
}

const withHappenings = (program: Program): Part<unknown> => ({
  items: program.happenings,
  put: (happenings) => ({ ...program, happenings: happenings as Program["happenings"] })
})

const withSketches = (program: Program): Part<unknown> => ({
  items: program.sketches,
  put: (sketches) => ({ ...program, sketches: sketches as Program["sketches"] })
})

/** Leaves out runs of items, from half of them down to single ones. Undefined when nothing could be left out. */
const without = <A>({ items, put }: Part<A>, fails: (candidate: Program) => boolean): Program | undefined => {
  let kept = items
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length;) {
      const candidate = [...kept.slice(0, from), ...kept.slice(from + size)]
      if (fails(put(candidate))) kept = candidate
      else from += size
    }
  }
  return kept.length < items.length ? put(kept) : undefined
}
