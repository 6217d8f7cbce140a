/**
 * Everything at once, from one seed: works with steps, slots, children, dependencies, times and failures; all controls; orderly
 * and sudden ends of the process. What is looked at is what a user could see.
 */
import {
  CurrentWork,
  Progress,
  type Run,
  RunState,
  type RunStatus,
  Slots,
  Step,
  WorkEngine,
  WorkKind
} from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Schedule, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, quiet } from "./laboratory.ts"

/** What a handler does, one after the other. */
const Act = Schema.Literals([
  "step",
  "slow step",
  "narrow step",
  "sleep",
  "hold",
  "release",
  "child",
  "progress",
  "fail",
  "die",
  "deaf"
])
type Act = typeof Act.Type

const fields = {
  payload: { plan: Schema.Array(Act) },
  success: Schema.Int,
  error: Boom,
  retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
  timeout: "40 seconds",
  stallAfter: "20 seconds",
  grace: "2 seconds"
} as const

class Mix extends WorkKind.make("Mix", fields) {}
class Undone extends WorkKind.make("Undone", { ...fields, limit: 2, retryFrom: () => "step 1" }) {}
class Leaf extends WorkKind.make("Leaf", { payload: {} }) {}
class Mixes extends WorkEngine.Service<Mixes>()("test/unit/Mixes", { kinds: [Mix, Undone, Leaf] }) {}

/** Mulberry32: small, and the same everywhere. */
const randomFrom = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (count: number) => Math.floor(next() * count)
  const pick = <A>(from: ReadonlyArray<A>): A => from[below(from.length)]!
  const chance = (share: number) => next() < share
  return { below, pick, chance }
}

const play = Effect.fnUntraced(function*(seed: number) {
  const { below, chance, pick } = randomFrom(seed)
  const { layer, state } = yield* mortalJournal
  const faults: Array<string> = []
  /** Steps that have returned to their handlers, by work and generation: they must not run again. */
  const returned = new Set<string>()
  const alive = new Map<string, number>()
  const undone = new Map<string, number>()

  const perform = (plan: ReadonlyArray<Act>) =>
    Effect.gen(function*() {
      const { generation, spec: { id } } = yield* CurrentWork.CurrentWork
      let n = 0
      for (const act of plan) {
        const name = `step ${n++}`
        const key = `${id} ${generation} ${name}`
        const effect = (then: Effect.Effect<void, never, CurrentWork.CurrentWork>) =>
          Effect.suspend(() => {
            if (returned.has(key)) faults.push(`${key} ran again`)
            return then
          })
        const done = Effect.sync(() => returned.add(key))
        switch (act) {
          case "step":
            yield* Effect.andThen(Step.run(name, Schema.Void, effect(Effect.void)), done)
            break
          case "slow step":
            yield* Effect.andThen(Step.run(name, Schema.Void, effect(Effect.sleep("3 seconds"))), done)
            break
          case "narrow step":
            yield* Effect.andThen(
              Step.run(name, Schema.Void, effect(Effect.sleep("1 second")), { slots: { bench: 1 } }),
              done
            )
            break
          case "sleep":
            yield* Effect.sleep("2 seconds")
            break
          case "hold":
            yield* Slots.hold("desk", { desk: 1 })
            break
          case "release":
            yield* Slots.release("desk")
            break
          case "child":
            yield* Effect.andThen(
              Step.run(name, Schema.Void, effect(Effect.asVoid(Mixes.spawn(Leaf, {}, { on: "always" })))),
              done
            )
            break
          case "progress":
            yield* Progress.report({ current: n, total: plan.length })
            break
          case "fail":
            return yield* Effect.fail(new Boom({ why: id }))
          case "die":
            return yield* Effect.die(new Error(id))
          case "deaf":
            yield* Effect.uninterruptible(Effect.sleep("5 seconds"))
        }
      }
      return n
    })

  const handler = ({ plan }: { readonly plan: ReadonlyArray<Act> }) =>
    Effect.gen(function*() {
      const { spec: { id } } = yield* CurrentWork.CurrentWork
      const count = (by: number) => Effect.sync(() => alive.set(id, (alive.get(id) ?? 0) + by))
      return yield* Effect.ensuring(
        Effect.andThen(
          count(1),
          Effect.suspend(() => {
            if (alive.get(id)! > 1 && !plan.includes("deaf")) faults.push(`${id} has two handlers`)
            return perform(plan)
          })
        ),
        count(-1)
      )
    })

  const engine = yield* engineOf(
    Mixes,
    Layer.mergeAll(
      Mix.toLayer(handler),
      Undone.toLayer(handler, {
        onCancel: () =>
          Effect.flatMap(CurrentWork.CurrentWork, ({ spec: { id } }) =>
            Effect.suspend(() => {
              undone.set(id, (undone.get(id) ?? 0) + 1)
              return undone.get(id) === 1 && id.endsWith("3") ? Effect.fail("not yet") : Effect.void
            }))
      }),
      Leaf.toLayer(() => Effect.void)
    ),
    layer
  )

  const ids: Array<string> = []
  const options = { pools: { bench: 1, desk: 2 }, keyLimit: 2, maxCrashes: 99 }
  const acts: ReadonlyArray<Act> = [
    "step",
    "slow step",
    "narrow step",
    "sleep",
    "hold",
    "release",
    "child",
    "progress",
    "step",
    "step"
  ]
  const spec = (now: number) => {
    const id = `w${ids.length}`
    const plan = Array.from({ length: below(6) }, () => pick(acts))
    if (chance(0.15)) plan.push(pick(["fail", "die", "deaf"] as const))
    return {
      id,
      kind: pick(["Mix", "Undone"]),
      priority: below(3),
      payload: { plan },
      ...(chance(0.3) ? { key: pick(["k", "l"]) } : {}),
      ...(chance(0.2) ? { slots: { desk: 1 + below(2) } } : {}),
      ...(chance(0.2) && ids.length > 0
        ? { after: [pick(ids)], onDependencyFailure: pick(["skip", "run"] as const) }
        : {}),
      ...(chance(0.1) ? { notBefore: now + below(60_000) } : {}),
      ...(chance(0.05) ? { deadline: now + 20_000 + below(60_000) } : {}),
      ...(chance(0.05) ? { timeToLiveMillis: 1_000 + below(20_000) } : {}),
      ...(chance(0.1) ? { dedupe: pick(["d", "e"]), onCollision: pick(["keep", "replace"] as const) } : {})
    }
  }

  /** One thing that somebody does. Refusals are part of the game; what else goes wrong is not. */
  const control = (run: Run.Run<typeof Mix | typeof Undone | typeof Leaf>) =>
    Effect.suspend((): Effect.Effect<unknown, { readonly _tag: string }> => {
      const id = ids.length === 0 ? "w0" : pick(ids)
      switch (below(15)) {
        case 0:
        case 1:
        case 2:
        case 3:
          return Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const added = spec(now)
            ids.push(added.id)
            return run.add([added])
          })
        case 4:
          return run.cancelWork(id)
        case 5:
          return run.pauseWork(id)
        case 6:
          return run.resumeWork(id)
        case 7:
          return run.retry(id, chance(0.5) ? {} : { from: "step 0" })
        case 8:
          return run.reprioritize(id, below(5))
        case 9:
          return run.pause(chance(0.5) ? {} : { kind: "Mix" })
        case 10:
          return Effect.andThen(run.resume(), run.resume({ kind: "Mix" }))
        case 11:
          return run.setConcurrency(1 + below(4))
        case 12:
          return run.setPool("desk", 1 + below(3))
        case 13: {
          const chosen = run.select({
            kind: pick(["Mix", "Undone"]),
            state: pick(["queued", "waiting", "failed"] as const)
          })
          return chosen[pick(["pause", "resume", "retry", "cancel"] as const)]()
        }
        default:
          return run.queue()
      }
    })

  const refusals = ["WorkNotFound", "WorkSettled", "WorkNotAccepting", "RunNotAccepting", "InvalidWork"]

  const check = (status: RunStatus.RunStatus) => {
    for (const [name, { size, used }] of Object.entries(status.pools)) {
      if (used < 0 || used > Math.max(size, 3)) faults.push(`${name}: ${used} of ${size}`)
    }
    if (status.concurrency.used < 0 || status.concurrency.used > 4) {
      faults.push(`concurrency ${status.concurrency.used}`)
    }
    const waiting = status.waiting.reduce((sum, { count }) => sum + count, 0)
    const { counts } = status
    if (waiting !== counts.queued + counts.waiting + counts.blocked) {
      faults.push(`${waiting} wait, ${JSON.stringify(counts)}`)
    }
    if (status.running.length !== counts.running + counts.cancelling + counts.cleaning) faults.push("running")
  }

  for (let session = 0; session < 4; session++) {
    const scope = yield* Scope.make()
    const run = yield* Scope.provide(engine.open("r", { ...options, concurrency: 1 + below(4) }), scope)
    for (let turn = 0; turn < 12; turn++) {
      const exit = yield* Effect.exit(Effect.flip(control(run)))
      if (Exit.isSuccess(exit)) assert.include(refusals, exit.value._tag)
      yield* TestClock.adjust(below(3_000))
      yield* quiet
      check(yield* run.status)
    }
    const sudden = chance(0.5)
    if (sudden) {
      state.dead = true
      yield* Effect.exit(run.pause())
    }
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* quiet
    yield* TestClock.adjust("2 seconds")
    yield* quiet
    if (closing.pollUnsafe() === undefined) faults.push("the scope does not close")
    state.dead = false
    yield* TestClock.adjust(below(20_000))
  }

  // Everything that holds works up is taken away: now each has to come to an end.
  const run = yield* engine.open("r", { concurrency: 4, pools: { bench: 1, desk: 3 }, maxCrashes: 99 })
  yield* run.resume()
  yield* run.resume({ kind: "Mix" })
  yield* run.select().resume()
  yield* run.close
  let rounds = 0
  for (; rounds < 200; rounds++) {
    yield* TestClock.adjust("5 seconds")
    yield* quiet
    if ((yield* run.status).state === "completed") break
  }
  const status = yield* run.status
  assert.deepStrictEqual([status.state, status.running.map(({ id }) => id), status.waiting], ["completed", [], []])
  assert.strictEqual(status.concurrency.used, 0)
  assert.isTrue(Object.values(status.pools).every(({ used }) => used === 0), JSON.stringify(status.pools))
  const events = yield* engine.history("r")
  const folded = RunState.fold(events.map(({ event }) => event as never))
  assert.deepStrictEqual({ ...folded.counts }, { ...status.counts })
  assert.deepStrictEqual({ ...(yield* engine.inspect("r")).counts }, { ...status.counts })
  for (const { event } of events) {
    if (event._tag !== "WorkAdded") continue
    const work = yield* run.work(event.spec.id)
    if (work.outcome === undefined) faults.push(`${event.spec.id} has no outcome`)
    const began = events.some(({ event: each }) => each._tag === "WorkStarted" && each.id === event.spec.id)
    if (work.outcome?._tag === "Cancelled" && event.spec.kind === "Undone" && began && !undone.has(event.spec.id)) {
      faults.push(`${event.spec.id} was cancelled and is not undone`)
    }
  }
  assert.deepStrictEqual(faults, [])
  return events.length
})

describe("everything at once", () => {
  for (let seed = 1; seed <= 30; seed++) {
    it.effect(
      `comes to an end, and nothing is lost, doubled or left over (seed ${seed})`,
      () => Effect.map(play(seed), (count) => assert.isTrue(count > 10)),
      20_000
    )
  }
})
