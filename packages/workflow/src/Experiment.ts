/**
 * One experiment: what it changes, where it starts from, and how far it has come.
 *
 * An experiment is identified by its base and its **change set**: the declared parameters and edits in which it
 * differs from the baseline. Two change sets are the same when their {@link changesKey} is the same, whatever the
 * order in which they were written down.
 *
 * This module knows nothing of the declared space (`SearchSpace`), of results (`ExperimentTree`) or of the handler
 * that runs an experiment (`Lifecycle`).
 */
import { Schema } from "effect"

/** What a declared parameter may be set to. */
export const ParameterValue = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])
export type ParameterValue = typeof ParameterValue.Type

/**
 * What an experiment differs in from the baseline: values of declared parameters, and names of declared edits that
 * are applied. Plain JSON; it round-trips unchanged.
 */
export const ChangeSet = Schema.Struct({
  parameters: Schema.Record(Schema.String, ParameterValue),
  edits: Schema.Array(Schema.String)
})
export type ChangeSet = typeof ChangeSet.Type

/** The change set of the baseline. */
export const noChanges: ChangeSet = { parameters: {}, edits: [] }

/** Code units, not a locale: the same order on every machine. */
const byName = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/**
 * The one form in which a change set is stored: parameters by name, edits sorted and without doubles. It does not
 * know the baseline: `SearchSpace.canonical` also drops what equals it.
 */
export const canonicalChanges = (changes: ChangeSet): ChangeSet => ({
  parameters: Object.fromEntries(Object.entries(changes.parameters).sort(([a], [b]) => byName(a, b))),
  edits: [...new Set(changes.edits)].sort(byName)
})

/**
 * A text that is equal for equal change sets and for no others: the key of maps and duplicate filters. `1`, `"1"`
 * and `true` are different values.
 */
export const changesKey = (changes: ChangeSet): string => {
  const { edits, parameters } = canonicalChanges(changes)
  // Pairs, not an object: in an object, names that look like numbers would be moved to the front.
  return JSON.stringify([Object.entries(parameters).sort(([a], [b]) => byName(a, b)), edits])
}

/** Whether two change sets are the same, whatever their order. */
export const sameChanges = (a: ChangeSet, b: ChangeSet): boolean => changesKey(a) === changesKey(b)

/**
 * A short name of a change set: 16 hexadecimal digits, the 64-bit FNV-1a hash (Fowler, Noll, Vo) of
 * {@link changesKey} in UTF-8. The same everywhere and for ever. For names and labels; compare by the key.
 */
export const changesHash = (changes: ChangeSet): string => {
  let hash = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(changesKey(changes))) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  }
  return hash.toString(16).padStart(16, "0")
}

/** A value on one line: text that could be misread is quoted. */
export const describeValue = (value: ParameterValue): string =>
  typeof value === "string" && !/^[\w./:-]+$/.test(value) ? JSON.stringify(value) : String(value)

/**
 * A change set on one line for people, such as `batchSize=64, workers=2 +fused-transform`; `no change` for the
 * baseline's.
 */
export const describeChanges = (changes: ChangeSet): string => {
  const { edits, parameters } = canonicalChanges(changes)
  const settings = Object.entries(parameters).map(([name, value]) => `${name}=${describeValue(value)}`).join(", ")
  const words = [...(settings === "" ? [] : [settings]), ...edits.map((edit) => `+${edit}`)]
  return words.length === 0 ? "no change" : words.join(" ")
}

/**
 * The id of a node: it names a branch, folders and works, so letters, digits, `-` and `_` only, 1 to 80 characters.
 */
export const NodeId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$/, {
    expected: "a node id: 1 to 80 letters, digits, - and _, beginning with a letter or digit"
  })
)
export type NodeId = typeof NodeId.Type

/**
 * The payload of the kind `experiment`.
 *
 * - `id`, `name`: its node in the tree, and how people call it.
 * - `parent`: the node that it was derived from; `null` for a root.
 * - `base`: the node whose commit it starts from; `null` is the anchor, the commit that the run began with.
 * - `hypothesis`: one sentence, what is expected and why.
 * - `changes`: all that differs from the baseline, also what its parent already differs in.
 * - `seed`: the name of the seed that it is (`baseline`, `headspace`, ...), `null` for an ordinary experiment.
 * - `priority`: lower runs first.
 * - `arguments`: added to the job's argv; how a seed such as `headspace` selects another mode of the program.
 */
export const ExperimentSpec = Schema.Struct({
  id: NodeId,
  name: Schema.NonEmptyString,
  parent: Schema.NullOr(NodeId),
  base: Schema.NullOr(NodeId),
  hypothesis: Schema.String,
  changes: ChangeSet,
  seed: Schema.NullOr(Schema.NonEmptyString),
  priority: Schema.Finite,
  arguments: Schema.Array(Schema.String)
})
export type ExperimentSpec = typeof ExperimentSpec.Type

/** The seed that every other experiment is compared with; it is the first best. */
export const baselineSeed = "baseline"

/** The seed that shows the ceiling: how fast it could be if the bottleneck cost nothing. Never a candidate for best. */
export const headspaceSeed = "headspace"

/** The steps of the lifecycle, in order. */
export const Phase = Schema.Literals(["prepare", "build", "launch", "poll", "collect", "analyze"])
export type Phase = typeof Phase.Type

/** The status of a node. `completed`, `failed` and `cancelled` are final. */
export const Status = Schema.Literals([
  "queued",
  "preparing",
  "running",
  "analyzing",
  "completed",
  "failed",
  "cancelled"
])
export type Status = typeof Status.Type

/** What a node's status is while a phase of its lifecycle runs. */
export const statusOfPhase = (phase: Phase): "preparing" | "running" | "analyzing" => {
  switch (phase) {
    case "prepare":
    case "build":
    case "launch":
      return "preparing"
    case "poll":
      return "running"
    case "collect":
    case "analyze":
      return "analyzing"
  }
}

/** Whether nothing more will happen to a node. */
export const isSettled = (status: Status): boolean =>
  status === "completed" || status === "failed" || status === "cancelled"
