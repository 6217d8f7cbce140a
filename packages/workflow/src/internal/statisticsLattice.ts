/**
 * A search space as a lattice: a change set is a point, a list of level indices, one for each parameter and then one
 * for each edit (0 is out, 1 is in). Searching a model asks for tens of thousands of points; in this form they cost
 * next to nothing.
 */
import type { ChangeSet } from "../Experiment.ts"
import * as SearchSpace from "../SearchSpace.ts"

/** Level indices, in the order of the dimensions. */
export type Point = ReadonlyArray<number>

/** What a move changes: dimension and new level; more than one where adding an edit takes others away. */
export type Step = readonly [Change, ...Array<Change>]
type Change = readonly [dimension: number, level: number]

export interface Lattice {
  /** how many levels each dimension has */
  readonly counts: ReadonlyArray<number>
  /** whether near levels of a dimension are alike */
  readonly ordered: ReadonlyArray<boolean>
  /** the baseline */
  readonly origin: Point
  readonly encode: (changes: ChangeSet) => Point
  readonly decode: (point: Point) => ChangeSet
  /** the same as `SearchSpace.neighbours` */
  readonly steps: (point: Point) => ReadonlyArray<Step>
}

export const makeLattice = (space: SearchSpace.SearchSpace): Lattice => {
  const { edits, parameters } = space
  const first = parameters.length
  const indexOf = new Map(edits.map(({ name }, index) => [name, first + index]))
  const conflicts = edits.map((edit) => [...edit.conflicts].map((name) => indexOf.get(name)!))
  const encode = (changes: ChangeSet): Point => [
    ...parameters.map((dimension) => SearchSpace.levelOf(dimension, SearchSpace.valueOf(dimension, changes))),
    ...edits.map(({ name }) => changes.edits.includes(name) ? 1 : 0)
  ]
  return {
    counts: [...parameters.map(SearchSpace.levelCount), ...edits.map(() => 2)],
    ordered: [...parameters.map(SearchSpace.isOrdered), ...edits.map(() => false)],
    origin: encode({ parameters: {}, edits: [] }),
    encode,
    decode: (point) =>
      SearchSpace.canonical(space, {
        parameters: Object.fromEntries(
          parameters.map((dimension, index) => [dimension.name, SearchSpace.levelAt(dimension, point[index]!)])
        ),
        edits: edits.filter((_, index) => point[first + index] === 1).map(({ name }) => name)
      }),
    steps: (point) => [
      ...parameters.flatMap((dimension, index) =>
        SearchSpace.reachableLevels(dimension, point[index]!).map((level): Step => [[index, level]])
      ),
      ...edits.map((_, index): Step =>
        point[first + index] === 1
          ? [[first + index, 0]]
          : [
            [first + index, 1],
            ...conflicts[index]!.filter((other) => point[other] === 1).map((other): Change => [other, 0])
          ]
      )
    ]
  }
}

/** The point after a step. */
export const after = (point: Point, step: Step): Point => {
  const result = [...point]
  for (const [dimension, level] of step) result[dimension] = level
  return result
}

/** Equal for equal points. */
export const pointKey = (point: Point): string => point.join(",")

/** In how many dimensions two points differ. */
export const pointDistance = (a: Point, b: Point): number => {
  let count = 0
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count += 1
  return count
}
