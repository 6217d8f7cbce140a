/**
 * A process of a `TestMachine`: a user's layers and runs, alive until they are stopped, or crash as after SIGKILL.
 *
 * What a crash is: no fiber of the process takes another step. No finalizer runs, nothing is caught, nothing is answered; the
 * journal takes nothing more from it, and its locks are free at once. What was under way in the store may still be done.
 * What the process had acquired outside of the machine's memory (a file, a thread) stays as it is: give those
 * to the test, and not to the layers of a process that is to crash.
 */
import { Context, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { Failpoint } from "../Failpoint.ts"
import { Journal } from "../Journal.ts"
import type { Run } from "../Run.ts"
import type { Engine, OpenError, OpenOptions, StartOptions } from "../WorkEngine.ts"
import type * as WorkKind from "../WorkKind.ts"
import type { FailpointPlans } from "./Failpoints.ts"
import { type Guard, through } from "./internal/through.ts"
import type { Life, World } from "./internal/World.ts"
import * as TestRun from "./TestRun.ts"

/** The process was dead, or died, before the answer. `at` is where: a failpoint, or what `crash` was told. */
export class ProcessCrashed extends Schema.TaggedError<ProcessCrashed>()("ProcessCrashed", {
  process: Schema.Int,
  at: Schema.String,
  message: Schema.String
}) {}

/** @internal */
export const isCrash = (error: unknown): error is ProcessCrashed => error instanceof ProcessCrashed

type EngineKey<Id, K extends WorkKind.Any> = Context.Key<Id, Engine<K>>

/**
 * - `number`: 1 for the first process of its machine.
 * - `use`: carries an effect out in the process. It dies with it: then `ProcessCrashed` is what comes out.
 * - `open`, `start`, `resume`: as the engine of that name does, within the process; its runs are open as long as it lives. What is
 *   asked of such a run is asked from within the process; it is a defect to ask a run whose process is dead.
 * - `crash`: kills it now. `crashed`: waits until it is dead and its locks are free, and says where it died. `isAlive`.
 * - `pause`: it stands still, as after SIGSTOP, while time goes on for everybody else. `resumeProcess`: it goes on.
 * - `stop`: ends it in order: runs are suspended, finalizers run. The scope that started it does the same.
 */
export interface TestProcess<A> {
  readonly number: number
  readonly use: <B, E, R>(
    effect: Effect.Effect<B, E, R>
  ) => Effect.Effect<B, E | ProcessCrashed, Exclude<R, A | Scope.Scope>>
  readonly open: <Id extends A, K extends WorkKind.Any>(
    engine: EngineKey<Id, K>,
    runId: string,
    options: OpenOptions
  ) => Effect.Effect<TestRun.TestRun<K>, OpenError | ProcessCrashed>
  readonly start: <Id extends A, K extends WorkKind.Any>(
    engine: EngineKey<Id, K>,
    runId: string,
    options: StartOptions
  ) => Effect.Effect<TestRun.TestRun<K>, Effect.Error<ReturnType<Engine<K>["start"]>> | ProcessCrashed>
  readonly resume: <Id extends A, K extends WorkKind.Any>(
    engine: EngineKey<Id, K>,
    runId: string,
    options: OpenOptions
  ) => Effect.Effect<TestRun.TestRun<K>, Effect.Error<ReturnType<Engine<K>["resume"]>> | ProcessCrashed>
  readonly crash: (at?: string) => Effect.Effect<void>
  readonly crashed: Effect.Effect<string>
  readonly isAlive: Effect.Effect<boolean>
  readonly pause: Effect.Effect<void>
  readonly resumeProcess: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
}

/** @internal What a process is made of. */
export class Process {
  readonly number: number
  readonly life: Life
  readonly context: Context.Context<never>
  readonly scope = Scope.makeUnsafe()
  /** Nothing that another process has built is taken from it. */
  readonly memo = Layer.makeMemoMapUnsafe()
  private readonly world: World
  /** The locks that it holds in the store, by way of the kernel. */
  private readonly locks = new Set<Scope.Closeable>()
  private diedAt: string | undefined = undefined
  private freed: Fiber.Fiber<void> | undefined = undefined

  constructor(number: number, world: World, failpoints: FailpointPlans, base: Context.Context<never>) {
    this.number = number
    this.world = world
    this.life = world.life()
    const passing = {
      crash: (at: string) => this.die(at),
      stand: () => this.life.stand(),
      goOn: () => this.life.goOn()
    }
    this.context = Context.merge(base, this.life.context).pipe(
      Context.add(Layer.CurrentMemoMap, this.memo),
      Context.add(Failpoint, (name) => {
        if (this.life.state !== "dead") failpoints.pass(name, passing)
      })
    )
  }

  get isDead(): boolean {
    return this.diedAt !== undefined
  }

  die(at: string): void {
    if (this.isDead) return
    this.diedAt = at
    this.life.die()
    this.world.forget(this.life)
    // What was under way has been done, or will not be: nothing of it reaches the store after its locks are free.
    const operations = Array.from(this.life.operations)
    this.freed = this.world.kernel.fork(
      Effect.andThen(
        Fiber.interruptAll(operations),
        Effect.forEach(Array.from(this.locks), (lock) => Scope.close(lock, Exit.void), { discard: true })
      )
    )
  }

  get error(): ProcessCrashed {
    const at = this.diedAt ?? "no place"
    return new ProcessCrashed({
      process: this.number,
      at,
      message: `process ${this.number} crashed (${at}): start another one on the machine, and open the run there`
    })
  }

  /** Waits until it is dead and what it held is free. */
  readonly crashed: Effect.Effect<string> = Effect.callback<void>((resume) => {
    if (this.isDead) return resume(Effect.void)
    return Effect.sync(this.life.onDeath(() => resume(Effect.void)))
  }).pipe(
    Effect.andThen(Effect.suspend(() => Fiber.await(this.freed!))),
    Effect.map(() => this.diedAt!)
  )

  /** The store as this process has it: what it asks of it is done outside, and its locks go when it dies. */
  journalOver(store: Journal["Service"]): Journal["Service"] {
    const { life } = this
    return Journal.of({
      open: (runId, options) =>
        Effect.acquireRelease(
          Effect.sync(() => Scope.makeUnsafe()),
          // It is this process's until it is free: if it dies in between, its lock is freed for it.
          (lock) =>
            Effect.andThen(life.outside(Scope.close(lock, Exit.void)), Effect.sync(() => this.locks.delete(lock)))
        ).pipe(
          Effect.flatMap((lock) => {
            this.locks.add(lock)
            return life.outside(Scope.provide(store.open(runId, options), lock))
          }),
          Effect.map((writer) => ({
            runId: writer.runId,
            lastSeq: writer.lastSeq,
            append: (events, version) => life.outside(writer.append(events, version)),
            saveSnapshot: (snapshot) => life.outside(writer.saveSnapshot(snapshot)),
            trim: (upTo) => life.outside(writer.trim(upTo))
          }))
        ),
      read: (runId, options) => life.outside(store.read(runId, options)),
      snapshot: (runId) => life.outside(store.snapshot(runId)),
      list: life.outside(store.list),
      owner: (runId) => life.outside(store.owner(runId)),
      remove: (runId) => life.outside(store.remove(runId))
    })
  }

  /** Runs an effect as a fiber of the process, for a fiber outside. */
  use<A, E>(effect: Effect.Effect<A, E>, context: Context.Context<never>): Effect.Effect<A, E | ProcessCrashed> {
    return Effect.callback((resume) => {
      if (this.isDead) return resume(Effect.fail(this.error))
      const fiber = this.life.fork(effect, context)
      const forget = this.life.onDeath(() => resume(Effect.fail(this.error)))
      fiber.addObserver((exit) => {
        forget()
        resume(exit)
      })
      return Effect.callback((interrupted) => {
        if (this.isDead) return interrupted(Effect.void)
        this.life.onDeath(() => interrupted(Effect.void))
        fiber.addObserver(() => interrupted(Effect.void))
        fiber.interruptUnsafe()
      })
    })
  }

  /** Handlers may need time to end. What does not end in any time is killed: a test must not hang on it. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isDead) return Effect.void
    this.life.goOn()
    const closing = Effect.ignore(this.use(Scope.close(this.scope, Exit.void), this.context))
    return Effect.map(this.world.drive(closing), (hasEnded) => {
      if (hasEnded) this.world.forget(this.life)
      else this.die("it was stopped and did not end")
    })
  })
}

/** @internal The process as a test sees it. */
export const make = <A>(process: Process, services: Context.Context<A>, world: World): TestProcess<A> => {
  const context = Context.merge(process.context, services)
  // Its fibers must have the clock and the scheduler of the process, whatever the layers captured.
  const within = Context.add(Context.merge(context, process.context), Scope.Scope, process.scope)
  const use = <B, E>(effect: Effect.Effect<B, E, never>) => process.use(effect, within)
  const guard: Guard = (effect) => Effect.catchIf(use(effect), isCrash, Effect.die) as never
  const opening = <K extends WorkKind.Any, E>(effect: Effect.Effect<Run<K>, E, Scope.Scope>) =>
    Effect.map(use(effect as Effect.Effect<Run<K>, E>), (run) => TestRun.from(through(guard, run), world))
  const engineOf = <Id extends A, K extends WorkKind.Any>(key: EngineKey<Id, K>): Engine<K> =>
    Context.get(services as Context.Context<Id>, key)
  return {
    number: process.number,
    use: (effect) => use(effect as Effect.Effect<never>) as never,
    open: (engine, runId, options) => opening(Effect.suspend(() => engineOf(engine).open(runId, options))),
    start: (engine, runId, options) => opening(Effect.suspend(() => engineOf(engine).start(runId, options))),
    resume: (engine, runId, options) => opening(Effect.suspend(() => engineOf(engine).resume(runId, options))),
    crash: (at = "crash") => Effect.andThen(Effect.sync(() => process.die(at)), Effect.asVoid(process.crashed)),
    crashed: process.crashed,
    isAlive: Effect.sync(() => !process.isDead),
    pause: Effect.sync(() => process.life.stand()),
    resumeProcess: Effect.sync(() => process.life.goOn()),
    stop: process.stop
  }
}
