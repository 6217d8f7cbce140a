/**
 * What shall happen at the engine's failpoints: a crash, a standstill, or nothing but counting. The names are those of
 * `Failpoint`: `append.before`, `append.after`, `step.done <step>`, `step.recorded <step>`, `recover.read`, `recover.opened`. A name
 * that ends in `*` stands for all that begin so.
 *
 * A `TestMachine` has failpoints, and they outlive its processes: what is planned and not yet used holds for the next one.
 */
import { Effect } from "effect"

/** A place where a process stands still. */
export interface Pause {
  /** Waits until a process has come there. Time is not moved for it. */
  readonly reached: Effect.Effect<void>
  /** Lets the process go on; before it has come there, lets it pass. */
  readonly resume: Effect.Effect<void>
}

/**
 * - `crashAt`: the process that passes the place for the `nth` time from now on (1 by default: the next time) dies there.
 * - `pauseAt`: the same, but it stands still there, as after SIGSTOP, until it is told to go on: no fiber of it takes a step, and
 *   time goes on. Other processes are not affected.
 * - `passed`: how often the place was passed, by all processes of the machine.
 * - `counts`: all places that were passed, by name.
 * - `clear`: forgets what is planned, and lets whoever stands still go on.
 *
 * @example
 * ```ts
 * import { Step, WorkEngine, WorkKind } from "@espalier/engine"
 * import { TestMachine } from "@espalier/engine/testing"
 * import { Effect, Layer, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 * import assert from "node:assert"
 *
 * class Charge extends WorkKind.make("Charge", { payload: {} }) {}
 * class Shop extends WorkEngine.Service<Shop>()("app/Shop", { kinds: [Charge] }) {}
 *
 * let charged = 0
 * const ShopLive = Shop.layer.pipe(
 *   Layer.provide(Charge.toLayer(() => Step.run("charge", Schema.Int, Effect.sync(() => ++charged)).pipe(Effect.asVoid)))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const { failpoints, start } = yield* TestMachine.make()
 *   const first = yield* (yield* start(ShopLive)).open(Shop, "orders", { concurrency: 1 })
 *
 *   // The money is gone, and its record is not yet asked for.
 *   const pause = yield* failpoints.pauseAt("step.done charge")
 *   yield* Effect.forkChild(first.submit(Charge, {}, { id: "a" }))
 *   yield* pause.reached
 *   assert.deepStrictEqual([charged, yield* failpoints.passed("step.recorded charge")], [1, 0])
 *
 *   yield* pause.resume
 *   yield* first.settle()
 *   assert.strictEqual(yield* failpoints.passed("step.recorded charge"), 1)
 * }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 */
export interface Failpoints {
  readonly crashAt: (name: string, nth?: number) => Effect.Effect<void>
  readonly pauseAt: (name: string, nth?: number) => Effect.Effect<Pause>
  readonly passed: (name: string) => Effect.Effect<number>
  readonly counts: Effect.Effect<ReadonlyMap<string, number>>
  readonly clear: Effect.Effect<void>
}

/** Whoever passes failpoints: a process. */
export interface Passing {
  readonly crash: (at: string) => void
  readonly stand: () => void
  readonly goOn: () => void
}

interface Plan {
  readonly matches: (name: string) => boolean
  left: number
  readonly act: (name: string, by: Passing) => void
}

const matching = (name: string): (passed: string) => boolean => {
  if (!name.endsWith("*")) return (passed) => passed === name
  const prefix = name.slice(0, -1)
  return (passed) => passed.startsWith(prefix)
}

/** Also the side of the processes. */
export class FailpointPlans implements Failpoints {
  private readonly seen = new Map<string, number>()
  private readonly plans = new Set<Plan>()
  private readonly standing = new Set<() => void>()

  /** A process passes a place. */
  pass(name: string, by: Passing): void {
    this.seen.set(name, (this.seen.get(name) ?? 0) + 1)
    for (const plan of Array.from(this.plans)) {
      if (!plan.matches(name)) continue
      plan.left -= 1
      if (plan.left > 0) continue
      this.plans.delete(plan)
      plan.act(name, by)
    }
  }

  readonly crashAt = (name: string, nth = 1): Effect.Effect<void> =>
    Effect.sync(() => void this.plan(name, nth, (at, by) => by.crash(at)))

  readonly pauseAt = (name: string, nth = 1): Effect.Effect<Pause> =>
    Effect.sync(() => {
      let by: Passing | undefined
      const arrivals = new Set<() => void>()
      const plan = this.plan(name, nth, (_, passing) => {
        by = passing
        by.stand()
        this.standing.add(goOn)
        for (const arrive of Array.from(arrivals)) arrive()
      })
      const goOn = (): void => {
        this.plans.delete(plan)
        this.standing.delete(goOn)
        by?.goOn()
      }
      return {
        reached: Effect.callback<void>((resume) => {
          // In a turn of its own: not on top of the stack of whoever comes there.
          const arrive = (): void => resume(Effect.yieldNow)
          if (by !== undefined) return arrive()
          arrivals.add(arrive)
          return Effect.sync(() => arrivals.delete(arrive))
        }),
        resume: Effect.sync(goOn)
      }
    })

  readonly passed = (name: string): Effect.Effect<number> =>
    Effect.sync(() => {
      const matches = matching(name)
      let sum = 0
      for (const [each, count] of this.seen) if (matches(each)) sum += count
      return sum
    })

  readonly counts: Effect.Effect<ReadonlyMap<string, number>> = Effect.sync(() => new Map(this.seen))

  readonly clear: Effect.Effect<void> = Effect.sync(() => {
    this.plans.clear()
    for (const goOn of Array.from(this.standing)) goOn()
  })

  private plan(name: string, nth: number, act: Plan["act"]): Plan {
    const plan = { matches: matching(name), left: nth, act }
    this.plans.add(plan)
    return plan
  }
}
