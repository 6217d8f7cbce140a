/**
 * How a fresh run brings a work into each state of the work's table, and how each command of the table is given.
 */
import { expect } from "vitest"
import type { Command } from "../../src/internal/command.ts"
import * as Naive from "../../src/internal/simulatorModel.ts"
import { fold } from "../../src/internal/simulatorFold.ts"
import { stateOf } from "../../src/internal/simulatorStates.ts"
import type { RunConfig, RunEvent } from "../../src/RunEvent.ts"
import type { WorkSpec } from "../../src/WorkSpec.ts"
import { by, Driver, kind, spec, start } from "./driver.ts"

export const id = "it"

/** What a work in a state waits for is this long away; what a deadline does happens before. */
const soon = 10_000
const sooner = 5_000

export interface Act {
  readonly config?: Partial<RunConfig>
  readonly spec?: Partial<WorkSpec>
  /** What the handler does as soon as it is started. */
  readonly early?: (run: Driver) => void
  /** The work is of a kind with `onCancel`. */
  readonly isUndone?: boolean
  /** It has begun before it came into the state. */
  readonly hasBegun?: boolean
  /** The state that it was paused in. */
  readonly pausedIn?: string
  /** What must be so before the command is given, beyond the state. */
  readonly prepare?: (run: Driver) => void
  readonly give: (run: Driver) => ReadonlyArray<RunEvent>
}

const itself = (act: Act, options: Partial<WorkSpec> = {}): WorkSpec =>
  spec(id, { kind: act.isUndone === true ? "Undo" : "Plain", ...options, ...act.spec })

/** A run in which `holder` has all of the pool `taken`, and nobody anything of `free`; `other` runs, `gone` has failed. */
const openRun = (act: Act): Driver => {
  const run = Driver.start(
    { pools: { free: 1, taken: 1, lots: 2 }, ...act.config },
    spec("holder", { slots: { taken: 1 } }),
    spec("other"),
    spec("gone")
  )
  run.schedule()
  run.fail("gone")
  return run
}

const started = (run: Driver, act: Act): void => {
  run.add(itself(act))
  run.schedule()
  act.early?.(run)
}

const cancelling = (run: Driver, act: Act): void => {
  started(run, act)
  run.cancel(id)
}

const states: { readonly [state: string]: (run: Driver, act: Act) => void } = {
  absent: () => undefined,
  queued: (run, act) => {
    if (act.hasBegun !== true) return void run.add(itself(act))
    started(run, act)
    run.failAgain(id, 0)
  },
  resumed: (run, act) => {
    started(run, act)
    run.interrupted(id)
  },
  delayed: (run, act) => void run.add(itself(act, { notBefore: start + soon })),
  dependent: (run, act) => void run.add(itself(act, { after: ["holder"] })),
  retrying: (run, act) => {
    started(run, act)
    run.failAgain(id, soon)
  },
  paused: (run, act) => {
    states[act.pausedIn ?? "queued"]!(run, act)
    run.pause(id)
  },
  blocked: (run, act) => {
    started(run, act)
    run.give({ _tag: "Block", what: "of another version", ...from(run) })
  },
  running: started,
  pausing: (run, act) => {
    started(run, act)
    run.pause(id)
  },
  asking: (run, act) => {
    started(run, act)
    run.request(id, "claim", { taken: 1 })
  },
  cancelling,
  cleaning: (run, act) => {
    cancelling(run, { ...act, isUndone: true })
    run.interrupted(id)
  },
  succeeded: (run, act) => {
    started(run, act)
    run.succeed(id)
  },
  failed: (run, act) => {
    started(run, act)
    run.fail(id)
  },
  skipped: (run, act) => {
    run.add(itself(act, { notBefore: start + soon, timeToLiveMillis: soon, deadline: start + 1 }))
    run.tick(1)
  },
  cancelled: (run, act) => {
    started(run, act)
    run.cancel(id)
    run.interrupted(id)
  }
}

export const workStates: ReadonlyArray<string> = Object.keys(states)

/** The state of the work in the words of the table. */
export const workStateOf = (run: Driver): string => stateOf(Naive.find(fold(Naive.empty(), run.events), id))

/** A fresh run with its work in a state, ready for a command. */
export const inState = (state: string, act: Act): Driver => {
  const run = openRun(act)
  states[state]!(run, act)
  act.prepare?.(run)
  expect(workStateOf(run)).toBe(state)
  expect(run.state.works.get(id)?.status ?? "absent").toBe(statusOf(state))
  return run
}

/** The status that the state of the table shows as. */
export const statusOf = (state: string): string => {
  if (["delayed", "dependent", "retrying", "paused"].includes(state)) return "waiting"
  if (state === "resumed") return "queued"
  return state === "pausing" || state === "asking" ? "running" : state
}

const from = (run: Driver) => ({ id, start: run.startOf(id) })

/** Calls of the scheduler, as the events that it made. */
const scheduled = (run: Driver): ReadonlyArray<RunEvent> => {
  const before = run.events.length
  run.schedule()
  return run.events.slice(before)
}

const give = (command: (run: Driver) => Command, options: Omit<Act, "give"> = {}): Act => ({
  ...options,
  give: (run) => run.give(command(run))
})

const add = (options: Partial<WorkSpec>): Act => ({ give: (run) => run.add(spec(id, options)) })

const sameKey = (onCollision: WorkSpec["onCollision"]): Act => ({
  spec: { dedupe: "key" },
  give: (run) => run.add(spec("another", { dedupe: "key", ...(onCollision === undefined ? {} : { onCollision }) }))
})

const tick = (millis: number, options: Omit<Act, "give"> = {}): Act => ({ ...options, give: (run) => run.tick(millis) })

const deadline = { spec: { deadline: start + sooner } }

const open = (options: Omit<Act, "give"> = {}, config: Partial<RunConfig> = {}): Act => ({
  ...options,
  give: (run) => run.crash(config)
})

const ask = (control: Parameters<Driver["ask"]>[1], options: Omit<Act, "give"> = {}): Act => ({
  ...options,
  give: (run) => run.ask(id, control)
})

const cancel = (options: Omit<Act, "give"> = {}): Act => ask({ _tag: "CancelWork" }, options)
const pause = (options: Omit<Act, "give"> = {}): Act => ask({ _tag: "PauseWork" }, options)
const goOn = (options: Omit<Act, "give"> = {}): Act => ask({ _tag: "ContinueWork" }, options)
const reprioritize = (priority: number): Act => ask({ _tag: "Reprioritize", priority })

const recorded = { early: (run: Driver) => void run.record(id, "early") }

const toClean = { isUndone: true, hasBegun: true, ...recorded }

const isPaused = { prepare: (run: Driver) => void run.pause(id) }

const record = (step: string, cursor: boolean, options: Omit<Act, "give"> = {}): Act =>
  give(
    (run) => ({ _tag: "RecordStep", step, result: 1, children: [], ...(cursor ? { cursor } : {}), ...from(run) }),
    options
  )

const request = (pool: string, options: Omit<Act, "give"> = {}, more: { hold?: string; until?: string } = {}): Act =>
  give((run) => ({
    _tag: "RequestSlots",
    hold: more.hold ?? "another",
    claims: { [pool]: 1 },
    ...(more.until === undefined ? {} : { until: more.until }),
    ...from(run)
  }), options)

const release = (options: Omit<Act, "give"> = {}): Act =>
  give((run) => ({ _tag: "ReleaseSlots", hold: "kept", ...from(run) }), options)

const fail = (retryIn: number | undefined, options: Omit<Act, "give"> = {}, more: { from?: string } = {}): Act =>
  give((run) => run.failing(id, retryIn, more), options)

const succeed = (options: Omit<Act, "give"> = {}): Act =>
  give((run) => ({ _tag: "Succeed", result: null, children: [], ...from(run) }), options)

const interrupted = (options: Omit<Act, "give"> = {}): Act =>
  give((run) => ({ _tag: "Interrupted", livedMillis: 1, ...from(run) }), options)

const block = (options: Omit<Act, "give"> = {}): Act =>
  give((run) => ({ _tag: "Block", what: "of another version", ...from(run) }), options)

const stuck = (end: "fail" | "retry" | "interrupted", options: Omit<Act, "give"> = {}): Act =>
  give((run) => ({
    _tag: "Stuck",
    keepsSlots: true,
    end: end === "interrupted"
      ? { _tag: "Interrupted", livedMillis: 1, ...from(run) }
      : run.failing(id, end === "fail" ? undefined : soon),
    ...from(run)
  }), options)

/** The handler of an earlier start was given up, and ends now. */
const givenUp: Act = {
  hasBegun: true,
  early: (run) => {
    if (run.startOf(id) > 1) return
    run.give({
      _tag: "Stuck",
      keepsSlots: true,
      end: { _tag: "Interrupted", livedMillis: 1, ...from(run) },
      ...from(run)
    })
    run.schedule()
  },
  give: (run) => run.give({ _tag: "Unstuck", id, start: 1 })
}

/** Two more works settle, of which a run that keeps one forgets all but the later. */
const forget = (options: Omit<Act, "give"> = {}): Act => ({
  ...options,
  config: { retain: { count: 1 } },
  give: (run) => {
    const before = run.events.length
    run.tick(1)
    run.add(spec("last"))
    run.cancel("last")
    return run.events.slice(before)
  }
})

const first = (run: Driver): void => void run.add(spec("first", { dedupe: "key" }))

/** Commands that are brought about in another way in some states. */
export const inOtherWays: { readonly [stateAndCommand: string]: Act } = {
  "queued + same key": { ...sameKey(undefined), hasBegun: true },
  "paused + same key": { ...sameKey(undefined), hasBegun: true },
  "dependent + tick (due)": tick(soon, { spec: { notBefore: start + soon } }),
  "paused + tick (due)": tick(soon, { pausedIn: "delayed" }),
  "paused + dependency met": { pausedIn: "dependent", give: (run) => run.succeed("holder") },
  "paused + dependency fails": { pausedIn: "dependent", give: (run) => run.fail("holder") },
  "absent + unstuck (given up)": {
    config: { retain: { count: 0 } },
    prepare: (run) => {
      run.add(spec(id))
      run.schedule()
      run.give({ _tag: "Stuck", keepsSlots: true, end: run.failing(id, undefined), ...from(run) })
    },
    give: (run) => run.give({ _tag: "Unstuck", id, start: 1 })
  }
}

/** Every command of the work's table, as a row names it. */
export const workCommands: { readonly [command: string]: Act } = {
  add: add({}),
  "add (notBefore)": add({ notBefore: start + soon }),
  "add (after)": add({ after: ["holder"] }),
  "add (after one that failed)": add({ after: ["gone"] }),
  "add (too late)": add({ deadline: start }),
  "add (same key: keep)": { prepare: first, ...add({ dedupe: "key" }) },
  "add (same key: reject)": { prepare: first, ...add({ dedupe: "key", onCollision: "reject" }) },
  "add (unknown pool)": add({ slots: { nowhere: 1 } }),
  "add (unknown dependency)": add({ after: ["nobody"] }),
  "add (circle)": add({ after: [id] }),
  "same key": sameKey(undefined),
  "same key (keep)": sameKey("keep"),
  "same key (replace)": sameKey("replace"),
  "same key (reject)": sameKey("reject"),
  schedule: { give: scheduled },
  "schedule (no room)": {
    prepare: (run) => void run.give({ _tag: "SetLimits", limits: { concurrency: run.state.units }, ...by }),
    give: scheduled
  },
  "schedule (freed)": { prepare: (run) => void run.succeed("holder"), give: scheduled },
  "schedule (freed, paused)": {
    prepare: (run) => {
      run.succeed("holder")
      run.pause(id)
    },
    give: scheduled
  },
  "schedule (freed, another claim waits)": {
    prepare: (run) => {
      run.add(spec("second", { slots: { free: 1 }, priority: -1 }))
      run.schedule()
      run.request(id, "another", { free: 1 })
      run.succeed("holder")
    },
    give: scheduled
  },
  tick: tick(1),
  "tick (due)": tick(soon),
  "tick (deadline)": tick(sooner, deadline),
  "tick (deadline, begun)": tick(sooner, { ...deadline, hasBegun: true, ...recorded }),
  "tick (time to live)": tick(sooner, { spec: { timeToLiveMillis: sooner } }),
  cancel: cancel(),
  "cancel (to clean)": cancel(toClean),
  pause: pause(),
  "pause (paused)": pause(isPaused),
  continue: goOn(),
  "continue (paused)": goOn(isPaused),
  "continue (resumed)": goOn({ pausedIn: "resumed" }),
  "continue (delayed)": goOn({ pausedIn: "delayed" }),
  "continue (dependent)": goOn({ pausedIn: "dependent" }),
  "continue (retrying)": goOn({ pausedIn: "retrying" }),
  reprioritize: reprioritize(-3),
  "reprioritize (the same)": reprioritize(0),
  retry: ask({ _tag: "RetryWork" }),
  "retry (from)": ask({ _tag: "RetryWork", from: "early" }, recorded),
  "retry (from a step that is not recorded)": ask({ _tag: "RetryWork", from: "late" }, recorded),
  open: open(),
  "open (crashed too often)": open({ config: { maxCrashes: 1 } }),
  "open (paused)": open(isPaused),
  "open (to clean)": open(toClean),
  "open (onCancel dropped)": open({}, { kinds: { Undo: kind(), Plain: kind() } }),
  "dependency met": { give: (run) => run.succeed("holder") },
  "dependency met (failed, runs all the same)": {
    spec: { onDependencyFailure: "run" },
    give: (run) => run.fail("holder")
  },
  "dependency met (not the last)": { spec: { after: ["holder", "other"] }, give: (run) => run.succeed("holder") },
  "dependency met (notBefore)": { spec: { notBefore: start + soon }, give: (run) => run.succeed("holder") },
  "dependency fails": { give: (run) => run.fail("holder") },
  forget: forget(),
  "forget (needed)": forget({
    prepare: (run) => void run.add(spec("needs", { after: [id, "holder"], onDependencyFailure: "run" }))
  }),
  recordStep: record("one", false),
  "recordStep (again)": record("early", false, recorded),
  "recordStep (cursor again)": record("at", true, { early: (run) => void run.advance(id, "at", 0) }),
  requestSlots: request("free"),
  "requestSlots (free)": request("free"),
  "requestSlots (free, but somebody comes first)": request("free", {
    prepare: (run) => void run.add(spec("first", { priority: -1, slots: { free: 1 } }))
  }),
  "requestSlots (kept back)": request("lots", {
    config: { reserveAfterMillis: 0, concurrency: 9 },
    prepare: (run) => {
      run.add(spec("uses", { slots: { lots: 1 } }), spec("large", { priority: -1, slots: { lots: 2 } }))
      run.give({ _tag: "Reprioritize", id: "uses", priority: -2, ...by })
      run.schedule()
    }
  }),
  "requestSlots (taken)": request("taken"),
  "requestSlots (again)": request("taken", {}, { hold: "claim" }),
  "requestSlots (held)": request("free", { early: (run) => void run.request(id, "another", { free: 1 }) }),
  "requestSlots (recorded)": request("free", recorded, { until: "early" }),
  "requestSlots (unknown pool)": request("nowhere"),
  releaseSlots: release(),
  "releaseSlots (held)": release({ early: (run) => void run.request(id, "kept", { free: 1 }) }),
  "releaseSlots (not held)": release(),
  succeed: succeed(),
  "succeed (late)": give((run) => ({ _tag: "Succeed", result: null, children: [], id, start: run.startOf(id) - 1 })),
  "succeed (to clean)": succeed(toClean),
  fail: fail(undefined),
  "fail (retry)": fail(soon),
  "fail (retry, paused)": fail(soon, isPaused),
  "fail (retry from)": fail(soon, recorded, { from: "early" }),
  "fail (to clean)": fail(undefined, toClean),
  interrupted: interrupted(),
  "interrupted (paused)": interrupted(isPaused),
  "interrupted (to clean)": interrupted(toClean),
  block: block(),
  "block (to clean)": block(toClean),
  stuck: stuck("fail"),
  "stuck (retry)": stuck("retry"),
  "stuck (retry, paused)": stuck("retry", isPaused),
  "stuck (interrupted)": stuck("interrupted"),
  "stuck (interrupted, paused)": stuck("interrupted", isPaused),
  "stuck (to clean)": stuck("fail", toClean),
  unstuck: give((run) => ({ _tag: "Unstuck", ...from(run) })),
  "unstuck (given up)": givenUp,
  cleaned: give(() => ({ _tag: "Cleaned", id }))
}
