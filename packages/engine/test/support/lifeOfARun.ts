/**
 * How a run is brought into each state of the run's table, and how each command of the table is given.
 */
import { fold } from "../../src/internal/simulatorFold.ts"
import * as Naive from "../../src/internal/simulatorModel.ts"
import { runStateOf } from "../../src/internal/simulatorStates.ts"
import type { RunConfig, RunEvent } from "../../src/RunEvent.ts"
import { by, configOf, Driver, spec } from "./driver.ts"

const id = "it"

/** A run in which one work has settled, so that there is something to retry. */
const started = (options: Partial<RunConfig> = {}): Driver => {
  const run = Driver.start(options, spec("done"))
  run.cancel("done")
  return run
}

const busy = (run: Driver, options: { readonly id?: string; readonly isUndone?: boolean } = {}): Driver => {
  run.add(spec(options.id ?? id, { kind: options.isUndone === true ? "Undo" : "Plain" }))
  run.schedule()
  return run
}

const pause = (run: Driver): Driver => {
  run.give({ _tag: "Pause", ...by })
  return run
}

const suspend = (run: Driver): Driver => {
  run.give({ _tag: "Suspend", ...by })
  return run
}

const cancelRun = (run: Driver): Driver => {
  run.give({ _tag: "Cancel", ...by })
  return run
}

/** Another work is there whose clean-up a cancel has to wait for. */
const failingFast = (more: (run: Driver) => Driver): Driver => {
  const run = busy(started({ failFast: true }), { id: "undone", isUndone: true })
  return more(run)
}

/** The work has begun, waits for its retry, and will run out of time meanwhile. */
const expiring = (run: Driver): Driver => {
  run.add(spec(id, { deadline: run.now + 10 }))
  run.schedule()
  run.failAgain(id, 1_000)
  if (run.state.works.get("undone")?.status === "running") run.interrupted("undone")
  return run
}

/** A run in which a work waits that nobody has started. */
const waiting = (): Driver => {
  const run = started()
  run.add(spec(id))
  return run
}

const states: { readonly [state: string]: () => Driver } = {
  absent: () => Driver.empty(),
  "running (idle)": () => started(),
  "running (busy)": () => busy(started()),
  pausing: () => pause(busy(started())),
  "paused (idle)": () => pause(started()),
  "paused (busy)": () => pause(waiting()),
  suspending: () => suspend(busy(started())),
  "suspended (idle)": () => suspend(started()),
  "suspended (busy)": () => suspend(waiting()),
  cancelling: () => cancelRun(busy(started())),
  cancelled: () => cancelRun(started()),
  completed: () => {
    const run = started()
    run.give({ _tag: "Close" })
    return run
  }
}

export const runStates: ReadonlyArray<string> = Object.keys(states)

/** A fresh run in a state. */
export const runIn = (state: string, command: string): Driver =>
  inOtherWays[`${state} + ${command}`]?.() ?? states[state]!()

export const runStateIn = (run: Driver): string => runStateOf(fold(Naive.empty(), run.events))

/** States that are reached in another way, because the bracket of a command asks for it. */
const inOtherWays: { readonly [stateAndCommand: string]: () => Driver } = {
  "running (busy) + pause (no handler)": waiting,
  "running (busy) + suspend (no handler)": waiting,
  "running (busy) + cancel (at once)": waiting,
  "paused (busy) + cancel (to clean)": () => {
    const run = busy(started(), { isUndone: true })
    run.interrupted(id)
    return pause(run)
  },
  "suspended (busy) + cancel (to clean)": () => {
    const run = busy(started(), { isUndone: true })
    suspend(run)
    run.interrupted(id)
    return run
  },
  "suspending + open (paused before)": () => suspend(pause(busy(started()))),
  "suspended (idle) + open (paused before)": () => suspend(pause(started())),
  "suspended (busy) + open (paused before)": () => suspend(pause(waiting())),
  "cancelling + open (to clean)": () => cancelRun(busy(started(), { isUndone: true })),
  "running (busy) + work fails (fail fast)": () => failingFast(busy),
  "running (busy) + work fails (fail fast, at once)": () => busy(started({ failFast: true })),
  "pausing + work fails (fail fast)": () => pause(failingFast(busy)),
  "pausing + work fails (fail fast, at once)": () => pause(busy(started({ failFast: true }))),
  "paused (busy) + work fails (fail fast)": () => pause(failingFast(expiring)),
  "paused (busy) + work fails (fail fast, at once)": () => pause(expiring(started({ failFast: true }))),
  "pausing + last handler ends (others wait)": () => {
    const run = busy(started())
    run.add(spec("more"))
    return pause(run)
  },
  "suspending + last handler ends (nothing is left)": () => suspend(busy(started()))
}

const close = (run: Driver): void => {
  run.give({ _tag: "Close" })
}

const scope = { _tag: "Kind", kind: "Plain" } as const

const isBusy = (run: Driver): boolean => run.state.works.has(id)

/** The work that a control of works is for: one that does not take a retry. */
const target = (run: Driver): string => isBusy(run) ? id : "nobody"

/** The only work that is not settled settles. */
const settles = (run: Driver): ReadonlyArray<RunEvent> => {
  const status = run.state.works.get(id)?.status
  return status === "running" || status === "cancelling" ? run.succeed(id) : run.cancel(id)
}

/** Its handler says so, or it runs out of time. */
const fails = (run: Driver): ReadonlyArray<RunEvent> =>
  run.state.works.get(id)?.status === "running" ? run.fail(id) : run.tick(10)

/** Every command of the run's table, as a row names it. */
export const runCommands: { readonly [command: string]: (run: Driver) => ReadonlyArray<RunEvent> } = {
  start: (run) => run.give({ _tag: "Start", config: configOf(), specs: [] }),
  "start (dry, and not kept open)": (run) =>
    run.give({ _tag: "Start", config: configOf({ keepOpen: false }), specs: [] }),
  "start (with works)": (run) => run.give({ _tag: "Start", config: configOf(), specs: [spec(id)] }),
  open: (run) => (run.state.name === "absent" ? run.give({ _tag: "Open", config: configOf() }) : run.crash()),
  "open (paused before)": (run) => run.crash(),
  "open (to clean)": (run) => run.crash(),
  "open (not kept open)": (run) => run.crash({ keepOpen: false }),
  add: (run) => run.add(spec("more")),
  pause: (run) => run.give({ _tag: "Pause", ...by }),
  "pause (no handler)": (run) => run.give({ _tag: "Pause", ...by }),
  continue: (run) => run.give({ _tag: "Continue", ...by }),
  suspend: (run) => run.give({ _tag: "Suspend", ...by }),
  "suspend (no handler)": (run) => run.give({ _tag: "Suspend", ...by }),
  cancel: (run) => run.give({ _tag: "Cancel", ...by }),
  "cancel (at once)": (run) => run.give({ _tag: "Cancel", ...by }),
  "cancel (to clean)": (run) => run.give({ _tag: "Cancel", ...by }),
  close: (run) => run.give({ _tag: "Close" }),
  "close (closed)": (run) => {
    close(run)
    return run.give({ _tag: "Close" })
  },
  "close (kept open again)": (run) => {
    run.crash({ keepOpen: true })
    return run.give({ _tag: "Close" })
  },
  setLimits: (run) => run.give({ _tag: "SetLimits", limits: { concurrency: 3 }, ...by }),
  "setLimits (bad value)": (run) => run.give({ _tag: "SetLimits", limits: { concurrency: 0 }, ...by }),
  pauseScope: (run) => run.give({ _tag: "PauseScope", scope, ...by }),
  "pauseScope (paused)": (run) => {
    run.give({ _tag: "PauseScope", scope, ...by })
    return run.give({ _tag: "PauseScope", scope, ...by })
  },
  "pauseScope (unknown kind)": (run) =>
    run.give({ _tag: "PauseScope", scope: { _tag: "Kind", kind: "Nobody" }, ...by }),
  "continueScope (unknown kind)": (run) =>
    run.give({ _tag: "ContinueScope", scope: { _tag: "Kind", kind: "Nobody" }, ...by }),
  continueScope: (run) => run.give({ _tag: "ContinueScope", scope, ...by }),
  "continueScope (paused)": (run) => {
    run.give({ _tag: "PauseScope", scope, ...by })
    return run.give({ _tag: "ContinueScope", scope, ...by })
  },
  pauseWork: (run) => run.pause(target(run)),
  continueWork: (run) => run.continue(target(run)),
  reprioritize: (run) => run.ask(target(run), { _tag: "Reprioritize", priority: 3 }),
  retryWork: (run) => run.again(target(run)),
  "retryWork (it settled)": (run) => run.again("done"),
  each: (run) => run.give({ _tag: "Each", filter: {}, control: { _tag: "PauseWork" }, ...by }),
  "each (retry)": (run) => run.give({ _tag: "Each", filter: {}, control: { _tag: "RetryWork" }, ...by }),
  "each (cancel)": (run) => run.give({ _tag: "Each", filter: { ids: [] }, control: { _tag: "CancelWork" }, ...by }),
  "last work settles": settles,
  "last work settles (closed)": (run) => {
    close(run)
    return settles(run)
  },
  "work fails (fail fast)": fails,
  "work fails (fail fast, at once)": fails,
  "last handler ends": (run) => (run.state.name === "suspending" ? run.interrupted(id) : run.succeed(id)),
  "last handler ends (others wait)": (run) => run.succeed(id),
  "last handler ends (closed)": (run) => {
    close(run)
    return run.succeed(id)
  },
  "last handler ends (nothing is left)": (run) => run.succeed(id)
}
