/**
 * A timed acquisition: images and light pulses, each at its time, at two positions of one stage.
 *
 * Who may run when is said as data, and the engine does the rest: each event waits until its time (`notBefore`); the stage is a
 * pool of one unit, so no two events ever use it together; of what is due at the same time, images go first (`priority`).
 */
import { CurrentWork, Progress, type Run, Step, WorkEngine } from "@espalier/engine"
import { Clock, Duration, Effect, Schema } from "effect"
import { Image, PulseInDoubt, Stimulate } from "./kinds.ts"
import { Microscope } from "./microscope.ts"
import { plan } from "./plan.ts"
import { timeline } from "./timeline.ts"

export class Acquisition extends WorkEngine.Service<Acquisition>()("acquisition/Acquisition", {
  kinds: [Image, Stimulate]
}) {}

/** The run of a plan. */
export type PlanRun = Run.Run<typeof Image | typeof Stimulate>

export const ImageLive = Image.toLayer(
  Effect.fn("Image")(function*({ exposureMillis, position }) {
    const microscope = yield* Microscope
    yield* Progress.report({ current: 0, total: 2, stage: `moves to ${position}` })
    yield* microscope.moveTo(position)
    yield* Progress.report({ current: 1, total: 2, stage: "exposes" })
    return yield* microscope.expose(exposureMillis)
  })
)

export const StimulateLive = Stimulate.toLayer(
  Effect.fn("Stimulate")(function*({ position, pulseMillis }) {
    const microscope = yield* Microscope
    const work = yield* CurrentWork.CurrentWork
    yield* microscope.moveTo(position)
    // A step happens at least once, and a pulse may happen once at most. So it is recorded first who is about to do it: a later
    // start that finds another's number there, and no record of the pulse, leaves the sample alone. A suspend waits these few
    // milliseconds, rather than leave half a pulse.
    yield* Effect.uninterruptible(Effect.gen(function*() {
      const armed = yield* Step.run("arm", Schema.Int, Effect.succeed(work.start))
      const inDoubt = new PulseInDoubt({ message: `the process ended while the pulse at ${position} was under way` })
      yield* Step.run("pulse", Schema.Void, armed === work.start ? microscope.pulse(pulseMillis) : Effect.fail(inDoubt))
    }))
  })
)

/** How many rounds, and how far apart. */
export interface Timing {
  readonly rounds: number
  readonly period: Duration.Input
}

const runId = "plan"
const options = { concurrency: 4, pools: { stage: 1 }, keepOpen: false, owner: "acquisition" }

/**
 * Starts the plan, from now on; or goes on with the one that is there, whose times still count from its first start. Returns at
 * once: what happens then is told by the run.
 */
export const begin = Effect.fn("begin")(function*({ period, rounds }: Timing) {
  const engine = yield* Acquisition
  const startsAt = yield* Clock.currentTimeMillis
  const works = plan({ startsAt, firstRound: 0, rounds, periodMillis: Duration.toMillis(period) })
  return yield* engine.start(runId, { ...options, works }).pipe(
    Effect.catchTag("RunExists", () => engine.open(runId, options))
  )
})

/** Appends rounds to a plan, finished or not: one period after its last, and not before now. Returns how many events. */
export const extend = Effect.fn("extend")(function*(run: PlanRun, { period, rounds }: Timing) {
  const periodMillis = Duration.toMillis(period)
  const now = yield* Clock.currentTimeMillis
  const past = Array.from((yield* run.view(timeline)).events.values())
  const works = plan({
    startsAt: Math.max(now, ...past.map(({ plannedAt }) => plannedAt + periodMillis)),
    firstRound: Math.max(0, ...past.map(({ round }) => round + 1)),
    rounds,
    periodMillis
  })
  yield* run.add(works)
  return works.length
})
