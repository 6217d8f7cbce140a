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
import type { Command, Refusal } from "./internal/command.ts"
import { evolve } from "./internal/evolve.ts"
import { executeInto, scheduleInto } from "./internal/execute.ts"
import { make, type RunState } from "./internal/model.ts"
import type { RunEvent } from "./RunEvent.ts"

/**
 * A run, as its events have made it: `works` by id, `counts` by state, `name` of the run's own state, and what the scheduler needs
 * (heaps, limits, units in use). It belongs to whoever folds into it; read it, and change it with `execute`, `schedule` and
 * `evolve` alone. `WorkEntry` is a work in it. For a person there is `RunStatus`.
 */
export type { RunState, WorkEntry } from "./internal/model.ts"

/** What a run can be asked, as data; `docs/life-of-a-work.md` tells what each command does in each state. */
export type { Command } from "./internal/command.ts"

/** What a command can be refused with: typed errors, all of them in `RunError`. */
export type { Refusal } from "./internal/command.ts"

/** The state of a run that has not been started. */
export { make } from "./internal/model.ts"

/**
 * The events that a command makes in a state, or the typed refusal. It changes nothing, and leaves out what follows from those
 * events: `execute` folds them in, and goes on with that.
 */
export { decide } from "./internal/decide.ts"

/** Folds one event into a state, in place. It trusts the event: what `decide` would not have made, it does not notice. */
export { evolve } from "./internal/evolve.ts"

/**
 * - `toSnapshot`: a state as JSON, in parts: the run first, then at most 500 works each.
 * - `fromSnapshot`: the state of such parts: those of a snapshot, or of a `RunSnapshot` among events. Folding goes on from it as
 *   from the state that was written.
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
 * const started = RunState.decide(state, { _tag: "Start", config, specs }, 1_000)
 * for (const event of Result.getOrThrow(started)) RunState.evolve(state, event)
 *
 * const copy = RunState.fromSnapshot(JSON.parse(JSON.stringify(RunState.toSnapshot(state))))
 * assert.deepStrictEqual(RunState.schedule(copy, 2_000), RunState.schedule(state, 2_000))
 * assert.deepStrictEqual(copy.counts, state.counts)
 * assert.strictEqual(copy.counts.running, 1)
 * ```
 */
export { fromSnapshot, toSnapshot } from "./internal/snapshot.ts"

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
): Result.Result<Array<RunEvent>, Refusal> => {
  const events: Array<RunEvent> = []
  const refusal = executeInto(state, command, now, events)
  return refusal === undefined ? Result.succeed(events) : Result.fail(refusal)
}

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
  scheduleInto(state, now, events)
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
