/**
 * The works of the engine's chaos campaign: what each does, and what must come of it whatever crashes.
 */
import { WorkEngine, WorkKind, type WorkSpec } from "@espalier/engine"
import { Schedule, Schema } from "effect"

const payload = { n: Schema.Int }

/** Two steps, one after the other; some claim a tool for the second. */
export class Chain extends WorkKind.make("Chain", { payload, success: Schema.Int }) {}
/** Has the only bench from its first step to its second. */
export class Bench extends WorkKind.make("Bench", { payload, success: Schema.Int }) {}
/** Spawns a child inside a step and another outside. */
export class Parent extends WorkKind.make("Parent", { payload, success: Schema.Int }) {}
export class Leaf extends WorkKind.make("Leaf", { payload, success: Schema.Int }) {}
/** Fails at its first attempt, after its first step is recorded. */
export class Flaky extends WorkKind.make("Flaky", {
  payload,
  success: Schema.Int,
  error: Schema.String,
  retry: Schedule.recurs(1)
}) {}
/** Fails when both of its steps are recorded, and does the second again, in a new generation. */
export class Redo extends WorkKind.make("Redo", {
  payload,
  success: Schema.Int,
  error: Schema.String,
  retry: Schedule.recurs(1),
  retryFrom: () => "second"
}) {}
/** Goes through rows with a cursor. */
export class Loop extends WorkKind.make("Loop", { payload, success: Schema.Int }) {}
/** Would never end after its first step: it is cancelled then, and has something to undo. */
export class Doomed extends WorkKind.make("Doomed", { payload, success: Schema.Int }) {}
/** Fails for good, and leaves a child. */
export class Failing extends WorkKind.make("Failing", { payload, success: Schema.Int, error: Schema.String }) {}

export class Jobs extends WorkEngine.Service<Jobs>()("chaos/Jobs", {
  kinds: [Chain, Bench, Parent, Leaf, Flaky, Redo, Loop, Doomed, Failing]
}) {}

export const batchSize = 1_000
export const rows = 4
export const options = {
  concurrency: 64,
  pools: { bench: 1, desk: 20, tool: 3 },
  keyLimit: 12,
  maxCrashes: 1_000_000
}

/** Who cancels, and why. */
export const asked = { actor: "chaos", reason: "as planned" }
export const failure = "as planned"

type Kind = "Chain" | "Bench" | "Parent" | "Leaf" | "Flaky" | "Redo" | "Loop" | "Doomed" | "Failing"

const rare: { readonly [rest: number]: Kind } = { 7: "Bench", 11: "Redo", 21: "Loop", 31: "Doomed", 41: "Failing" }

const kindOf = (n: number): Kind => rare[n % 50] ?? (n % 10 === 3 ? "Parent" : n % 10 === 5 ? "Flaky" : "Chain")

const idOf = (n: number): string => `work-${n}`

/** What the second step of a chain claims for itself. */
export const toolsOf = (n: number): number => n % 10 === 8 ? 1 : 0

/** The works that come after one that does not succeed: skipped for it, but for those that run all the same. */
const afterOf = (n: number): Pick<WorkSpec.WorkSpec, "after" | "onDependencyFailure"> => {
  switch (n % 50) {
    case 32:
    case 42:
      return { after: [idOf(n - 1)] }
    case 43:
      return { after: [idOf(n - 2)], onDependencyFailure: "run" }
    default:
      return n % 20 === 9 ? { after: [idOf(n - 1), idOf(n - 2)] } : {}
  }
}

export const specOf = (n: number): WorkSpec.WorkSpec => ({
  id: idOf(n),
  kind: kindOf(n),
  priority: n % 3,
  payload: { n },
  ...(n % 4 === 1 ? { key: `key-${n % 28}` } : {}),
  ...(n % 6 === 2 ? { slots: { desk: 1 + (n % 3) } } : {}),
  ...afterOf(n)
})

export const batchCount = (total: number): number => Math.ceil(total / batchSize)

export const batch = (number: number, total: number): ReadonlyArray<WorkSpec.WorkSpec> =>
  Array.from(
    { length: Math.min(batchSize, total - number * batchSize) },
    (_, index) => specOf(number * batchSize + index)
  )

/** Works of which the child waits for the outcome. */
export const isAwaited = (n: number): boolean => n % 97 === 0 && kindOf(n) === "Chain"

/** What a step gives. */
export const valueOf = (n: number, step: string): number => n * 10 + step.length

/** What must come of a work. */
export interface Plan {
  readonly n: number
  readonly kind: Kind
  readonly spec: WorkSpec.WorkSpec | undefined
  /** As `outcomeOf` writes it. */
  readonly outcome: string
  /** Generation and name of each step that runs and is recorded; a row of a cursor is one. */
  readonly steps: ReadonlyArray<string>
  /** The number of the last attempt; 0 for a work that never starts. */
  readonly attempts: number
}

const plan = (n: number, kind: Kind): Omit<Plan, "n" | "kind" | "spec"> => {
  const both = valueOf(n, "first") + valueOf(n, "second")
  switch (kind) {
    case "Leaf":
      return { outcome: `succeeded ${valueOf(n, "leaf")}`, steps: ["0 leaf"], attempts: 1 }
    case "Flaky":
      return { outcome: `succeeded ${both}`, steps: ["0 first", "0 second"], attempts: 2 }
    case "Redo":
      return { outcome: `succeeded ${both}`, steps: ["0 first", "0 second", "1 second"], attempts: 2 }
    case "Loop":
      return {
        outcome: `succeeded ${rows}`,
        steps: Array.from({ length: rows }, (_, row) => `0 row-${row + 1}`),
        attempts: 1
      }
    case "Doomed":
      return { outcome: `cancelled ${JSON.stringify(asked)}`, steps: ["0 first"], attempts: 1 }
    case "Failing":
      return { outcome: `failed {"_tag":"Error","error":"${failure}"}`, steps: ["0 first"], attempts: 1 }
    default:
      return { outcome: `succeeded ${both}`, steps: ["0 first", "0 second"], attempts: 1 }
  }
}

const childrenOf = (id: string, kind: Kind): ReadonlyArray<string> =>
  kind === "Parent" ? [`${id}/first.0`, `${id}/0`] : kind === "Failing" ? [`${id}/0`] : []

/** Every work that there must be in the end. */
export const plans = (total: number): ReadonlyMap<string, Plan> => {
  const all = new Map<string, Plan>()
  for (let n = 0; n < total; n++) {
    const spec = specOf(n)
    const kind = kindOf(n)
    const rest = n % 50
    if (rest === 32 || rest === 42) {
      const cause = { _tag: "Dependency", id: idOf(n - 1), state: rest === 32 ? "cancelled" : "failed" }
      all.set(spec.id, { n, kind, spec, outcome: `skipped ${JSON.stringify(cause)}`, steps: [], attempts: 0 })
      continue
    }
    all.set(spec.id, { n, kind, spec, ...plan(n, kind) })
    for (const child of childrenOf(spec.id, kind)) {
      all.set(child, { n, kind: "Leaf", spec: undefined, ...plan(n, "Leaf") })
    }
  }
  return all
}
