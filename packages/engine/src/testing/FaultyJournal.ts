/**
 * A journal that fails, over one that works: to see what an engine, and a user's own handlers, do when the store does not.
 *
 * Scripted: `FaultyJournal` says what goes wrong with which of the coming operations. Seeded: `layerSeeded` draws what goes wrong
 * from a seed, at given rates. The promises of `Journal` hold all the same (a writer is broken after a failed append; a snapshot
 * that failed leaves the earlier one in place): what misbehaves is the disk or the network below, not the implementation.
 */
import { Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { brokenWriter } from "../internal/journalRefusal.ts"
import { Journal, JournalError, type JournalWriter } from "../Journal.ts"
import { Random } from "./internal/Random.ts"

/** What of a journal may fail. */
export type Operation = "open" | "append" | "read" | "snapshot" | "saveSnapshot" | "trim" | "list"

/**
 * - `Fail`: the operation fails; `before` it has done anything, or `after` it was done: then only the answer was lost, and what was
 *   to be written is durable.
 * - `Slow`: it takes so long, in the time of the clock, `before` it is done, or `after`.
 * - `LoseLock`: the run was taken by somebody else: this writer can do nothing more, and the run can be opened again.
 */
export type Fault =
  | { readonly _tag: "Fail"; readonly when: "before" | "after" }
  | { readonly _tag: "Slow"; readonly when: "before" | "after"; readonly duration: Duration.Input }
  | { readonly _tag: "LoseLock" }

/** Which operations a fault is for: the `nth` that matches from now on (1 by default), and of it and those after it `times` (1). */
export interface Aim {
  readonly runId?: string
  readonly nth?: number
  readonly times?: number
}

/**
 * What goes wrong with operations to come. All of them wait in the order in which they were given; an operation meets every
 * fault that is due for it.
 *
 * - `fail`: see `Fault`; `when` is `before` by default.
 * - `delay`: makes operations slow, before they are done by default.
 * - `loseLock`: the writer of the run is cut off now.
 * - `clear`: nothing more goes wrong. A lock that is lost stays lost.
 * - `count`: operations of this sort so far, those that failed included.
 */
export class FaultyJournal extends Context.Service<FaultyJournal, {
  readonly fail: (operation: Operation, aim?: Aim & { readonly when?: "before" | "after" }) => Effect.Effect<void>
  readonly delay: (
    operation: Operation,
    duration: Duration.Input,
    aim?: Aim & { readonly when?: "before" | "after" }
  ) => Effect.Effect<void>
  readonly loseLock: (runId: string) => Effect.Effect<void>
  readonly clear: Effect.Effect<void>
  readonly count: (operation: Operation) => Effect.Effect<number>
}>()("@espalier/engine/testing/FaultyJournal") {}

/** How often what goes wrong, as chances in a hundred; never by default. `slowMillis`: the most that a slow one takes. */
export interface Rates {
  readonly failOpen?: number
  readonly failAppend?: number
  /** Written, but answered with a failure. */
  readonly loseAnswer?: number
  readonly slowAppend?: number
  readonly slowMillis?: number
  readonly loseLock?: number
  readonly failRead?: number
  readonly failSnapshot?: number
  readonly failTrim?: number
}

type FaultOf = (operation: Operation, runId: string | undefined) => ReadonlyArray<Fault>

const none: ReadonlyArray<Fault> = []

const failed = (operation: Operation, runId: string | undefined, when: "before" | "after"): JournalError =>
  new JournalError({
    operation: operation === "saveSnapshot" ? "snapshot" : operation,
    ...(runId === undefined ? {} : { runId }),
    message: when === "before"
      ? `the test lets this ${operation} fail before anything is done`
      : `the test loses the answer of this ${operation}: it was done`
  })

/** Done, as the faults let it. */
const through = <A, E, R>(
  faults: ReadonlyArray<Fault>,
  operation: Operation,
  runId: string | undefined,
  done: Effect.Effect<A, E, R>
): Effect.Effect<A, E | JournalError, R> => {
  if (faults.length === 0) return done
  const at = (when: "before" | "after"): Effect.Effect<void, JournalError> =>
    Effect.forEach(faults, (fault) => {
      if (fault._tag === "LoseLock" || fault.when !== when) return Effect.void
      return fault._tag === "Slow" ? Effect.sleep(fault.duration) : Effect.fail(failed(operation, runId, when))
    }, { discard: true })
  return Effect.andThen(at("before"), Effect.flatMap(done, (answer) => Effect.as(at("after"), answer)))
}

const lost = (runId: string, operation: JournalError["operation"]): JournalError =>
  new JournalError({
    operation,
    runId,
    message: `the run ${JSON.stringify(runId)} was taken by another writer: this one can do nothing more`
  })

/** A writer whose lock may be lost, and that is broken by the first append that fails. */
class FaultyWriter implements JournalWriter {
  readonly runId: string
  readonly lastSeq: number
  private readonly inner: JournalWriter
  private readonly faultOf: FaultOf
  private readonly scope: Scope.Closeable
  private broken: JournalError | undefined = undefined
  private isLost = false

  constructor(inner: JournalWriter, scope: Scope.Closeable, faultOf: FaultOf) {
    this.runId = inner.runId
    this.lastSeq = inner.lastSeq
    this.inner = inner
    this.scope = scope
    this.faultOf = faultOf
  }

  readonly lose: Effect.Effect<void> = Effect.suspend(() => {
    this.isLost = true
    return Scope.close(this.scope, Exit.void)
  })

  private operate<A>(
    operation: "append" | "saveSnapshot" | "trim",
    done: Effect.Effect<A, JournalError>
  ): Effect.Effect<A, JournalError> {
    const named = operation === "saveSnapshot" ? "snapshot" : operation
    const useless = (): JournalError | undefined =>
      this.isLost ? lost(this.runId, named) : this.broken && brokenWriter(this.runId, this.broken, named)
    const unlessUseless = Effect.suspend(() => {
      const fault = useless()
      return fault === undefined ? done : Effect.fail(fault)
    })
    return Effect.suspend(() => {
      const fault = useless()
      if (fault !== undefined) return Effect.fail(fault)
      const faults = this.faultOf(operation, this.runId)
      const operated = through(faults, operation, this.runId, unlessUseless)
      return faults.some(({ _tag }) => _tag === "LoseLock") ? Effect.andThen(this.lose, operated) : operated
    })
  }

  append(...request: Parameters<JournalWriter["append"]>): Effect.Effect<number, JournalError> {
    return Effect.tapError(
      this.operate("append", Effect.suspend(() => this.inner.append(...request))),
      (error) => Effect.sync(() => void (this.broken ??= error))
    )
  }

  saveSnapshot(...request: Parameters<JournalWriter["saveSnapshot"]>): Effect.Effect<void, JournalError> {
    return this.operate("saveSnapshot", Effect.suspend(() => this.inner.saveSnapshot(...request)))
  }

  trim(upTo: number): Effect.Effect<void, JournalError> {
    return this.operate("trim", Effect.suspend(() => this.inner.trim(upTo)))
  }
}

/** The journal over another one, and who may be cut off. */
const wrap = (inner: Journal["Service"], faultOf: FaultOf) => {
  const writers = new Map<string, FaultyWriter>()
  const journal = Journal.of({
    ...inner,
    open: (runId, options) => {
      const opened = Effect.gen(function*() {
        // A scope of its own, so that the lock can be lost while the opener's is open.
        const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
        const writer = yield* Scope.provide(inner.open(runId, options), scope)
        const faulty = new FaultyWriter(writer, scope, faultOf)
        writers.set(runId, faulty)
        yield* Effect.addFinalizer(() => Effect.sync(() => writers.get(runId) === faulty && writers.delete(runId)))
        return faulty
      })
      return Effect.suspend(() => through(faultOf("open", runId), "open", runId, opened))
    },
    read: (runId, options) =>
      Effect.suspend(() => through(faultOf("read", runId), "read", runId, inner.read(runId, options))),
    snapshot: (runId) =>
      Effect.suspend(() => through(faultOf("snapshot", runId), "snapshot", runId, inner.snapshot(runId))),
    list: Effect.suspend(() => through(faultOf("list", undefined), "list", undefined, inner.list))
  })
  return { journal, lose: (runId: string) => Effect.suspend(() => writers.get(runId)?.lose ?? Effect.void) }
}

interface Planned {
  readonly operation: Operation
  readonly runId: string | undefined
  readonly fault: Fault
  skip: number
  times: number
}

/** @internal A script over a journal: the journal that fails, and the service that tells it how. */
export const script = (inner: Journal["Service"]) => {
  let plans: Array<Planned> = []
  const counts = new Map<Operation, number>()
  const { journal, lose } = wrap(inner, (operation, runId) => {
    counts.set(operation, (counts.get(operation) ?? 0) + 1)
    const due = plans.filter((plan) =>
      plan.operation === operation && (plan.runId === undefined || plan.runId === runId) && plan.skip-- <= 0
    )
    for (const plan of due) plan.times -= 1
    plans = plans.filter(({ times }) => times > 0)
    return due.map(({ fault }) => fault)
  })
  const plan = (operation: Operation, fault: Fault, aim: Aim) =>
    Effect.sync(() =>
      void plans.push({ operation, fault, runId: aim.runId, skip: (aim.nth ?? 1) - 1, times: aim.times ?? 1 })
    )
  const faults: FaultyJournal["Service"] = {
    fail: (operation, aim = {}) => plan(operation, { _tag: "Fail", when: aim.when ?? "before" }, aim),
    delay: (operation, duration, aim = {}) =>
      plan(operation, { _tag: "Slow", when: aim.when ?? "before", duration }, aim),
    loseLock: lose,
    clear: Effect.sync(() => void (plans = [])),
    count: (operation) => Effect.sync(() => counts.get(operation) ?? 0)
  }
  return { journal, faults }
}

/**
 * A journal that fails as its `FaultyJournal` is told, over the one that it is given.
 *
 * @example
 * ```ts
 * import { Journal } from "@espalier/engine"
 * import { FaultyJournal } from "@espalier/engine/testing"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const journal = yield* Journal.Journal
 *   const faults = yield* FaultyJournal.FaultyJournal
 *   yield* faults.fail("append", { nth: 2, when: "after" })
 *   const writer = yield* journal.open("r", { mode: "create" })
 *   yield* writer.append(["first"], 1)
 *   const error = yield* Effect.flip(writer.append(["second"], 1))
 *   assert.match(error.message, /loses the answer/)
 *   // It was written all the same. The writer no longer knows that, and is of no use.
 *   assert.strictEqual((yield* journal.read("r", { after: 0 })).length, 2)
 *   assert.match((yield* Effect.flip(writer.append(["third"], 1))).message, /open/)
 * })
 *
 * const layer = FaultyJournal.layer.pipe(Layer.provide(Journal.layerMemory))
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
 * ```
 */
export const layer: Layer.Layer<Journal | FaultyJournal, never, Journal> = Layer.effectContext(
  Effect.map(Journal, (inner) => {
    const { faults, journal } = script(inner)
    return Context.make(Journal, journal).pipe(Context.add(FaultyJournal, faults))
  })
)

/** What goes wrong by chance. */
const drawn = (random: Random, rates: Rates): FaultOf => {
  const slow = (): Fault => ({
    _tag: "Slow",
    when: random.chance(50) ? "before" : "after",
    duration: Duration.millis(random.between(1, Math.max(1, rates.slowMillis ?? 1_000)))
  })
  const draw = (percent: number | undefined, fault: () => Fault): ReadonlyArray<Fault> =>
    percent !== undefined && random.chance(percent) ? [fault()] : none
  const fail = (when: "before" | "after") => (): Fault => ({ _tag: "Fail", when })
  return (operation) => {
    switch (operation) {
      case "open":
        return draw(rates.failOpen, fail("before"))
      case "append":
        return [
          ...draw(rates.loseLock, () => ({ _tag: "LoseLock" })),
          ...draw(rates.slowAppend, slow),
          ...draw(rates.failAppend, fail("before")),
          ...draw(rates.loseAnswer, fail("after"))
        ]
      case "read":
        return draw(rates.failRead, fail("before"))
      case "saveSnapshot":
        return draw(rates.failSnapshot, fail(random.chance(50) ? "before" : "after"))
      case "trim":
        return draw(rates.failTrim, fail(random.chance(50) ? "before" : "after"))
      default:
        return none
    }
  }
}

/**
 * A journal that fails by chance: which operation fails how is drawn from the seed, so that the same program meets the same
 * faults again. Combine it with retries of the test's own: a run whose journal failed has to be opened again.
 *
 * @example
 * ```ts
 * import { Journal } from "@espalier/engine"
 * import { FaultyJournal } from "@espalier/engine/testing"
 * import { Effect, Layer } from "effect"
 * import assert from "node:assert"
 *
 * const failures = Effect.gen(function*() {
 *   const journal = yield* Journal.Journal
 *   const failed: Array<number> = []
 *   for (let each = 0; each < 100; each++) {
 *     const append = Effect.flatMap(journal.open("r", { mode: "either" }), (writer) => writer.append([each], 1))
 *     if ((yield* Effect.exit(Effect.scoped(append)))._tag === "Failure") failed.push(each)
 *   }
 *   return failed
 * }).pipe(
 *   Effect.provide(FaultyJournal.layerSeeded({ seed: 7, failAppend: 10 }).pipe(Layer.provide(Journal.layerMemory)))
 * )
 *
 * const failed = await Effect.runPromise(failures)
 * assert(failed.length > 0 && failed.length < 30)
 * assert.deepStrictEqual(await Effect.runPromise(failures), failed)
 * ```
 */
export const layerSeeded = (options: Rates & { readonly seed: number }): Layer.Layer<Journal, never, Journal> =>
  Layer.effect(Journal, Effect.map(Journal, (inner) => wrap(inner, drawn(new Random(options.seed), options)).journal))
