/**
 * The declared space: parameters with the values they may have, and edits that may be applied, some of which exclude
 * each other. It says what a change set may be, what lies next to one, and how many there are.
 *
 * Everything here is a pure function of the declaration. Nothing that is not declared can be proposed, by an agent or
 * by a search: {@link validate} stands between a proposal and the experiment.
 */
import { Result, Schema } from "effect"
import { canonicalChanges, type ChangeSet, describeValue, ParameterValue } from "./Experiment.ts"
import { type Source, source } from "./internal/statisticsRandom.ts"
import { allSets, countSets, drawSet, type Exclusive } from "./internal/statisticsSets.ts"

/**
 * A parameter as it is declared.
 *
 * - `integer`, `number`: `values`, or `min` and `max` with an optional `step` (an integer's is 1). A number with a
 *   range but no step may have any value in it; a search then tries {@link continuousLevels} of them.
 * - `choice`: `values`, in an order that means nothing.
 * - `boolean`: `true` and `false`.
 * - `baseline`: the value that the program has without any change. One of the allowed ones.
 */
export const Parameter = Schema.Union([
  Schema.Struct({
    name: Schema.String,
    type: Schema.Literals(["integer", "number"]),
    values: Schema.optionalKey(Schema.Array(Schema.Finite)),
    min: Schema.optionalKey(Schema.Finite),
    max: Schema.optionalKey(Schema.Finite),
    step: Schema.optionalKey(Schema.Finite),
    baseline: Schema.Finite,
    description: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({
    name: Schema.String,
    type: Schema.Literal("choice"),
    values: Schema.Array(ParameterValue),
    baseline: ParameterValue,
    description: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({
    name: Schema.String,
    type: Schema.Literal("boolean"),
    baseline: Schema.Boolean,
    description: Schema.optionalKey(Schema.String)
  })
])
export type Parameter = typeof Parameter.Type

/** An edit as the search sees it: a name, and the names of edits that it cannot be combined with. */
export const Edit = Schema.Struct({
  name: Schema.String,
  conflicts: Schema.optionalKey(Schema.Array(Schema.String)),
  description: Schema.optionalKey(Schema.String)
})
export type Edit = typeof Edit.Type

/** A declaration that makes no sense: `subject` is the parameter or edit, the message says what to write instead. */
export class InvalidSearchSpace extends Schema.TaggedError<InvalidSearchSpace>()("InvalidSearchSpace", {
  message: Schema.String,
  subject: Schema.String
}) {}

/** A change set outside the space: `subject` is the parameter or edit, `allowed` says what would be allowed. */
export class InvalidAssignment extends Schema.TaggedError<InvalidAssignment>()("InvalidAssignment", {
  message: Schema.String,
  subject: Schema.String,
  value: Schema.Union([Schema.String, Schema.Number, Schema.Boolean, Schema.Null]),
  allowed: Schema.String
}) {}

/** How many values a search tries of a number that may have any value between its bounds. */
export const continuousLevels = 9

/**
 * The values that a search tries, by index: a list, or the evenly spaced `min + index * step`, which is not spelled
 * out because it may be long. `ordered` values have neighbours; those of a choice have none.
 */
type Levels =
  | { readonly _tag: "List"; readonly values: ReadonlyArray<ParameterValue>; readonly ordered: boolean }
  | { readonly _tag: "Range"; readonly min: number; readonly step: number; readonly count: number }

/**
 * A parameter of a checked space. The baseline is always one of the levels. `any`: the bounds between which every
 * number is allowed, not only the levels.
 */
export interface Dimension {
  readonly name: string
  readonly type: Parameter["type"]
  readonly baseline: ParameterValue
  readonly levels: Levels
  readonly any: { readonly min: number; readonly max: number } | null
  readonly description: string
}

/** A checked space: what {@link make} gives. `conflicts` of an edit hold both directions. */
export interface SearchSpace {
  readonly parameters: ReadonlyArray<Dimension>
  readonly edits: ReadonlyArray<Exclusive>
}

const namePattern = /^[A-Za-z][A-Za-z0-9._-]*$/

/** Decimal steps such as 0.1 must give 0.3, not 0.30000000000000004: 12 digits are more than anyone declares. */
const tidy = (value: number): number => Number(value.toPrecision(12))

/**
 * Checks a declaration.
 *
 * Refused: a name that is not letters, digits, `.`, `_`, `-`; a name used twice; no value, a value twice, one of the
 * wrong type, or values beside a range; an empty or endless range; a baseline that is not allowed; a conflict with an
 * edit that does not exist or with itself.
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { SearchSpace } from "@espalier/workflow"
 * import { Result } from "effect"
 *
 * const space = Result.getOrThrow(SearchSpace.make({
 *   parameters: [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
 *   edits: [{ name: "fused-transform" }, { name: "lazy-transform", conflicts: ["fused-transform"] }]
 * }))
 * assert.equal(SearchSpace.size(space), 9n)
 * const mistake = SearchSpace.validate(space, { parameters: { workers: 3 }, edits: [] })
 * assert(Result.isFailure(mistake))
 * assert.match(mistake.failure.message, /workers.*3.*1, 2, 4/)
 * ```
 */
export const make = (declaration: {
  readonly parameters: ReadonlyArray<Parameter>
  readonly edits: ReadonlyArray<Edit>
}): Result.Result<SearchSpace, InvalidSearchSpace> =>
  Result.gen(function*() {
    const seen = new Set<string>()
    for (const { name } of [...declaration.parameters, ...declaration.edits]) {
      if (!namePattern.test(name)) {
        yield* refuse(
          name,
          `The name "${name}" is not allowed: use letters, digits, ".", "_", "-", beginning with a letter.`
        )
      }
      if (seen.has(name)) {
        yield* refuse(name, `"${name}" is declared twice: parameters and edits need different names.`)
      }
      seen.add(name)
    }
    const parameters: Array<Dimension> = []
    for (const parameter of declaration.parameters) parameters.push(yield* makeDimension(parameter))

    const conflicts = new Map(declaration.edits.map((edit) => [edit.name, new Set<string>()]))
    for (const edit of declaration.edits) {
      for (const other of edit.conflicts ?? []) {
        const back = conflicts.get(other)
        if (back === undefined || other === edit.name) {
          return yield* refuse(
            edit.name,
            `Edit "${edit.name}" conflicts with "${other}", which is ${
              other === edit.name ? "itself" : "not a declared edit"
            }; declared are: ${[...conflicts.keys()].join(", ")}.`
          )
        }
        back.add(edit.name)
        conflicts.get(edit.name)!.add(other)
      }
    }
    const edits = declaration.edits.map(({ name }) => ({ name, conflicts: conflicts.get(name)! }))
    return { parameters, edits }
  })

const refuse = (subject: string, message: string): Result.Result<never, InvalidSearchSpace> =>
  Result.fail(new InvalidSearchSpace({ subject, message }))

const makeDimension = (parameter: Parameter): Result.Result<Dimension, InvalidSearchSpace> =>
  Result.gen(function*() {
    const { levels, any } = yield* makeLevels(parameter)
    const { name, type, baseline, description = "" } = parameter
    const dimension = { name, type, baseline, levels, any, description }
    if (!isAllowed(dimension, baseline)) {
      yield* refuse(
        name,
        `The baseline of parameter "${name}" is ${describeValue(baseline)}, which is not one of its own values: ${
          allowedValues(dimension)
        }.`
      )
    }
    return dimension
  })

type Checked = Result.Result<Pick<Dimension, "levels" | "any">, InvalidSearchSpace>

const makeLevels = (parameter: Parameter): Checked => {
  switch (parameter.type) {
    case "boolean":
      return Result.succeed({ levels: { _tag: "List", values: [false, true], ordered: false }, any: null })
    case "choice":
      return checkList(parameter.name, parameter.values, false)
    case "integer":
    case "number":
      return makeNumericLevels(parameter)
  }
}

const checkList = (name: string, values: ReadonlyArray<ParameterValue>, ordered: boolean): Checked => {
  if (values.length === 0) return refuse(name, `Parameter "${name}" has no values: declare at least its baseline.`)
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  if (twice !== undefined) return refuse(name, `Parameter "${name}" lists ${describeValue(twice)} twice.`)
  return Result.succeed({ levels: { _tag: "List", values, ordered }, any: null })
}

const makeNumericLevels = (parameter: Extract<Parameter, { readonly type: "integer" | "number" }>): Checked => {
  const { baseline, max, min, name, step, type, values } = parameter
  const numbers = [...(values ?? []), ...[min, max, step].filter((value) => value !== undefined)]
  const odd = numbers.find((value) => type === "integer" ? !Number.isSafeInteger(value) : !Number.isFinite(value))
  if (odd !== undefined) {
    return refuse(name, `Parameter "${name}" is declared with ${odd}, which is not of type ${type}.`)
  }
  if (values !== undefined) {
    if (min !== undefined || max !== undefined || step !== undefined) {
      return refuse(name, `Parameter "${name}" has values and a range: declare either values, or min and max.`)
    }
    return checkList(name, [...values].sort((a, b) => a - b), true)
  }
  if (min === undefined || max === undefined) {
    return refuse(name, `Parameter "${name}" needs values, or both min and max.`)
  }
  if (min > max) return refuse(name, `Parameter "${name}" has min ${min} above max ${max}.`)
  if (step !== undefined && step <= 0) return refuse(name, `Parameter "${name}" has step ${step}: it must be above 0.`)
  if (step === undefined && type === "number") {
    const spaced = Array.from(
      { length: continuousLevels },
      (_, index) => tidy(min + ((max - min) * index) / (continuousLevels - 1))
    )
    // The baseline is a level too; one outside the bounds is refused by the caller.
    const all = new Set(baseline >= min && baseline <= max ? [...spaced, baseline] : spaced)
    return Result.succeed({
      levels: { _tag: "List", values: [...all].sort((a, b) => a - b), ordered: true },
      any: { min, max }
    })
  }
  const width = step ?? 1
  // Half a millionth of a step is rounding: 0.3 / 0.1 is a little below 3.
  const count = Math.floor((max - min) / width + 5e-7) + 1
  if (!Number.isSafeInteger(count)) {
    return refuse(name, `Parameter "${name}" has too many values from ${min} to ${max}: declare a larger step.`)
  }
  return Result.succeed({ levels: { _tag: "Range", min, step: width, count }, any: null })
}

// --------------------------------------------------------------------------------------------------- values

/** How many values of a parameter a search tries. */
export const levelCount = ({ levels }: Dimension): number =>
  levels._tag === "List" ? levels.values.length : levels.count

/** The value of a parameter at an index from 0; numbers ascend. */
export const levelAt = ({ levels, type }: Dimension, index: number): ParameterValue => {
  if (levels._tag === "List") return levels.values[index]!
  const value = levels.min + index * levels.step
  return type === "integer" ? value : tidy(value)
}

/**
 * The index of a value, -1 when it is not allowed. A number that is allowed without being a level has the index of the
 * level nearest to it.
 */
export const levelOf = (dimension: Dimension, value: ParameterValue): number => {
  const { any, levels, type } = dimension
  if (levels._tag === "List") {
    const index = levels.values.indexOf(value)
    if (index !== -1 || any === null || typeof value !== "number") return index
    if (!(value >= any.min && value <= any.max)) return -1
    const gaps = (levels.values as ReadonlyArray<number>).map((level) => Math.abs(level - value))
    return gaps.indexOf(Math.min(...gaps))
  }
  if (typeof value !== "number") return -1
  const index = Math.round((value - levels.min) / levels.step)
  const exact = type === "integer" ? value : tidy(value)
  return index >= 0 && index < levels.count && levelAt(dimension, index) === exact ? index : -1
}

const isAllowed = (dimension: Dimension, value: ParameterValue): boolean => levelOf(dimension, value) !== -1

/** What a parameter may be, in words: `1, 2, 4`, or `16 to 256 in steps of 16`. */
export const allowedValues = ({ any, levels }: Dimension): string => {
  if (any !== null) return `any number from ${any.min} to ${any.max}`
  if (levels._tag === "List") return levels.values.map(describeValue).join(", ")
  return `${levels.min} to ${tidy(levels.min + (levels.count - 1) * levels.step)} in steps of ${levels.step}`
}

/** The value of a parameter under a change set. */
export const valueOf = (dimension: Dimension, changes: ChangeSet): ParameterValue =>
  Object.hasOwn(changes.parameters, dimension.name) ? changes.parameters[dimension.name]! : dimension.baseline

// ---------------------------------------------------------------------------------------------- change sets

/** 0.1 + 0.2 and 0.3 are the same step, and must be the same experiment. */
const normal = ({ levels, type }: Dimension, value: ParameterValue): ParameterValue =>
  levels._tag === "Range" && type === "number" && typeof value === "number" ? tidy(value) : value

/**
 * The one form of a change set within a space: what equals the baseline is dropped, names are in order. It expects
 * a valid one; see {@link validate}.
 */
export const canonical = (space: SearchSpace, changes: ChangeSet): ChangeSet => {
  const entries = space.parameters.flatMap((dimension) => {
    const value = normal(dimension, valueOf(dimension, changes))
    return value === normal(dimension, dimension.baseline) ? [] : [[dimension.name, value] as const]
  })
  return canonicalChanges({ parameters: Object.fromEntries(entries), edits: changes.edits })
}

/** Checks a change set against the space, and gives its canonical form. The first mistake is reported. */
export const validate = (space: SearchSpace, changes: ChangeSet): Result.Result<ChangeSet, InvalidAssignment> => {
  const invalid = (subject: string, value: ParameterValue | null, allowed: string, message: string) =>
    Result.fail(new InvalidAssignment({ subject, value, allowed, message }))
  for (const [name, value] of Object.entries(changes.parameters)) {
    const dimension = space.parameters.find((parameter) => parameter.name === name)
    if (dimension === undefined) {
      const allowed = space.parameters.map((parameter) => parameter.name).join(", ") || "none"
      return invalid(name, value, allowed, `There is no parameter "${name}"; declared are: ${allowed}.`)
    }
    if (!isAllowed(dimension, value)) {
      const allowed = allowedValues(dimension)
      const given = typeof value === "string" ? JSON.stringify(value) : String(value)
      return invalid(name, value, allowed, `Parameter "${name}" cannot be ${given}; allowed: ${allowed}.`)
    }
  }
  for (const name of changes.edits) {
    const edit = space.edits.find((edit) => edit.name === name)
    if (edit === undefined) {
      const allowed = space.edits.map((edit) => edit.name).join(", ") || "none"
      return invalid(name, null, allowed, `There is no edit "${name}"; declared are: ${allowed}.`)
    }
    const against = changes.edits.find((other) => edit.conflicts.has(other))
    if (against !== undefined) {
      return invalid(
        name,
        null,
        `"${name}" or "${against}"`,
        `Edits "${name}" and "${against}" exclude each other; choose one.`
      )
    }
  }
  return Result.succeed(canonical(space, changes))
}

/** Whether {@link validate} accepts a change set. */
export const contains = (space: SearchSpace, changes: ChangeSet): boolean => Result.isSuccess(validate(space, changes))

/** One step in the space. Adding an edit takes away (`removes`) those that exclude it. */
export type Move =
  | { readonly _tag: "Set"; readonly parameter: string; readonly from: ParameterValue; readonly to: ParameterValue }
  | { readonly _tag: "Add"; readonly edit: string; readonly removes: ReadonlyArray<string> }
  | { readonly _tag: "Remove"; readonly edit: string }

/** A parameter with more values than this is not tried at all of them in one step: see {@link neighbours}. */
export const manyLevels = 8

/** Whether the levels of a parameter have an order, so that near ones are alike: numbers do, choices do not. */
export const isOrdered = ({ levels }: Dimension): boolean => levels._tag === "Range" || levels.ordered

/** The levels that one move reaches: all others, or of many ordered ones those 1, 2, 4, ... away, and both ends. */
export const reachableLevels = (dimension: Dimension, from: number): ReadonlyArray<number> => {
  const count = levelCount(dimension)
  if (!isOrdered(dimension) || count <= manyLevels) return [...Array(count).keys()].filter((index) => index !== from)
  const found = new Set([0, count - 1])
  for (let distance = 1; distance < count; distance *= 2) found.add(from - distance).add(from + distance)
  return [...found].filter((index) => index >= 0 && index < count && index !== from).sort((a, b) => a - b)
}

/** Carries out a move. */
export const move = (space: SearchSpace, changes: ChangeSet, step: Move): ChangeSet => {
  switch (step._tag) {
    case "Set":
      return canonical(space, { ...changes, parameters: { ...changes.parameters, [step.parameter]: step.to } })
    case "Add":
      return canonical(space, {
        ...changes,
        edits: [...changes.edits.filter((edit) => !step.removes.includes(edit)), step.edit]
      })
    case "Remove":
      return canonical(space, { ...changes, edits: changes.edits.filter((edit) => edit !== step.edit) })
  }
}

/**
 * All that is one step away from a change set, in the order of the declaration: one parameter at another value, one
 * edit more (without those that exclude it) or one less. A parameter with many ordered values (more than
 * {@link manyLevels}) is tried 1, 2, 4, ... values away and at both ends, so that the number of neighbours stays small
 * and any value is still a few steps away.
 */
export const neighbours = (
  space: SearchSpace,
  changes: ChangeSet
): ReadonlyArray<{ readonly move: Move; readonly changes: ChangeSet }> => {
  const moves: Array<Move> = []
  for (const dimension of space.parameters) {
    const from = valueOf(dimension, changes)
    for (const index of reachableLevels(dimension, levelOf(dimension, from))) {
      moves.push({ _tag: "Set", parameter: dimension.name, from, to: levelAt(dimension, index) })
    }
  }
  for (const { conflicts, name } of space.edits) {
    moves.push(
      changes.edits.includes(name)
        ? { _tag: "Remove", edit: name }
        : { _tag: "Add", edit: name, removes: changes.edits.filter((edit) => conflicts.has(edit)) }
    )
  }
  return moves.map((step) => ({ move: step, changes: move(space, changes, step) }))
}

// ------------------------------------------------------------------------------------------ size and chance

/**
 * How many different change sets the space holds, the baseline included. Of a number that may have any value, only
 * the levels that a search tries are counted.
 */
export const size = (space: SearchSpace): bigint =>
  space.parameters.reduce((product, dimension) => product * BigInt(levelCount(dimension)), 1n) *
  countSets(space.edits)

/** A change set drawn from all with equal probability, by the numbers of a policy; outside this package see {@link randomPoint}. */
export const draw = (space: SearchSpace, random: Source): ChangeSet => {
  const parameters = Object.fromEntries(space.parameters.map((dimension) => {
    return [dimension.name, levelAt(dimension, random.int(levelCount(dimension)))]
  }))
  const edits = drawSet(space.edits, random)
  return canonical(space, { parameters, edits })
}

/** A change set drawn by a seed: the same seed gives the same one. */
export const randomPoint = (space: SearchSpace, seed: string | number): ChangeSet => draw(space, source("point", seed))

/** Every change set of the space, one after the other; look at {@link size} first. */
export function* enumerate(space: SearchSpace): Generator<ChangeSet> {
  for (const edits of allSets(space.edits)) {
    for (const parameters of assignments(space.parameters)) yield canonical(space, { parameters, edits })
  }
}

function* assignments(parameters: ReadonlyArray<Dimension>): Generator<Record<string, ParameterValue>> {
  const [dimension, ...others] = parameters
  if (dimension === undefined) return yield {}
  for (let index = 0; index < levelCount(dimension); index++) {
    for (const rest of assignments(others)) yield { ...rest, [dimension.name]: levelAt(dimension, index) }
  }
}
