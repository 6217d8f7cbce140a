/**
 * The invariants of DESIGN section 10, over random programs of commands, handler messages (that keep to the protocol and
 * that do not), clocks and crashes. Each property sees every single event, with the naive model of `support/model.ts`
 * beside it. The seed is fixed: a failure is the same on every machine, and comes with its smallest program.
 */
import { Result } from "effect"
import fc from "fast-check"
import { expect, it } from "vitest"
import type { Heap, Placed } from "../src/internal/heap.ts"
import { RunEvent } from "../src/RunEvent.ts"
import { fold, isSettled, type RunState } from "../src/RunState.ts"
import { check, Invariants, patience } from "./support/invariants.ts"
import * as Naive from "./support/model.ts"
import { program } from "./support/program.ts"
import { projection } from "./support/projection.ts"
import { type Moment, Simulation } from "./support/simulation.ts"

const always = new Invariants({ seed: 20_261, numRuns: 400 })

const idOf = (event: RunEvent): string | undefined => "id" in event ? event.id : undefined

const isSettling = (event: RunEvent): boolean =>
  event._tag === "WorkSucceeded" || event._tag === "WorkFailed" || event._tag === "WorkCancelled"

/** What gives out units and slots. */
const isGiving = (event: RunEvent) => event._tag === "WorkStarted" || event._tag === "SlotsGranted"

/** What such an event gives out. */
const given = (naive: Naive.Naive, event: RunEvent) =>
  event._tag === "SlotsGranted"
    ? event.claims
    : event._tag === "WorkStarted"
    ? Naive.job(naive, event.id).spec.slots ?? {}
    : {}

/** The works that an event adds to the run. */
const added = (event: RunEvent) =>
  event._tag === "WorkAdded"
    ? [event.spec]
    : event._tag === "WorkSucceeded" || event._tag === "WorkFailed"
    ? event.children
    : []

const names = (waiting: ReadonlyArray<Naive.Waiting>): string =>
  waiting.map(({ job, request }) => request === undefined ? job.spec.id : `${job.spec.id}/${request.name}`).join(", ")

always.holds("a settled work never changes, and nothing is recorded about it any more (1)", () => {
  let outcomes = new Map<string, string>()
  return {
    before: ({ event, naive }) => {
      const id = idOf(event)
      check(
        id === undefined || !Naive.isSettled(Naive.job(naive, id)),
        () => `${event._tag} of ${id}, which is settled`
      )
    },
    after: ({ event, replica }) => {
      const id = idOf(event)
      if (id === undefined || !isSettling(event)) return
      const entry = replica.works.get(id)!
      check(entry.outcome !== undefined, () => `${id} has no outcome`)
      outcomes.set(id, JSON.stringify([entry.status, entry.outcome]))
    },
    scheduled: ({ live }) => {
      for (const [id, outcome] of outcomes) {
        const entry = live.works.get(id)
        check(JSON.stringify([entry?.status, entry?.outcome]) === outcome, () => `${id} was ${outcome}`)
      }
    },
    died: ({ naive }) => {
      const settled = new Set(naive.jobs.filter(Naive.isSettled).map((job) => job.spec.id))
      outcomes = new Map(Array.from(outcomes).filter(([id]) => settled.has(id)))
    }
  }
})

const statuses = [
  "queued",
  "waiting",
  "blocked",
  "running",
  "cancelling",
  "cleaning",
  "succeeded",
  "failed",
  "cancelled"
] as const
const poolNames = ["gpu", "disk"]
const kindNames = ["Plain", "Undo", "Single", "Pair"]

/** Every number and every queue that the state keeps, counted afresh. */
const counted = (naive: Naive.Naive): string => {
  const counts = Object.fromEntries(statuses.map((status) => [status, 0]))
  for (const job of naive.jobs) counts[job.status]! += 1
  return [
    `${naive.run}, ${naive.keepOpen ? "kept open" : "closed"}, last at ${naive.lastAt}`,
    `units ${Naive.unitsInUse(naive)}, handlers ${naive.jobs.filter(Naive.isAlive).length}`,
    `unsettled ${Naive.unsettled(naive)} of ${naive.jobs.length}`,
    ...statuses.map((status) => `${status} ${counts[status]}`),
    ...poolNames.map((name) => `${name} ${Naive.usedOfPool(naive, name)} of ${naive.config.pools[name] ?? 0}`),
    ...kindNames.map((name) => `${name} ${Naive.runningOfKind(naive, name)}`),
    `keys ${Array.from(Naive.dedupeKeys(naive), String).sort()}`,
    `wakes ${naive.jobs.flatMap((job) => job.wakeAt === undefined ? [] : [`${job.spec.id} ${job.wakeAt}`]).sort()}`,
    `queue ${
      naive.jobs.flatMap((job) => [
        ...(job.status === "queued" ? [job.spec.id] : []),
        ...job.requests.map((request) => `${job.spec.id}/${request.name}`)
      ]).sort()
    }`
  ].join("\n")
}

/** The same, as the state has it. */
const kept = (state: RunState): string =>
  [
    `${state.name}, ${state.keepOpen ? "kept open" : "closed"}, last at ${state.lastAt}`,
    `units ${state.units}, handlers ${state.handlers}`,
    `unsettled ${state.unsettled} of ${state.arrivals}`,
    ...statuses.map((status) => `${status} ${state.counts[status]}`),
    ...poolNames.map((name) => `${name} ${state.pools.get(name)?.used ?? 0} of ${state.pools.get(name)?.size ?? 0}`),
    ...kindNames.map((name) => `${name} ${state.kinds.get(name)?.running ?? 0}`),
    `keys ${Array.from(state.dedupe, String).sort()}`,
    `wakes ${state.wakes.items.map((wake) => `${wake.entry.spec.id} ${wake.at}`).sort()}`,
    `queue ${
      Array.from(state.groups.values()).flatMap((group) =>
        group.heap.items.map(({ owner, request }) =>
          request === undefined ? owner.spec.id : `${owner.spec.id}/${request.hold}`
        )
      ).sort()
    }`
  ].join("\n")

always.holds("after every event, all that the state keeps is what a count of everything gives (2)", () => ({
  after: ({ naive, replica }) => {
    const expected = counted(naive)
    const actual = kept(replica)
    if (actual !== expected) expect(actual).toBe(expected)
  }
}))

const isSame = (a: Iterable<string>, b: Iterable<string>): boolean =>
  Array.from(a).sort().join() === Array.from(b).sort().join()

always.holds("after every event, each work is in the state that its events tell (2)", () => ({
  after: ({ naive, replica }) => {
    check(replica.works.size === naive.jobs.length, () => `${replica.works.size} works of ${naive.jobs.length}`)
    for (const job of naive.jobs) {
      const entry = replica.works.get(job.spec.id)!
      const isAsExpected = entry.status === job.status && entry.arrival === job.arrival && entry.resumed === job.resumed
      check(
        isAsExpected,
        () => `${job.spec.id}: ${entry.status} ${entry.resumed}, expected ${job.status} ${job.resumed}`
      )
      check(entry.spec.priority === job.spec.priority && entry.spec.kind === job.spec.kind, () => job.spec.id)
      if (Naive.isSettled(job)) continue
      const { live } = entry
      check((live?.livedMillis ?? 0) === job.livedMillis, () => `${job.spec.id} lived ${live?.livedMillis}`)
      check((live?.failures.length ?? 0) === job.failures.length, () => `failures of ${job.spec.id}`)
      check(isSame(live?.steps.keys() ?? [], job.steps.map((step) => step.name)), () => `steps of ${job.spec.id}`)
      check(isSame(live?.holds.keys() ?? [], job.holds.map((hold) => hold.name)), () => `holds of ${job.spec.id}`)
      check(
        isSame(live?.requests.keys() ?? [], job.requests.map((one) => one.name)),
        () => `requests of ${job.spec.id}`
      )
    }
  }
}))

const isHeap = <A extends Placed>(heap: Heap<A>): boolean =>
  heap.items.every((item, index) =>
    item.index === index && (index === 0 || !heap.before(item, heap.items[(index - 1) >>> 1]!))
  )

always.holds("every queue is a heap whose members know their place", () => ({
  after: ({ replica }) => {
    const isSound = isHeap(replica.wakes) && Array.from(replica.groups.values()).every((group) => isHeap(group.heap))
    check(isSound, () => projection(replica))
  }
}))

always.holds("every added work is brought to its end: none is lost, none is doubled (2)", () => ({
  drained: (simulation) => {
    const ids = simulation.events.flatMap(added).map((spec) => spec.id)
    check(new Set(ids).size === ids.length, () => `added more than once: ${ids.join(" ")}`)
    const left = Array.from(simulation.live.works.values()).filter((entry) => !isSettled(entry.status))
    check(left.length === 0, () => left.map((entry) => `${entry.spec.id} is ${entry.status}`).join())
    check(isSame(simulation.live.works.keys(), ids), () => `added were ${ids.join()}`)
    check(/^(completed|cancelled)$/.test(simulation.live.name), () => `the run is ${simulation.live.name}`)
  }
}))

always.holds("when everything is settled no unit, handler, slot, key, place in a queue or timer is left", () => ({
  drained: ({ live }) => {
    const left = {
      units: live.units,
      handlers: live.handlers,
      unsettled: live.unsettled,
      pools: Array.from(live.pools.values()).filter((pool) => pool.used !== 0),
      kinds: Array.from(live.kinds.values()).filter((kind) => kind.running !== 0),
      begun: live.begun.size,
      dedupe: live.dedupe.size,
      wakes: live.wakes.items.length,
      queued: Array.from(live.groups.values()).flatMap((group) => group.heap.items).length,
      records: Array.from(live.works.values()).flatMap((entry) =>
        entry.live === undefined ? [] : [...entry.live.steps, ...entry.live.holds, ...entry.live.requests]
      )
    }
    expect(left).toEqual({
      units: 0,
      handlers: 0,
      unsettled: 0,
      pools: [],
      kinds: [],
      begun: 0,
      dedupe: 0,
      wakes: 0,
      queued: 0,
      records: []
    })
  }
}))

always.holds("a child is in the run if and only if the record that settles its parent carries it (3)", () => ({
  before: ({ event, naive, source }) => {
    if (event._tag === "WorkAdded") check(source._tag === "Start" || source._tag === "Add", () => source._tag)
    if (event._tag !== "WorkSucceeded" && event._tag !== "WorkFailed") return
    if (source._tag !== "Succeed" && source._tag !== "Fail") throw new Error(`${source._tag} settled ${event.id}`)
    const parent = Naive.job(naive, event.id)
    const on = event._tag === "WorkSucceeded" ? "success" : "failure"
    const expected = Naive.childrenOf(naive, parent, source.children, on)
    if (expected.length > 0 || event.children.length > 0) expect(event.children).toEqual(expected)
  },
  drained: (simulation) => {
    const carried = simulation.events.flatMap(added).filter((spec) => spec.parent !== undefined)
    const present = simulation.naive.jobs.map((job) => job.spec).filter((spec) => spec.parent !== undefined)
    check(isSame(carried.map((spec) => spec.id), present.map((spec) => spec.id)), () => "not all children are there")
    for (const { id, parent } of present) {
      const { status } = Naive.job(simulation.naive, parent!)
      check(status === "succeeded" || status === "failed", () => `the parent of ${id} is ${status}`)
    }
  }
}))

always.holds("a batch is added whole or not at all, and what has the key of a queued work is merged into it", () => {
  let expected: string | undefined
  let events: Array<string> = []
  return {
    before: ({ event, naive, source }) => {
      if (source._tag !== "Add" && source._tag !== "Start") return
      expected ??= Naive.merge(naive, source.specs).map((spec) => spec.id).join()
      if (event._tag === "WorkAdded") events.push(event.spec.id)
    },
    answered: (command, outcome, { naive }) => {
      if (command._tag !== "Add" && command._tag !== "Start") return
      if (Result.isSuccess(outcome)) {
        check(events.join() === (expected ?? ""), () => `${events.join()}; not ${expected}`)
      } else {
        const { failure } = outcome
        check(events.length === 0, () => `${failure._tag}, and added ${events.join()}`)
        if (failure._tag === "DuplicateWork") {
          const specs = [...naive.jobs.map((job) => job.spec), ...command.specs]
          check(specs.filter((spec) => spec.id === failure.id).length > 1, () => `${failure.id} is no duplicate`)
        } else if (failure._tag === "InvalidWork") {
          check(!(failure.field.replace("slots.", "") in naive.config.pools), () => failure.message)
        } else if (command._tag === "Add") {
          check(/absent|suspend|cancel/.test(naive.run), () => `${failure._tag} while ${naive.run}`)
        }
      }
      expected = undefined
      events = []
    }
  }
})

always.holds("running works never exceed concurrency, a kind's limit, or a pool (4)", () => ({
  after: ({ event, naive }) => {
    if (!isGiving(event)) return
    const { concurrency, kinds, pools } = naive.config
    check(Naive.unitsInUse(naive) <= concurrency, () => `${Naive.unitsInUse(naive)} units, concurrency ${concurrency}`)
    for (const name in kinds) {
      const running = Naive.runningOfKind(naive, name)
      check(running <= (kinds[name]!.limit ?? Infinity), () => `${running} of ${name}`)
    }
    // A pool may be over its size after an open that made it smaller; then nothing of it is given out.
    for (const name in given(naive, event)) {
      const used = Naive.usedOfPool(naive, name)
      check(used <= (pools[name] ?? 0), () => `${used} of ${name}`)
    }
  },
  scheduled: ({ naive }) => check(Naive.unitsInUse(naive) <= naive.config.concurrency, () => "over concurrency")
}))

always.holds("a kind that this deployment lost starts no work: its works wait (4)", () => ({
  before: ({ event, naive }) => {
    if (event._tag !== "WorkStarted") return
    const { kind } = Naive.job(naive, event.id).spec
    check(kind in naive.config.kinds, () => `${event.id} of ${kind}`)
  }
}))

always.holds("of all that may start the first in order starts first, and whatever may start is started (5)", () => ({
  before: ({ event, naive, source }) => {
    if (source._tag !== "Schedule") {
      check(event._tag !== "WorkStarted", () => `${source._tag} started a work`)
      return
    }
    const all = Naive.mayStart(naive)
    const chosen = all.find(({ job, request }) =>
      job.spec.id === idOf(event) &&
      (event._tag === "SlotsGranted"
        ? request?.name === event.hold
        : event._tag === "WorkStarted" && request === undefined)
    )
    if (chosen === undefined) throw new Error(`${event._tag} of ${idOf(event)}; may start: ${names(all)}`)
    const earlier = all.filter(({ job }) => Naive.comesBefore(job, chosen.job))
    check(earlier.length === 0, () => `${names([chosen])} before ${names(earlier)}`)
  },
  scheduled: ({ naive }) => {
    const left = Naive.mayStart(naive)
    check(left.length === 0, () => `left to start: ${names(left)}`)
  }
}))

always.holds("a free claim is granted at once if nobody who waits for it comes first, else it is queued (5)", () => ({
  before: ({ event, naive, source }) => {
    if (source._tag !== "RequestSlots") return
    if (event._tag !== "SlotsGranted" && event._tag !== "SlotsRequested") return
    const asker = Naive.job(naive, event.id)
    const rivals = Naive.ready(naive).filter(({ job, request }) =>
      Naive.comesBefore(job, asker) &&
      Object.keys((request === undefined ? job.spec.slots : request.claims) ?? {}).some((pool) => pool in event.claims)
    )
    const isFree = asker.requests.length === 0 && Naive.fits(naive, event.claims) && rivals.length === 0
    check((event._tag === "SlotsGranted") === isFree, () => `${event._tag} of ${event.id}; before it: ${names(rivals)}`)
  }
}))

always.holds("a claim has exactly one answer, and none for a step that is recorded", () => {
  let events: Array<string> = []
  return {
    before: ({ event, source }) => {
      if (source._tag === "RequestSlots") events.push(event._tag)
    },
    answered: (command, outcome, { naive }) => {
      if (command._tag !== "RequestSlots") return
      const answers = events.filter((tag) => tag === "SlotsGranted" || tag === "SlotsRequested")
      events = []
      if (Result.isFailure(outcome)) return check(answers.length === 0, () => answers.join())
      const { holds, requests, steps } = Naive.job(naive, command.id)
      const isOver = steps.some((step) => step.name === command.until || step.name === command.step)
      const isHeld = holds.some((hold) => hold.name === command.hold)
      const isAsked = requests.some((request) => request.name === command.hold)
      check(answers.length <= 1, () => answers.join())
      check(answers.length === 1 || isHeld || isOver, () => `${command.hold} of ${command.id} is not answered`)
      check(answers.length === 0 || (!isOver && isHeld !== isAsked), () => `${command.hold} of ${command.id}`)
    }
  }
})

always.holds("the attempt number counts failures, not suspends and crashes", () => ({
  before: ({ event, naive }) => {
    if (event._tag !== "WorkStarted") return
    const failures = Naive.job(naive, event.id).failures.length
    check(event.attempt === failures + 1, () => `attempt ${event.attempt} of ${event.id} after ${failures} failures`)
  }
}))

always.holds("recorded steps survive retries, suspends and crashes (6)", () => {
  const all = (state: RunState): Map<string, string> =>
    new Map(
      Array.from(state.works.values()).flatMap((entry) =>
        isSettled(entry.status)
          ? []
          : Array.from(entry.live?.steps ?? [], ([name, step]) => [`${entry.spec.id}/${name}`, JSON.stringify(step)])
      )
    )
  let recorded = new Map<string, string>()
  const look = (state: RunState): void => {
    const now = all(state)
    for (const [step, result] of recorded) {
      const isUnsettled = !isSettled(state.works.get(step.split("/")[0]!)!.status)
      check(now.get(step) === result || !isUnsettled, () => `${step} was ${result} and is ${now.get(step)}`)
    }
    recorded = now
  }
  return {
    before: ({ event }) => {
      if (event._tag === "StepRecorded") recorded.delete(`${event.id}/${event.step}`)
    },
    scheduled: ({ live }) => look(live),
    died: ({ live }) => {
      recorded = all(live)
    },
    answered: (command, _outcome, { live }) => {
      if (command._tag === "Open") look(live)
    }
  }
})

always.holds("after cancel nothing of a work starts but its clean-up (8)", () => ({
  before: ({ event, naive }) => {
    const tag = event._tag
    const id = idOf(event)
    if (id === undefined) {
      check(
        naive.run !== "cancelling" || tag === "RunCancelled" || tag === "RunResumed",
        () => `${tag} while cancelling`
      )
      return
    }
    const { status } = Naive.job(naive, id)
    const isEnding = tag === "StepRecorded" || tag === "SlotsReleased" || tag === "WorkCleaning" ||
      tag === "WorkCancelled"
    check(status !== "cancelling" || isEnding, () => `${tag} of ${id} while it is cancelling`)
    check(
      status !== "cleaning" || tag === "WorkCleaning" || tag === "WorkCancelled",
      () => `${tag} of ${id} while it is cleaning`
    )
    check(
      naive.run !== "cancelling" || isEnding || tag === "WorkCancelling",
      () => `${tag} of ${id} while the run is cancelling`
    )
  },
  answered: (_command, outcome, { naive }) => {
    if (Result.isFailure(outcome) || naive.run !== "cancelling") return
    const left = naive.jobs.find((job) =>
      !Naive.isSettled(job) && job.status !== "cancelling" && job.status !== "cleaning"
    )
    check(left === undefined, () => `${left!.spec.id} is ${left!.status} in a cancelling run`)
  }
}))

always.holds("a work that had begun is cleaned up if its kind asks for that, and no other is (8)", () => {
  const mustClean = ({ event, naive, source }: Moment): boolean => {
    const job = Naive.job(naive, idOf(event)!)
    const kind = source._tag === "Open" ? source.config.kinds[job.spec.kind] : naive.config.kinds[job.spec.kind]
    const hasRun = source._tag === "Block" ? Naive.hasRecords(job) : job.begun || Naive.isAlive(job)
    return hasRun && (kind?.onCancel ?? naive.onCancel[job.spec.kind] ?? false)
  }
  return {
    before: (moment) => {
      const { event, naive, source } = moment
      if (event._tag === "WorkCleaning") {
        const isStarted = Naive.job(naive, event.id).status === "cleaning" && source._tag !== "Open"
        check(isStarted || mustClean(moment), () => `${event.id} is cleaned`)
      }
      if (event._tag !== "WorkCancelled") return
      if (Naive.job(naive, event.id).status === "cleaning" && source._tag === "Cleaned") return
      check(!mustClean(moment), () => `${event.id} is not cleaned`)
    }
  }
})

always.holds("an attempt ends by the word of its own handler, or when a new process opens the run", () => ({
  before: ({ event, naive, source }) => {
    const id = idOf(event)
    if (id === undefined || event._tag === "WorkCancelling") return
    const job = Naive.job(naive, id)
    const isEnd = /^Work(Succeeded|Failed|RetryScheduled|Interrupted|Blocked|Cleaning|Cancelled)$/.test(event._tag)
    if (!isEnd || !Naive.isAlive(job) || source._tag === "Open") return
    const isItsOwn = "attempt" in source && source.id === id && source.attempt === job.attempt
    check(isItsOwn, () => `${event._tag} of ${id}, which is ${job.status}, by ${source._tag}`)
  }
}))

always.holds("a run completes if and only if it is not kept open and nothing is unsettled (9)", () => ({
  before: ({ event, naive }) => {
    if (event._tag !== "RunCompleted") return
    check(!naive.keepOpen && Naive.unsettled(naive) === 0, () => `completed with ${Naive.unsettled(naive)} unsettled`)
    check(/^(running|pausing|paused)$/.test(naive.run), () => `completed while ${naive.run}`)
  },
  answered: (_command, _outcome, { naive }) => {
    const isDry = !naive.keepOpen && Naive.unsettled(naive) === 0
    check(!isDry || /^(completed|cancelled|suspended|absent)$/.test(naive.run), () => `dry, and ${naive.run}`)
    check(naive.run !== "completed" || Naive.unsettled(naive) === 0, () => "completed, with works to do")
  }
}))

always.holds("paused, suspended and cancelled are reached as soon as no handler is alive, and not before", () => ({
  answered: (_command, _outcome, { naive }) => {
    const alive = naive.jobs.filter(Naive.isAlive).length
    const unsettled = Naive.unsettled(naive)
    const { run } = naive
    check(alive === 0 || (run !== "paused" && run !== "suspended"), () => `${run} with ${alive} handlers`)
    check(alive > 0 || (run !== "pausing" && run !== "suspending"), () => `still ${run}`)
    check(unsettled === 0 || run !== "cancelled", () => `cancelled with ${unsettled} unsettled`)
    check(unsettled > 0 || run !== "cancelling", () => "still cancelling")
  }
}))

always.holds("a work that waits is queued as soon as its time has come, and not before", () => ({
  before: ({ event, naive }) => {
    if (event._tag !== "WorkQueued") return
    const { wakeAt } = Naive.job(naive, event.id)
    check(wakeAt !== undefined && wakeAt <= event.at, () => `${event.id} at ${event.at} instead of ${wakeAt}`)
  },
  answered: (_command, outcome, { naive, now }) => {
    if (Result.isFailure(outcome)) return
    const late = naive.jobs.find((job) => job.wakeAt !== undefined && job.wakeAt <= now)
    check(late === undefined, () => `${late!.spec.id} still waits for ${late!.wakeAt} at ${now}`)
  }
}))

always.holds("what is held across steps is held across crashes, and given to nobody else meanwhile (12)", () => {
  let heldAtDeath: ReadonlyArray<readonly [string, string]> = []
  return {
    died: ({ naive }) => {
      heldAtDeath = naive.jobs.flatMap((job) =>
        job.holds.filter((hold) => hold.step === undefined).map((hold) => [job.spec.id, hold.name] as const)
      )
    },
    answered: (command, _outcome, { live }) => {
      if (command._tag !== "Open") return
      for (const [id, hold] of heldAtDeath) {
        const entry = live.works.get(id)!
        check(isSettled(entry.status) || entry.live!.holds.has(hold), () => `${id} has lost ${hold}`)
      }
      for (const entry of live.works.values()) {
        for (const [name, hold] of entry.live?.holds ?? []) {
          check(hold.step === undefined, () => `${entry.spec.id} still has ${name} of the step ${hold.step}`)
        }
      }
    },
    before: ({ event, naive }) => {
      if (!isGiving(event)) return
      const claims = given(naive, event)
      check(Naive.fits(naive, claims), () => `${idOf(event)} gets ${JSON.stringify(claims)}, which others hold`)
    }
  }
})

always.holds("slots of a step are given back with its record, and so are those held until then", () => ({
  after: ({ event, replica }) => {
    if (event._tag !== "StepRecorded") return
    for (const [name, hold] of replica.works.get(event.id)!.live!.holds) {
      check(
        hold.step !== event.step && hold.until !== event.step,
        () => `${event.id} keeps ${name} after ${event.step}`
      )
    }
  }
}))

always.holds("time never goes back, and every event carries the time of its command", () => {
  let now = 0
  return {
    before: ({ event, naive }) => {
      check(event.at >= naive.lastAt && event.at >= now, () => `${event._tag} at ${event.at}, after ${naive.lastAt}`)
      now = event.at
    },
    answered: (_command, outcome, { now }) => {
      if (Result.isFailure(outcome)) return
      for (const event of outcome.success) {
        check(event.at === now, () => `${event._tag} at ${event.at} instead of ${now}`)
      }
    },
    after: ({ event, replica }) => check(replica.lastAt === event.at, () => `last at ${replica.lastAt}`)
  }
})

always.holds("the messages of an attempt that is over are late, and those of a live one are not", () => ({
  answered: (command, outcome, { naive }) => {
    if (!("attempt" in command)) return
    const job = naive.jobs.find((each) => each.spec.id === command.id)
    const isLate = Result.isFailure(outcome) && outcome.failure._tag === "Late"
    const isUnknown = job === undefined || job.starts === 0 || job.attempt !== command.attempt
    check(!isUnknown || isLate, () => `${command._tag} of an attempt that is not was taken`)
    // What is refused has changed nothing: the model still shows to whom it was said.
    const isLive = !isUnknown && (command._tag === "RequestSlots" ? job.status === "running" : Naive.isAlive(job))
    check(!isLate || !isLive, () => `${command._tag} of ${command.id} was ignored`)
  }
}))

const reached = new Map<string, number>()
const count = (tag: string): void => void reached.set(tag, (reached.get(tag) ?? 0) + 1)

always.watch(() => ({
  after: ({ event, source }) => {
    count(event._tag)
    if (event._tag === "SlotsGranted" && source._tag === "Schedule") count("granted later")
    if ((event._tag === "WorkSucceeded" || event._tag === "WorkFailed") && event.children.length > 0) count("children")
  },
  answered: (_command, outcome) => {
    if (Result.isFailure(outcome)) count(outcome.failure._tag)
  }
}))

it("the programs reach every event and every refusal many times", () => {
  const refusals = ["RunNotAccepting", "DuplicateWork", "WorkNotFound", "WorkSettled", "InvalidWork", "Late"]
  const expected = [
    ...RunEvent.members.map((member) => member.fields._tag.schema.literal),
    ...refusals,
    "granted later",
    "children"
  ]
  expect(expected.filter((tag) => (reached.get(tag) ?? 0) < 30)).toEqual([])
})

it("folding the journal from its JSON gives the state that was reached live (7)", patience, () => {
  fc.assert(
    fc.property(program(), (each) => {
      let batches = 0
      new Simulation({
        scheduled: ({ live, replica }) => {
          if (batches++ % 3 === 0) expect(projection(replica)).toBe(projection(live))
        },
        drained: (simulation) => expect(projection(fold(simulation.events))).toBe(projection(simulation.live))
      }).run(each)
    }),
    { seed: 7, numRuns: 100 }
  )
})

it("deciding changes nothing, and a refused command leaves the state as it was", patience, () => {
  fc.assert(
    fc.property(program(), (each) => new Simulation({}, { checksPurity: true }).run(each)),
    { seed: 8, numRuns: 60 }
  )
})
