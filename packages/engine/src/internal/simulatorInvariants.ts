/**
 * The invariants of DESIGN section 10, each stated on its own: what the naive model says is held against them as well.
 * The first numbers are theirs. 10 and 11 are the world's: `SimulatedProcess` and `World` see to them.
 */
import { Result } from "effect"
import type { RunEvent } from "../RunEvent.ts"
import type { WorkSpec } from "../WorkSpec.ts"
import { type Source, type Watch, watchAll } from "./simulatorAuditor.ts"
import { check, show } from "./simulatorCheck.ts"
import {
  find,
  handlers,
  isAlive,
  isSettled,
  type Job,
  job,
  limitOfKey,
  type Naive,
  runningOfKey,
  runningOfKind,
  sizeOfPool,
  unitsInUse,
  unsettled,
  usedOfPool
} from "./simulatorModel.ts"

/** The works that an event adds to the run. */
export const addedBy = (event: RunEvent): ReadonlyArray<WorkSpec> =>
  event._tag === "WorkAdded"
    ? [event.spec]
    : event._tag === "WorkSucceeded" || event._tag === "WorkFailed"
    ? event.children
    : []

const idOf = (event: RunEvent): string | undefined => ("id" in event ? event.id : undefined)

/** 1: a settled work does not run again and its outcome does not change, within its generation. */
const settledStays = (event: RunEvent, naive: Naive): void => {
  const it = find(naive, idOf(event) ?? "")
  const isAllowed = event._tag === "WorkRetried" || event._tag === "WorkUnstuck"
  check(
    it === undefined || isAllowed || !isSettled(it),
    () => `${event._tag} of ${it!.spec.id}, which is ${it!.status}`
  )
}

/** 2: no id is given twice. */
const addedOnce = (event: RunEvent, naive: Naive): void => {
  const added = addedBy(event)
  for (const spec of added) {
    check(find(naive, spec.id) === undefined, () => `${spec.id} is added, and is in the run already`)
    check(added.filter(({ id }) => id === spec.id).length === 1, () => `${spec.id} is added twice by one event`)
  }
}

/** 3: a child comes with the settlement of its parent, and in no other way. */
const childrenComeWithParents = (event: RunEvent, naive: Naive, source: Source): void => {
  if (event._tag === "WorkAdded") {
    check(source._tag === "Start" || source._tag === "Add", () => `${event.spec.id} is added by ${source._tag}`)
  }
  if (event._tag !== "WorkSucceeded" && event._tag !== "WorkFailed") return
  const on = event._tag === "WorkSucceeded" ? "success" : "failure"
  const parent = job(naive, event.id)
  const recorded = parent.steps.flatMap((step) => step.children)
  const end = source._tag === "Stuck" ? source.end : source
  // One that expires between two attempts leaves nothing of the attempt that failed before.
  const isItsEnd = isAlive(parent) && "children" in end && "id" in end && end.id === event.id
  const own = isItsEnd ? end.children : []
  const spawned = [...recorded, ...own].filter((child) => child.on === on || child.on === "always")
  for (const spec of event.children) {
    check(
      spawned.some((child) => child.spec === spec || child.spec.id === spec.id),
      () => `${event.id} leaves ${spec.id}, which it never spawned`
    )
  }
  for (const { spec } of spawned) {
    const isThere = event.children.some(({ id }) => id === spec.id) || find(naive, spec.id) !== undefined
    check(isThere || spec.dedupe !== undefined, () => `${event.id} is settled, and its child ${spec.id} is lost`)
  }
}

/** 4 and 12: running works do not exceed concurrency, a pool, a key's limit or a kind's when something is given out. */
const withinLimits = (event: RunEvent, naive: Naive, source: Source): void => {
  if (event._tag !== "WorkStarted" && event._tag !== "SlotsGranted") return
  const { concurrency, kinds } = naive.config
  const { key, kind, slots } = job(naive, event.id).spec
  // Whoever is granted a claim at once has its unit already: there may be fewer than that by now.
  const isLeft = source._tag === "RequestSlots" || unitsInUse(naive) <= concurrency
  check(isLeft, () => `${unitsInUse(naive)} units in use, concurrency ${concurrency}`)
  const claims = event._tag === "SlotsGranted" ? event.claims : slots
  for (const pool in claims) {
    const [used, size] = [usedOfPool(naive, pool), sizeOfPool(naive, pool)]
    check(used <= size, () => `${used} of ${pool} in use, of ${size}`)
  }
  if (event._tag === "SlotsGranted") return
  const limit = kinds[kind]?.limit ?? Infinity
  check(kind in kinds, () => `${event.id} starts, and nobody has a handler for ${kind}`)
  check(runningOfKind(naive, kind) <= limit, () => `${runningOfKind(naive, kind)} of ${kind} run, limit ${limit}`)
  if (key === undefined) return
  check(runningOfKey(naive, key) <= limitOfKey(naive, key), () => `${runningOfKey(naive, key)} of ${key} run`)
  check(!naive.pausedKinds.includes(kind) && !naive.pausedKeys.includes(key), () => `${event.id} starts, and is paused`)
}

/** 6: what is recorded is not recorded again in its generation, unless it is a cursor. */
const recordedOnce = (event: RunEvent, naive: Naive): void => {
  if (event._tag !== "StepRecorded") return
  const earlier = job(naive, event.id).steps.find((step) => step.name === event.step)
  check(
    earlier === undefined || (earlier.isCursor && event.cursor === true),
    () => `${event.step} of ${event.id} is recorded again`
  )
}

const ending = new Set([
  "StepRecorded",
  "SlotsReleased",
  "WorkCleaning",
  "WorkCancelled",
  "WorkStuck",
  "WorkUnstuck"
])

/** 8: after cancel nothing of a work starts but its clean-up. */
const cancelIsTheEnd = (event: RunEvent, naive: Naive): void => {
  const it = find(naive, idOf(event) ?? "")
  if (it === undefined) {
    const isQuiet = /^(RunCancelled|RunResumed|WorksForgotten|WorkUnstuck)$/.test(event._tag)
    return check(naive.run !== "cancelling" || isQuiet, () => `${event._tag} while the run is cancelling`)
  }
  check(
    it.status !== "cancelling" || ending.has(event._tag),
    () => `${event._tag} of ${it.spec.id}, which is cancelling`
  )
  const isClean = /^Work(Cleaning|Cancelled|Unstuck)$/.test(event._tag)
  check(it.status !== "cleaning" || isClean, () => `${event._tag} of ${it.spec.id}, which is cleaned up`)
}

/** 9: a run that is not held open completes if and only if nothing is left; and the like for its other states. */
const runIsWhatItsWorksAre = (naive: Naive): void => {
  const left = unsettled(naive)
  const alive = handlers(naive)
  const { run } = naive
  const isOpen = run === "running" || run === "pausing" || run === "paused"
  check(!isOpen || naive.isKeptOpen || left > 0, () => `nothing is left to do, and the run is ${run}`)
  check(run !== "completed" || left === 0, () => `the run is completed, and ${left} works are not settled`)
  check(
    alive === 0 || (run !== "paused" && run !== "suspended"),
    () => `the run is ${run}, and ${alive} handlers are alive`
  )
  check(alive > 0 || (run !== "pausing" && run !== "suspending"), () => `no handler is alive, and the run is ${run}`)
  check(left === 0 || run !== "cancelled", () => `the run is cancelled, and ${left} works are not settled`)
  check(left > 0 || run !== "cancelling", () => `nothing is left, and the run is ${run}`)
  if (run !== "cancelling") return
  const spared = naive.jobs.find((it) => !isSettled(it) && it.status !== "cancelling" && it.status !== "cleaning")
  check(spared === undefined, () => `${spared!.spec.id} is ${spared!.status} in a run that is cancelling`)
}

const heldAcross = (it: Job): ReadonlyArray<string> =>
  it.holds.filter((hold) => hold.step === undefined).map((hold) => hold.name)

/** 12: what is held across steps is held across crashes, and no handler outlives its process. */
const holdsOutlive = (): Watch => {
  let held: ReadonlyArray<readonly [id: string, holds: ReadonlyArray<string>]> = []
  return {
    restarted: (naive) => {
      held = naive.jobs.filter((it) => it.holds.length > 0).map((it) => [it.spec.id, heldAcross(it)] as const)
    },
    answered: (command, outcome, naive) => {
      if (command._tag !== "Open" || Result.isFailure(outcome)) return
      for (const [id, holds] of held) {
        const it = find(naive, id)
        if (it === undefined || isSettled(it)) continue
        check(
          show(heldAcross(it)) === show(holds),
          () => `${id} held ${show(holds)}, and holds ${show(heldAcross(it))}`
        )
      }
      const alive = naive.jobs.find(isAlive)
      const isNew = alive === undefined || naive.run === "cancelled"
      check(isNew, () => `${alive!.spec.id} is ${alive!.status} in a process that has just begun`)
    }
  }
}

const timeGoesOn = (): Watch => {
  let lastAt = 0
  return {
    before: (event) => {
      check(event.at >= lastAt, () => `${event._tag} at ${event.at}, after ${lastAt}`)
      lastAt = event.at
    },
    answered: (_, outcome) => {
      if (Result.isFailure(outcome)) return
      for (const { _tag, at } of outcome.success) {
        check(at === lastAt, () => `${_tag} at ${at}, among events at ${lastAt}`)
      }
    },
    restarted: (naive) => {
      lastAt = naive.lastAt
    }
  }
}

/** Each as a sentence, with a watch that throws when it does not hold. */
export const invariants: ReadonlyArray<readonly [sentence: string, make: () => Watch]> = [
  [
    "a settled work does not run again, and nothing is recorded about it, in its generation (1)",
    () => ({ before: settledStays })
  ],
  ["no id is in a run twice (2)", () => ({ before: addedOnce })],
  [
    "a child is in the run if and only if the settlement of its parent carries it (3)",
    () => ({ before: childrenComeWithParents })
  ],
  [
    "running works never exceed concurrency, a kind's limit, a key's limit, or a pool (4, 12)",
    () => ({ after: withinLimits })
  ],
  ["a recorded step is not recorded again in its generation (6)", () => ({ before: recordedOnce })],
  ["after cancel nothing of a work starts but its clean-up (8)", () => ({ before: cancelIsTheEnd })],
  [
    "a run completes if and only if it is not kept open and nothing is unsettled, and is in its other states likewise (9)",
    () => ({
      answered: (_, outcome, naive) => {
        if (Result.isSuccess(outcome)) runIsWhatItsWorksAre(naive)
      }
    })
  ],
  ["what is held across steps is held across crashes (12)", holdsOutlive],
  ["time never goes back, and every event carries the time of its command", timeGoesOn]
]

/** All of them, over one run. */
export const allInvariants = (): Watch => watchAll(invariants.map(([, make]) => make()))

/** When a run has come to its end: 2, none is lost; 3, children are there; nothing is left over. */
export const checkEnd = (naive: Naive, events: ReadonlyArray<RunEvent>): void => {
  check(/^(completed|cancelled)$/.test(naive.run), () => `the run has come to its end, and is ${naive.run}`)
  const expected = new Set<string>()
  for (const event of events) {
    for (const spec of addedBy(event)) expected.add(spec.id)
    if (event._tag === "WorksForgotten") { for (const id of event.ids) expected.delete(id) }
  }
  const there = naive.jobs.map((it) => it.spec.id)
  check(
    there.length === expected.size && there.every((id) => expected.has(id)),
    () => `in the run are ${there.join()}; added were ${Array.from(expected).join()}`
  )
  for (const it of naive.jobs) {
    check(isSettled(it), () => `the run has come to its end, and ${it.spec.id} is ${it.status}`)
    check(it.holds.length === 0 && it.requests.length === 0, () => `${it.spec.id} has settled and holds something`)
  }
  check(unitsInUse(naive) === 0 && handlers(naive) === 0, () => "units are in use at the end")
}
