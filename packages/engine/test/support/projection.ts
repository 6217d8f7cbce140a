/**
 * Two states are the same when their projections are: plain data, in a fixed order, with nothing left out.
 */
import type { Candidate, RunState, WorkEntry } from "../../src/internal/model.ts"
import { Wake } from "../../src/internal/model.ts"

const sorted = <A>(map: ReadonlyMap<string, A>): Array<[string, A]> =>
  Array.from(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

const ofEntry = (entry: WorkEntry) => {
  const { live, ...rest } = entry
  return {
    ...rest,
    index: entry.index,
    detail: entry.detail instanceof Wake ? { wakeAt: entry.detail.at, index: entry.detail.index } : entry.detail,
    live: live === undefined ? undefined : {
      ...live,
      steps: Array.from(live.steps),
      holds: Array.from(live.holds),
      requests: Array.from(
        live.requests,
        ([name, { owner, ...request }]) => [name, { ...request, owner: owner.spec.id }]
      )
    }
  }
}

const nameOf = (candidate: Candidate): string =>
  candidate.request === undefined ? candidate.owner.spec.id : `${candidate.owner.spec.id}/${candidate.request.hold}`

/** Every field of the state. A field that is added to it and not shown here does not compile. */
const project = (state: RunState) => {
  const { begun, config, counts, dedupe, groups, kinds, pools, wakes, works, ...plain } = state
  const {
    arrivals,
    cause,
    finishedAt,
    handlers,
    keepOpen,
    lastAt,
    name,
    retries,
    startedAt,
    units,
    unsettled,
    ...forgotten
  } = plain
  forgotten satisfies Record<string, never>
  return {
    name,
    config,
    keepOpen,
    units,
    handlers,
    unsettled,
    arrivals,
    retries,
    lastAt,
    startedAt,
    finishedAt,
    cause,
    counts,
    begun: Array.from(begun, (entry) => entry.spec.id),
    dedupe: sorted(dedupe),
    kinds: sorted(kinds),
    pools: sorted(pools),
    wakes: wakes.items.map((wake) => [wake.entry.spec.id, wake.at]),
    groups: sorted(groups).map(([key, group]) => [key, group.heap.items.map(nameOf)]),
    works: Array.from(works.values(), ofEntry)
  }
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The whole state as text: equal if and only if the states are. The order of an object's fields says nothing. */
export const projection = (state: RunState): string =>
  JSON.stringify(
    project(state),
    (_, value: unknown) =>
      value === Infinity
        ? "Infinity"
        : isPlain(value)
        ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, value[key]]))
        : value,
    1
  )
