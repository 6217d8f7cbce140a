/**
 * The pure heart of a run: a state, the events that make it, and the decisions that make events.
 *
 * - `execute` gives a command to a state: it is decided, its events are folded in, and so is what follows from them.
 * - `schedule` starts what may start, in the order of priority.
 * - `evolve` folds one event; folding a whole journal gives the state again.
 *
 * No clock, no fiber, no disk: `now` is an argument, never less than the time of the last event. `evolve` changes the
 * state that it is given, because a run may hold a million works; whoever needs the state before keeps a journal,
 * not a copy. Nothing here may act on what it decides before the journal has it: that is the runner's part.
 *
 * Rejected: an immutable state. At a million works every event would copy a path of a persistent map, and
 * the engine's throughput would be the garbage collector's.
 */
import { Result } from "effect"
import { type Command, decide, follow, type Refusal } from "./internal/decide.ts"
import { evolve } from "./internal/evolve.ts"
import { isSettled, make, type RunState, type WorkEntry, type WorkStatus } from "./internal/model.ts"
import { next, nextWake, obstacle } from "./internal/ready.ts"
import type { RunEvent } from "./RunEvent.ts"

export { decide, evolve, isSettled, make, next, nextWake, obstacle }
export type { Command, Refusal, RunState, WorkEntry, WorkStatus }

const settleInto = (state: RunState, now: number, events: Array<RunEvent>): void => {
  for (let event = follow(state, now); event !== undefined; event = follow(state, now)) {
    evolve(state, event)
    events.push(event)
  }
}

/**
 * Decides a command and folds its events into the state, with what follows from them. On a refusal the state is as
 * it was. `now` is in milliseconds since the epoch.
 *
 * @example
 * ```ts
 * import { RunState } from "@espalier/engine"
 * import { Result } from "effect"
 * import assert from "node:assert"
 *
 * const config = { concurrency: 1, pools: {}, kinds: { Task: { onCancel: false } }, keepOpen: false }
 * const spec = { id: "a", kind: "Task", priority: 0, payload: null }
 * const state = RunState.make()
 *
 * const started = RunState.execute(state, { _tag: "Start", config, specs: [spec] }, 1_000)
 * assert.deepStrictEqual(Result.getOrThrow(started).map(({ _tag }) => _tag), ["RunStarted", "WorkAdded"])
 *
 * const again = RunState.execute(state, { _tag: "Add", specs: [spec] }, 2_000)
 * assert(Result.isFailure(again) && again.failure._tag === "DuplicateWork")
 *
 * const cancelled = RunState.execute(state, { _tag: "CancelWork", id: "a", actor: "ada", reason: "too dear" }, 3_000)
 * // The run was not to be kept open, so it completes when nothing is left.
 * assert.deepStrictEqual(Result.getOrThrow(cancelled).map(({ _tag }) => _tag), ["WorkCancelled", "RunCompleted"])
 * ```
 */
export const execute = (
  state: RunState,
  command: Command,
  now: number
): Result.Result<Array<RunEvent>, Refusal> =>
  Result.map(decide(state, command, now), (decided) => {
    const events = [...decided]
    for (const event of decided) evolve(state, event)
    settleInto(state, now, events)
    return events
  })

/**
 * Starts, one after another, all that may start, and folds the events in: what was taken up after a resume first, then by
 * priority (lower first), then by arrival. What cannot start does not block what can. Slots that running works ask
 * for are granted in the same order.
 *
 * @example
 * ```ts
 * import { RunState } from "@espalier/engine"
 * import assert from "node:assert"
 *
 * const config = { concurrency: 2, pools: { gpu: 1 }, kinds: { Fit: { onCancel: false } }, keepOpen: true }
 * const specs = [
 *   { id: "plain", kind: "Fit", priority: 9, payload: null },
 *   { id: "first", kind: "Fit", priority: 0, payload: null, slots: { gpu: 1 } },
 *   { id: "second", kind: "Fit", priority: 0, payload: null, slots: { gpu: 1 } }
 * ]
 * const state = RunState.make()
 * RunState.execute(state, { _tag: "Start", config, specs }, 1_000)
 * const started = RunState.schedule(state, 1_000).map((event) => event._tag === "WorkStarted" && event.id)
 * // The second has to wait for the only GPU, and does not keep the plain one from the free unit of concurrency.
 * assert.deepStrictEqual(started, ["first", "plain"])
 * ```
 */
export const schedule = (state: RunState, now: number): Array<RunEvent> => {
  const events: Array<RunEvent> = []
  for (let event = next(state, now); event !== undefined; event = next(state, now)) {
    evolve(state, event)
    events.push(event)
  }
  return events
}

/**
 * Folds a journal's events into a new state.
 *
 * @example
 * ```ts
 * import { RunState } from "@espalier/engine"
 * import { Result } from "effect"
 * import assert from "node:assert"
 *
 * const config = { concurrency: 1, pools: {}, kinds: { Task: { onCancel: false } }, keepOpen: true }
 * const specs = ["a", "b"].map((id) => ({ id, kind: "Task", priority: 0, payload: null }))
 * const state = RunState.make()
 * const journal = [
 *   ...Result.getOrThrow(RunState.execute(state, { _tag: "Start", config, specs }, 1_000)),
 *   ...RunState.schedule(state, 1_000)
 * ]
 *
 * const folded = RunState.fold(journal)
 * assert.deepStrictEqual(folded.counts, state.counts)
 * assert.strictEqual(folded.works.get("a")?.status, "running")
 * ```
 */
export const fold = (events: Iterable<RunEvent>): RunState => {
  const state = make()
  for (const event of events) evolve(state, event)
  return state
}
