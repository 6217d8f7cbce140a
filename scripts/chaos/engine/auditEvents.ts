/**
 * The accounting of what the journal says, against what had to come out and what was noted.
 */
import { type RunEvent, RunState } from "@espalier/engine"
import { isDeepStrictEqual } from "node:util"
import type { Faults } from "./faults.ts"
import type { Observation } from "./observations.ts"
import { options, type Plan } from "./works.ts"

/** An outcome as text, for comparison; undefined for an event that settles nothing. */
export const outcomeOf = (event: RunEvent.RunEvent): string | undefined => {
  switch (event._tag) {
    case "WorkSucceeded":
      return `succeeded ${JSON.stringify(event.result)}`
    case "WorkFailed":
      return `failed ${JSON.stringify(event.failure)}`
    case "WorkSkipped":
      return `skipped ${JSON.stringify(event.cause)}`
    case "WorkCancelled":
      return `cancelled ${JSON.stringify({ actor: event.actor, reason: event.reason })}`
    default:
      return undefined
  }
}

/** A work as the journal tells of it. */
class Told {
  starts = 0
  attempt = 0
  generation = 0
  outcome: string | undefined = undefined
  /** The steps of the present generation that are recorded, in order, and in which start they were. */
  steps = new Map<string, number>()
  /** All records, with their generation. */
  readonly records = new Map<string, number>()
}

class Tellings {
  readonly works = new Map<string, Told>()
  private readonly faults: Faults

  constructor(faults: Faults) {
    this.faults = faults
  }

  private add(id: string): void {
    if (this.works.has(id)) this.faults.add("a work was added twice", id)
    this.works.set(id, new Told())
  }

  private find(id: string): Told {
    const told = this.works.get(id)
    if (told !== undefined) return told
    this.faults.add("an event of a work that was never added", id)
    const unknown = new Told()
    this.works.set(id, unknown)
    return unknown
  }

  tell(event: RunEvent.RunEvent): void {
    if (event._tag === "WorkAdded") return this.add(event.spec.id)
    if (!("id" in event)) return
    const work = this.find(event.id)
    if (work.outcome !== undefined) this.faults.add("something happened to a settled work", JSON.stringify(event))
    switch (event._tag) {
      case "WorkStarted":
        work.starts += 1
        work.attempt = event.attempt
        break
      case "StepRecorded": {
        // Each row of a cursor counts as a step.
        const step = event.cursor === true ? `${event.step}-${String(event.result)}` : event.step
        if (work.steps.has(step)) this.faults.add("a step was recorded twice", `${event.id} ${step}`)
        work.steps.set(step, work.starts)
        work.records.set(`${work.generation} ${step}`, work.starts)
        break
      }
      case "WorkRetryScheduled": {
        if (event.from === undefined) break
        work.generation += 1
        const steps = Array.from(work.steps)
        work.steps = new Map(steps.slice(0, steps.findIndex(([step]) => step === event.from)))
        break
      }
      default:
        work.outcome = outcomeOf(event) ?? work.outcome
    }
    if ("children" in event && event._tag !== "StepRecorded") { for (const child of event.children) this.add(child.id) }
  }
}

/** Limits at every moment of the run, by the fold of its events. */
const checkLimits = (state: RunState.RunState, event: RunEvent.RunEvent, faults: Faults): void => {
  if (state.units > options.concurrency) faults.add("over concurrency", `${state.units} after ${event._tag}`)
  for (const [name, pool] of state.pools) {
    if (pool.used > pool.size || pool.used < 0) faults.add("pool over-granted", `${name}: ${pool.used} of ${pool.size}`)
  }
  for (const key of state.keys.values()) {
    if (key.running > options.keyLimit) faults.add("over a key's limit", `${key.name}: ${key.running}`)
  }
}

const hasRecord = (work: Told | undefined, generation: number, step: string): boolean => {
  for (let each = 0; each <= generation; each++) if (work?.records.has(`${each} ${step}`) === true) return true
  return false
}

/** The notes against the journal: what was said to somebody must be what the journal has. */
const checkNotes = (
  notes: ReadonlyArray<Observation>,
  works: ReadonlyMap<string, Told>,
  succeeded: ReadonlyArray<number>,
  faults: Faults
): void => {
  for (const note of notes) {
    switch (note._tag) {
      case "run": {
        const work = works.get(note.id)
        const recorded = work?.records.get(`${note.generation} ${note.step}`)
        if (work === undefined || note.start > work.starts) {
          faults.add("an effect of a start that is not recorded", JSON.stringify(note))
        } else if (recorded !== undefined && note.start > recorded) {
          faults.add("a recorded step ran again", JSON.stringify(note))
        }
        break
      }
      case "got":
        // What was recorded in an earlier generation and not dropped is handed out in the later ones too.
        if (!hasRecord(works.get(note.id), note.generation, note.step)) {
          faults.add("a step's result was handed out and is not recorded", JSON.stringify(note))
        }
        break
      case "ended":
        if (works.get(note.id)?.outcome !== `succeeded ${note.value}`) {
          faults.add("an outcome was told that is not recorded", JSON.stringify(note))
        }
        break
      case "status":
        if (succeeded[note.seq - 1] !== note.succeeded) {
          faults.add(
            "a status was shown that is not recorded",
            `${JSON.stringify(note)}, recorded: ${succeeded[note.seq - 1]}`
          )
        }
        break
      default:
    }
  }
}

export interface EventsAccount {
  readonly outcomes: ReadonlyMap<string, string>
  readonly figures: { readonly [name: string]: number }
}

/** `snapshot` is the last one that was saved, where the events up to it are known. */
export const auditEvents = (
  events: ReadonlyArray<RunEvent.RunEvent>,
  notes: ReadonlyArray<Observation>,
  plans: ReadonlyMap<string, Plan>,
  snapshot: { readonly seq: number; readonly parts: ReadonlyArray<unknown> } | undefined,
  faults: Faults
): EventsAccount => {
  const tellings = new Tellings(faults)
  const state = RunState.make()
  const succeeded: Array<number> = []
  let seq = 0
  for (const event of events) {
    seq += 1
    tellings.tell(event)
    RunState.evolve(state, event)
    checkLimits(state, event, faults)
    succeeded.push(state.counts.succeeded)
    if (seq === snapshot?.seq && !isDeepStrictEqual(restored(snapshot.parts), RunState.toSnapshot(state))) {
      faults.add("a snapshot is not the state", `at event ${seq}`)
    }
  }
  if (snapshot !== undefined && snapshot.seq > seq) {
    faults.add("a snapshot of events that are not there", `${snapshot.seq} of ${seq}`)
  }
  const parts = RunState.toSnapshot(state)
  if (!isDeepStrictEqual(restored(parts), parts)) {
    faults.add("a snapshot is not the state", "restored and written again it differs")
  }
  checkNotes(notes, tellings.works, succeeded, faults)

  const outcomes = new Map<string, string>()
  for (const [id, { attempts, outcome, steps }] of plans) {
    const told = tellings.works.get(id)
    if (told?.outcome !== undefined) outcomes.set(id, told.outcome)
    if (told?.outcome !== outcome) faults.add("a wrong outcome", `${id}: ${told?.outcome ?? "none"}, not ${outcome}`)
    if (told === undefined) continue
    if (told.attempt !== attempts) faults.add("a wrong number of attempts", `${id}: ${told.attempt}, not ${attempts}`)
    const records = Array.from(told.records.keys())
    if (records.join() !== steps.join()) faults.add("wrong records", `${id}: ${records.join()}, not ${steps.join()}`)
  }
  for (const id of tellings.works.keys()) if (!plans.has(id)) faults.add("a work that must not be", id)
  // A life that died when all was done is followed by one that finds nothing to do.
  const last = events.findLast(({ _tag }) => _tag !== "RunResumed")?._tag
  if (last !== "RunCompleted") faults.add("the run did not complete", String(last))
  const starts = Array.from(tellings.works.values()).reduce((sum, work) => sum + work.starts, 0)
  return { outcomes, figures: { works: tellings.works.size, events: events.length, starts } }
}

/** Read, and written again. */
const restored = (parts: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  RunState.toSnapshot(RunState.fromSnapshot(parts))
