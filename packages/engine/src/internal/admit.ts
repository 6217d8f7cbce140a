/**
 * Taking works into a run: specs from outside, all or none; and the children of a work that settles.
 */
import { Result } from "effect"
import type { RunConfig, RunEvent } from "../RunEvent.ts"
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import { DuplicateKey, DuplicateWork, InvalidWork, type Refusal } from "./command.ts"
import { dedupeKey, type RunState, type WorkEntry } from "./model.ts"

/** The works of a batch so far, and who has which idempotency key: the run's own, and the batch's. */
class Batch {
  readonly ids = new Set<string>()
  readonly events: Array<RunEvent> = []
  private keys: Map<string, string> | undefined = undefined
  private readonly state: RunState
  private readonly now: number

  constructor(state: RunState, now: number) {
    this.state = state
    this.now = now
  }

  /** The work that has the idempotency key of this spec and has not begun. */
  holderOf(spec: WorkSpec): string | undefined {
    if (spec.dedupe === undefined) return undefined
    const key = dedupeKey(spec)
    return this.keys?.get(key) ?? this.state.dedupe.get(key)
  }

  has(id: string): boolean {
    return this.ids.has(id) || this.state.works.has(id)
  }

  /** Takes a spec, in the place of whoever had its key. */
  take(spec: WorkSpec, add: (spec: WorkSpec) => void): void {
    if (spec.dedupe !== undefined) {
      const holder = this.holderOf(spec)
      if (holder !== undefined) this.skip(holder, spec.id)
      this.keys ??= new Map()
      this.keys.set(dedupeKey(spec), spec.id)
    }
    this.ids.add(spec.id)
    add(spec)
  }

  skip(id: string, by: string): void {
    this.events.push({ _tag: "WorkSkipped", at: this.now, id, cause: { _tag: "Replaced", by } })
  }
}

/** All specs or none. Those that an idempotency key merges into a work that has not begun add nothing. */
export const admit = (
  state: RunState,
  specs: ReadonlyArray<WorkSpec>,
  now: number,
  config: RunConfig
): Result.Result<ReadonlyArray<RunEvent>, Refusal> => {
  const batch = new Batch(state, now)
  let hasDependencies = false
  for (const spec of specs) {
    const { dedupe, id } = spec
    if (batch.has(id)) {
      return Result.fail(
        new DuplicateWork({
          id,
          message: `a work with the id "${id}" is in the run already: ids are unique in a run`
        })
      )
    }
    const invalid = checkClaims(config, id, "slots", spec.slots)
    if (invalid !== undefined) return Result.fail(invalid)
    if (spec.after !== undefined) hasDependencies = true
    if (dedupe !== undefined && spec.onCollision !== "replace") {
      const existing = batch.holderOf(spec)
      if (existing !== undefined) {
        if (spec.onCollision !== "reject") continue
        return Result.fail(
          new DuplicateKey({
            id,
            key: dedupe,
            existing,
            message:
              `work "${id}" has the idempotency key "${dedupe}" of "${existing}", which has not begun, and asked to ` +
              `be refused in that case: wait for that one, or add it with onCollision "keep" or "replace"`
          })
        )
      }
    }
    batch.take(spec, () => batch.events.push({ _tag: "WorkAdded", at: now, spec }))
  }
  const invalid = hasDependencies ? checkDependencies(batch, specs) : undefined
  return invalid === undefined ? Result.succeed(batch.events) : Result.fail(invalid)
}

const checkDependencies = (batch: Batch, specs: ReadonlyArray<WorkSpec>): InvalidWork | undefined => {
  const byId = new Map<string, WorkSpec>()
  for (const spec of specs) if (batch.ids.has(spec.id)) byId.set(spec.id, spec)
  for (const spec of byId.values()) {
    for (const other of spec.after ?? []) {
      if (batch.has(other)) continue
      return new InvalidWork({
        id: spec.id,
        field: "after",
        value: other,
        message:
          `work "${spec.id}" comes after "${other}", which is not in the run: add that one first, or in the same ` +
          `call (a work that was merged into another by its idempotency key, or was forgotten, is not there)`
      })
    }
  }
  const cycle = findCycle(byId)
  return cycle === undefined ? undefined : new InvalidWork({
    id: cycle[0]!,
    field: "after",
    value: cycle.join(" → "),
    message: `works wait for each other in a circle, so none of them could start: ${
      [...cycle, cycle[0]].map((id) => `"${id}"`).join(" comes after ")
    }`
  })
}

/** Works of a batch that wait for each other, if there are any. Depth first, without recursion: chains may be long. */
const findCycle = (byId: ReadonlyMap<string, WorkSpec>): ReadonlyArray<string> | undefined => {
  const done = new Set<string>()
  for (const root of byId.keys()) {
    if (done.has(root)) continue
    const path: Array<{ readonly id: string; next: number }> = [{ id: root, next: 0 }]
    const onPath = new Set([root])
    while (path.length > 0) {
      const top = path[path.length - 1]!
      const other = byId.get(top.id)!.after?.[top.next++]
      if (other === undefined) {
        done.add(top.id)
        onPath.delete(top.id)
        path.pop()
      } else if (onPath.has(other)) {
        return path.slice(path.findIndex(({ id }) => id === other)).map(({ id }) => id)
      } else if (byId.has(other) && !done.has(other)) {
        path.push({ id: other, next: 0 })
        onPath.add(other)
      }
    }
  }
  return undefined
}

export const checkClaims = (
  config: RunConfig,
  id: string,
  field: string,
  claims: Claims | undefined
): InvalidWork | undefined => {
  for (const pool in claims) {
    if (!Object.hasOwn(config.pools, pool)) {
      const known = Object.keys(config.pools)
      return new InvalidWork({
        id,
        field: `${field}.${pool}`,
        value: String(claims[pool]),
        message: `work "${id}" claims the pool "${pool}", which this run does not have: ${
          known.length === 0 ? "give the run pools when it is opened" : `its pools are ${known.join(", ")}`
        }`
      })
    }
  }
  return undefined
}

/** Children that earlier settlements of one decision leave, by id, and which of them has which idempotency key. */
export interface Heirs {
  readonly ids: Set<string>
  readonly keys: Map<string, string>
}

/** For the next settlement of the same decision. */
export const leave = (heirs: Heirs, children: ReadonlyArray<WorkSpec>): void => {
  for (const spec of children) {
    heirs.ids.add(spec.id)
    if (spec.dedupe !== undefined) heirs.keys.set(dedupeKey(spec), spec.id)
  }
}

const nobody: Heirs = { ids: new Set(), keys: new Map() }

const noHeirs: { readonly replaced: ReadonlyArray<RunEvent>; readonly children: ReadonlyArray<WorkSpec> } = {
  replaced: [],
  children: []
}

/**
 * The children that become works now, and the works that they replace. One whose id is in the run already has been added
 * by an earlier record and is not added again; one whose key a work has that has not begun is merged, or takes its place. Where
 * several works settle in one decision, `earlier` holds the ids and keys of the children of those before.
 */
export const heirs = (
  state: RunState,
  entry: WorkEntry,
  own: ReadonlyArray<ChildSpec>,
  on: "success" | "failure",
  now: number,
  earlier: Heirs = nobody
): typeof noHeirs => {
  const steps = entry.live?.steps
  if (own.length === 0 && steps === undefined) return noHeirs
  const batch = new Batch(state, now)
  const children: Array<WorkSpec> = []
  const consider = (child: ChildSpec): void => {
    if (child.on !== on && child.on !== "always") return
    const { spec } = child
    if (batch.has(spec.id) || earlier.ids.has(spec.id)) return
    const key = spec.dedupe === undefined ? undefined : dedupeKey(spec)
    const left = key === undefined ? undefined : earlier.keys.get(key)
    const holder = left ?? batch.holderOf(spec)
    if (holder !== undefined && (spec.onCollision !== "replace" || batch.ids.has(holder))) return
    if (left !== undefined) batch.skip(left, spec.id)
    batch.take(spec, (each) => children.push(each))
  }
  for (const step of steps?.values() ?? []) step.children.forEach(consider)
  own.forEach(consider)
  return { replaced: batch.events, children }
}
