/**
 * What a test can know and do about fibers that no user's code could: whether anything is left to do at this moment of
 * virtual time, when something will be, and how to end them as SIGKILL ends a process.
 *
 * A `Life` is a set of fibers that share a fate: those of one simulated process. They run on a scheduler of their own, which
 * counts what is queued. A life that stands still keeps its tasks; one that is dead drops them, so that none of its fibers
 * takes another step: no finalizer runs, no catch, no answer. Effect asks the scheduler before every effect whether the
 * fiber should yield; a life that does not run says yes, which is what stops a fiber in the middle of its stack.
 *
 * What lies outside of the processes (the store, its disk) runs in the `kernel`, a life that never ends: a process
 * that dies in the middle of an append leaves the append to it. Sleeps run there too. If a dying fiber slept by itself it could
 * take a permit of the test clock's semaphore with it, and no other fiber would ever sleep again.
 */
import { Clock, Context, Duration, Effect, type Exit, type Fiber, Scheduler } from "effect"
import type { TestClock } from "effect/testing"

interface Sleep {
  readonly at: number
  readonly fiber: Fiber.Fiber<void>
}

/** The scheduler of a life, over the one that the test has. */
class LifeScheduler implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  private readonly life: Life
  private readonly parent: Scheduler.Scheduler

  constructor(life: Life, parent: Scheduler.Scheduler) {
    this.life = life
    this.parent = parent
    this.executionMode = parent.executionMode
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    const { life } = this
    life.effects += 1
    life.onEffect?.(life.effects)
    return life.state !== "running" || this.parent.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const inner = this.parent.makeDispatcher()
    return {
      scheduleTask: (task, priority) => this.life.schedule(inner, task, priority),
      flush: () => inner.flush()
    }
  }
}

export class Life {
  state: "running" | "standing" | "dead" = "running"
  /** Effects that its fibers were about to carry out. */
  effects = 0
  onEffect: ((effects: number) => void) | undefined = undefined
  readonly sleeps = new Set<Sleep>()
  /** What the kernel does for it. */
  readonly operations = new Set<Fiber.Fiber<unknown, unknown>>()
  readonly scheduler: Scheduler.Scheduler
  readonly clock: Clock.Clock
  /** The context of the test, with the scheduler and the clock of this life. */
  readonly context: Context.Context<never>
  private readonly world: World
  private held: Array<() => void> = []
  private readonly mourners = new Set<() => void>()

  constructor(world: World, base: Context.Context<never>) {
    this.world = world
    this.scheduler = new LifeScheduler(this, Context.get(base, Scheduler.Scheduler))
    this.clock = this.over(world.clock)
    this.context = base.pipe(
      Context.add(Scheduler.Scheduler, this.scheduler),
      Context.add(Clock.Clock, this.clock)
    )
  }

  schedule(inner: Scheduler.SchedulerDispatcher, task: () => void, priority: number): void {
    if (this.state === "dead") return
    if (this.state === "standing") return void this.held.push(() => this.schedule(inner, task, priority))
    const { world } = this
    world.activity += 1
    world.pending += 1
    inner.scheduleTask(() => {
      try {
        if (this.state === "running") task()
        else if (this.state === "standing") this.held.push(() => this.schedule(inner, task, priority))
      } finally {
        world.pending -= 1
        world.look()
      }
    }, priority)
  }

  /** Starts an effect as a fiber of this life. */
  fork<A, E>(effect: Effect.Effect<A, E>, context: Context.Context<never> = this.context): Fiber.Fiber<A, E> {
    return Effect.runForkWith(context)(effect)
  }

  /** It stops where it is. Time goes on for everybody else. */
  stand(): void {
    if (this.state === "running") this.state = "standing"
  }

  goOn(): void {
    if (this.state !== "standing") return
    this.state = "running"
    const { held } = this
    this.held = []
    for (const each of held) each()
  }

  die(): void {
    if (this.state === "dead") return
    this.state = "dead"
    this.held = []
    for (const sleep of Array.from(this.sleeps)) sleep.fiber.interruptUnsafe()
    this.sleeps.clear()
    const { kernel } = this.world
    // Not within the step in which it dies: whoever hears of it must not run on top of its stack.
    kernel.fork(Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => {
        for (const mourner of Array.from(this.mourners)) mourner()
        this.mourners.clear()
      })
    ))
  }

  /** Calls back when it has died; returns what takes the call back. */
  onDeath(mourner: () => void): () => void {
    this.mourners.add(mourner)
    return () => void this.mourners.delete(mourner)
  }

  /** Carries an effect out in the world outside, for a fiber of this life. Interrupting the fiber interrupts it. */
  outside<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      if (this.state === "dead") return
      const { world } = this
      world.outside += 1
      const fiber = world.kernel.fork(effect)
      this.operations.add(fiber)
      fiber.addObserver((exit) => {
        this.operations.delete(fiber)
        world.outside -= 1
        resume(exit)
        world.look()
      })
      return Effect.callback((interrupted) => {
        fiber.addObserver(() => interrupted(Effect.void))
        fiber.interruptUnsafe()
      })
    })
  }

  private over(clock: TestClock.TestClock): Clock.Clock {
    return {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) =>
        Effect.suspend(() => {
          const millis = Duration.toMillis(duration)
          if (!(millis > 0)) return Effect.yieldNow
          return millis === Infinity ? Effect.never : this.sleep(millis)
        })
    }
  }

  private sleep(millis: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const { clock, sleeper } = this.world
      const fiber = Effect.runForkWith(sleeper)(clock.sleep(Duration.millis(millis)))
      const sleep = { at: clock.currentTimeMillisUnsafe() + millis, fiber }
      this.sleeps.add(sleep)
      const forget = fiber.addObserver((exit: Exit.Exit<void>) => {
        this.sleeps.delete(sleep)
        if (exit._tag === "Success") resume(Effect.void)
      })
      return Effect.sync(() => {
        forget()
        this.sleeps.delete(sleep)
        fiber.interruptUnsafe()
      })
    })
  }
}

/** How many turns in which nothing happens the test's own fibers are given, which nobody counts. */
const quietTurns = 10

export class World {
  readonly clock: TestClock.TestClock
  /** The context of the test: its scheduler, its console. */
  readonly base: Context.Context<never>
  /** The same for sleeps: they are counted from the moment at which they begin, whatever the scheduler would like. */
  readonly sleeper: Context.Context<never>
  readonly kernel: Life
  /** Tasks that are queued. */
  pending = 0
  /** Tasks that were ever queued. */
  activity = 0
  /** Operations that the kernel carries out for others. */
  outside = 0
  private readonly lives = new Set<Life>()
  private readonly waiting = new Set<() => void>()

  constructor(clock: TestClock.TestClock, base: Context.Context<never>) {
    this.clock = clock
    this.base = base
    this.sleeper = Context.add(base, Scheduler.PreventSchedulerYield, true)
    this.kernel = this.life()
  }

  life(): Life {
    const life = new Life(this, this.base)
    this.lives.add(life)
    return life
  }

  forget(life: Life): void {
    this.lives.delete(life)
  }

  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** An operation of the kernel sleeps at most once at a time; one that does not is carried out in real time. */
  private get isBusy(): boolean {
    return this.pending > 0 || this.outside > this.kernel.sleeps.size
  }

  /** When something is to happen next; undefined: nothing will, however much time passes. */
  get nextWake(): number | undefined {
    let next: number | undefined
    for (const life of this.lives) {
      if (life.state !== "running") continue
      for (const { at } of life.sleeps) if (next === undefined || at < next) next = at
    }
    return next
  }

  look(): void {
    if (this.waiting.size === 0 || this.isBusy) return
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    for (const each of waiting) each()
  }

  /** Waits until nothing is left to do at this moment of virtual time. */
  readonly idle: Effect.Effect<void> = Effect.suspend(() => this.quiet(quietTurns))

  quiet(turns: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let turn = 0; turn < turns; turn++) {
        const before = this.activity
        if (this.isBusy) {
          yield* Effect.callback<void>((resume) => {
            const wake = (): void => resume(Effect.void)
            // It may have come to its end since it was looked at.
            if (!this.isBusy) return wake()
            this.waiting.add(wake)
            return Effect.sync(() => this.waiting.delete(wake))
          })
        } else {
          yield* Effect.yieldNow
        }
        if (this.activity !== before || this.isBusy) turn = -1
      }
    })
  }

  /** Moves the time; whatever is due by then is woken, in order. */
  advanceTo(at: number): Effect.Effect<void> {
    return Effect.andThen(this.clock.setTime(Math.max(at, this.now)), this.idle)
  }

  /** Carries an effect out and moves the time as far as it needs. False: it waits for what time does not bring. */
  drive(effect: Effect.Effect<void>): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const fiber = Effect.runForkWith(this.base)(effect)
      for (;;) {
        yield* this.idle
        if (fiber.pollUnsafe() !== undefined) return true
        const next = this.nextWake
        if (next === undefined) return false
        yield* this.advanceTo(next)
      }
    })
  }
}

const worlds = new WeakMap<Clock.Clock, World>()

/** The world under the test clock of this fiber: all that is opened under one clock is watched as one. */
export const current: Effect.Effect<World> = Effect.withFiber((fiber) => {
  const clock = fiber.getRef(Clock.Clock)
  if (!("setTime" in clock)) {
    return Effect.die(
      new Error(
        "the testing kit drives virtual time and found another clock: run the test with `it.effect` of @effect/vitest, or " +
          "provide `TestClock.layer()` of effect/testing to it. Inside of a process, a handler or a layer it cannot be used"
      )
    )
  }
  let world = worlds.get(clock)
  if (world === undefined) {
    worlds.set(clock, world = new World(clock as TestClock.TestClock, fiber.context))
  }
  return Effect.succeed(world)
})
