/**
 * What becomes of a batch of works from outside, and which limits make no sense, by the naive model.
 */
import type { Limits, RunEvent } from "../RunEvent.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import type { Refusal } from "./command.ts"
import { skipped } from "./simulatorFollow.ts"
import { find, haveSameKey, keyHolder, type Naive } from "./simulatorModel.ts"

interface Batch {
  readonly refusals: ReadonlyArray<Refusal["_tag"]>
  readonly events: ReadonlyArray<RunEvent>
}

/** Adds all or none; what has the key of a work that was never started is merged into it, or takes its place. */
export const batch = (
  naive: Naive,
  pools: { readonly [pool: string]: number },
  specs: ReadonlyArray<WorkSpec>,
  at: number
): Batch => {
  const refusals: Array<Refusal["_tag"]> = []
  const events: Array<RunEvent> = []
  let holders: ReadonlyArray<WorkSpec> = []
  const added: Array<WorkSpec> = []
  for (const spec of specs) {
    if (find(naive, spec.id) !== undefined || added.some(({ id }) => id === spec.id)) refusals.push("DuplicateWork")
    if (isInvalid(spec, pools)) refusals.push("InvalidWork")
    const holder = holders.find((each) => haveSameKey(each, spec)) ?? keyHolder(naive, spec)?.spec
    if (holder !== undefined) {
      if (spec.onCollision === "reject") refusals.push("DuplicateKey")
      if (spec.onCollision !== "replace") continue
      events.push(skipped(holder.id, { _tag: "Replaced", by: spec.id }, at))
    }
    holders = [...holders.filter((each) => !haveSameKey(each, spec)), spec]
    added.push(spec)
    events.push({ _tag: "WorkAdded", at, spec })
  }
  const isThere = (id: string): boolean => find(naive, id) !== undefined || added.some((each) => each.id === id)
  if (!added.every((spec) => (spec.after ?? []).every(isThere))) refusals.push("InvalidWork")
  if (added.some((spec) => isInCircle(added, spec.id, spec, []))) refusals.push("InvalidWork")
  return { refusals, events }
}

const isInvalid = (spec: WorkSpec, pools: { readonly [pool: string]: number }): boolean =>
  !Number.isFinite(spec.priority) || Object.keys(spec.slots ?? {}).some((pool) => !Object.hasOwn(pools, pool))

/** It comes after itself, by way of others of the batch. */
const isInCircle = (all: ReadonlyArray<WorkSpec>, id: string, at: WorkSpec, passed: ReadonlyArray<string>): boolean =>
  (at.after ?? []).some((next) => {
    if (next === id) return true
    const spec = all.find((each) => each.id === next)
    return spec !== undefined && !passed.includes(next) && isInCircle(all, id, spec, [...passed, next])
  })

const isCount = (value: number | null | undefined, least: number): boolean =>
  value === undefined || value === null || (Number.isInteger(value) && value >= least)

export const limitsAreWrong = (naive: Naive, limits: Limits): boolean =>
  !isCount(limits.concurrency, 1) ||
  !isCount(limits.keyLimit, 1) ||
  [limits.pools, limits.kinds, limits.keyLimits].some((group) =>
    Object.values(group ?? {}).some((value) => !isCount(value, 0))
  ) ||
  Object.keys(limits.kinds ?? {}).some((kind) => !(kind in naive.config.kinds))
