/**
 * The kinds of a simulated run: handlers that carry out what a program says, and tell the world outside what they do.
 */
import { Effect, Exit, Layer, Option, Schedule, Schema, type Scope } from "effect"
import * as CurrentWork from "../../CurrentWork.ts"
import type { Journal } from "../../Journal.ts"
import * as Progress from "../../Progress.ts"
import * as Projection from "../../Projection.ts"
import * as Slots from "../../Slots.ts"
import * as Step from "../../Step.ts"
import * as WorkEngine from "../../WorkEngine.ts"
import * as WorkKind from "../../WorkKind.ts"
import type { Handler, Outside } from "./Outside.ts"
import { same } from "./same.ts"
import type { Child, Deployment, KindName, Operation, Options, Work } from "./Program.ts"

/** What steps and handlers give: a value that follows from the program, and the number of the execution that gave it. */
const Given = Schema.Struct({ value: Schema.String, token: Schema.Int })
type Given = typeof Given.Type

class Failure extends Schema.TaggedError<Failure>()("Failure", { value: Schema.String, token: Schema.Int }) {}

const common = { payload: { work: Schema.Json }, success: Given, error: Failure } as const

const again = (times: number, millis: number) =>
  Schedule.spaced(millis).pipe(Schedule.upTo({ times })) as Schedule.Schedule<unknown, unknown>

export class Plain extends WorkKind.make("Plain", { ...common, retry: again(2, 100) }) {}
export class Undo extends WorkKind.make("Undo", { ...common, retry: again(1, 50) }) {}
/** A failure drops what was recorded from the second operation on, and begins a new generation. */
export class Single extends WorkKind.make("Single", {
  ...common,
  limit: 1,
  retry: again(3, 20),
  retryFrom: () => "s1"
}) {}
export class Timed extends WorkKind.make("Timed", { ...common, timeout: 300, retry: again(1, 10) }) {}
export class Stalling extends WorkKind.make("Stalling", { ...common, stallAfter: 200, retry: again(1, 10) }) {}
export class Stubborn extends WorkKind.make("Stubborn", { ...common, timeout: 400, grace: 100 }) {}
export class Keeper extends WorkKind.make("Keeper", {
  ...common,
  timeout: 400,
  grace: 100,
  keepSlotsWhenStuck: true
}) {}

const kinds = [Plain, Undo, Single, Timed, Stalling, Stubborn, Keeper] as const
const byName: { readonly [name in KindName]: typeof kinds[number] } = {
  Plain,
  Undo,
  Single,
  Timed,
  Stalling,
  Stubborn,
  Keeper
}

export const kindNamed = (name: KindName): typeof kinds[number] => byName[name]

export class Simulated extends WorkEngine.Service<Simulated>()("@espalier/engine/testing/Simulated", { kinds }) {}

/** `Plain` of another version: it needs a field that no work has. */
class ChangedPlain extends WorkKind.make("Plain", {
  ...common,
  payload: { work: Schema.Json, added: Schema.String },
  retry: again(2, 100)
}) {}

/** The layer of an engine that lacks kinds, or has others. It is asked for under the same name. */
const engineOf = (
  { Plain: plain, Undo: undo }: Deployment,
  handlers: Layer.Layer<never>
): Layer.Layer<Simulated, never, Journal> => {
  const deployed = kinds.flatMap((kind): ReadonlyArray<WorkKind.Any> => {
    if (kind === Plain && plain !== undefined) return plain === "missing" ? [] : [ChangedPlain]
    return kind === Undo && undo === "missing" ? [] : [kind]
  })
  class Deployed extends WorkEngine.Service<Deployed>()("@espalier/engine/testing/Simulated", { kinds: deployed }) {}
  return Deployed.layer.pipe(Layer.provide(handlers)) as unknown as Layer.Layer<Simulated, never, Journal>
}

/** A view of the user's own: what it holds must be what the events up to its number amount to. */
export const settledView = Projection.make<{ seq: number; succeeded: number; failed: number; skipped: number }>({
  initial: () => ({ seq: 0, succeeded: 0, failed: 0, skipped: 0 }),
  evolve: (state, { event, seq }) => {
    state.seq = seq
    if (event._tag === "WorkSucceeded") state.succeeded += 1
    if (event._tag === "WorkFailed") state.failed += 1
    if (event._tag === "WorkSkipped") state.skipped += 1
  },
  snapshot: {
    name: "settled",
    version: 1,
    schema: Schema.Struct({ seq: Schema.Int, succeeded: Schema.Int, failed: Schema.Int, skipped: Schema.Int })
  }
})

export const optionsOf = (work: Work) => ({
  id: work.id,
  priority: work.priority,
  ...(work.key === undefined ? {} : { key: work.key }),
  ...(work.slots === undefined ? {} : { slots: work.slots }),
  ...(work.timeToLive === undefined ? {} : { timeToLive: work.timeToLive }),
  ...(work.dedupe === undefined ? {} : { dedupe: work.dedupe }),
  ...(work.onCollision === undefined ? {} : { onCollision: work.onCollision })
})

export const openOptions = (options: Options): WorkEngine.OpenOptions => ({
  concurrency: options.concurrency,
  pools: options.pools,
  ...(options.keyLimit === undefined ? {} : { keyLimit: options.keyLimit }),
  ...(options.capacity === undefined ? {} : { capacity: options.capacity }),
  ...(options.failFast === undefined ? {} : { failFast: options.failFast }),
  ...(options.maxCrashes === undefined ? {} : { maxCrashes: options.maxCrashes }),
  ...(options.retain === undefined ? {} : { retain: { count: options.retain } }),
  ...(options.reserveAfter === undefined ? {} : { reserveAfter: options.reserveAfter })
})

/** The engine with its handlers, as it is deployed in a process. */
export const deployed = (
  outside: Outside,
  process: number,
  deployment: Deployment = {}
): Layer.Layer<Simulated, never, Journal> => engineOf(deployment, handlersOf(outside, process, deployment))

const handlersOf = (outside: Outside, process: number, deployment: Deployment): Layer.Layer<never> => {
  const spawn = ({ on, work }: Child) =>
    Simulated.spawn(kindNamed(work.kind), { work: work as never }, { ...optionsOf(work), on })

  type Here = CurrentWork.CurrentWork["Service"]

  const step = (
    here: Here,
    handler: Handler,
    { children, fails, millis, name, slots }: Extract<Operation, { readonly _tag: "Step" }>,
    untils: ReadonlyMap<string, string>
  ) => {
    const hold = `step:${name}`
    const token = outside.token()
    const value: Given = { value: `${here.spec.id}.${name}.${here.generation}`, token }
    let isExecuted = false
    const body = Effect.gen(function*() {
      isExecuted = true
      outside.stepBegins(handler, name, false)
      if (slots !== undefined) outside.granted(handler, hold, slots, true)
      if (millis > 0) yield* Effect.sleep(millis)
      const spawned: Array<{ readonly on: string; readonly id: string }> = []
      for (const child of children ?? []) spawned.push({ on: child.on, id: yield* spawn(child) })
      outside.spawnedBy.set(token, spawned)
      if (fails !== undefined && here.attempt <= fails) {
        return yield* new Failure({ value: `step ${name} of attempt ${here.attempt}`, token: handler.token })
      }
      outside.givesBack(here.spec.id, (held) => untils.get(held) === name)
      return value
    }).pipe(Effect.ensuring(Effect.sync(() => handler.stepSlots.delete(hold))))
    return Effect.gen(function*() {
      if (slots !== undefined && !here.port.steps.has(name)) handler.asking += 1
      const given = yield* Step.run(name, Given, body, slots === undefined ? {} : { slots })
      outside.stepEnded(handler, name, given)
      if (!isExecuted) outside.cover("step recorded earlier")
      return given.value
    })
  }

  const carryOut = (
    here: Here,
    handler: Handler,
    operations: ReadonlyArray<Operation>,
    untils: ReadonlyMap<string, string>
  ): Effect.Effect<ReadonlyArray<string>, Failure, CurrentWork.CurrentWork | Scope.Scope> =>
    Effect.gen(function*() {
      const values: Array<string> = []
      for (const operation of operations) {
        switch (operation._tag) {
          case "Step":
            values.push(yield* step(here, handler, operation, untils))
            break
          case "Cursor": {
            const cursor = yield* Step.cursor(operation.name, Schema.Int, 0)
            for (let at = cursor.current; at < operation.to; at++) {
              outside.stepBegins(handler, operation.name, true)
              if (operation.millis > 0) yield* Effect.sleep(operation.millis)
              outside.givesBack(here.spec.id, (held) => untils.get(held) === operation.name)
              yield* cursor.advance(at + 1)
              outside.stepEnded(handler, operation.name, at + 1)
            }
            values.push(`${operation.name} to ${operation.to}`)
            break
          }
          case "Hold": {
            const { claims, name, patience, until } = operation
            if (until !== undefined && here.port.steps.has(until)) break
            handler.asking += 1
            const held = Slots.hold(name, claims, until === undefined ? {} : { until })
            const isHeld = patience === undefined
              ? yield* Effect.as(held, true)
              : Option.isSome(yield* Effect.timeoutOption(held, patience))
            // One that is not waited for may be granted at any time from now on, and its unit is lent until then.
            if (isHeld) outside.granted(handler, name, claims, false)
            break
          }
          case "Release":
            outside.givesBack(here.spec.id, (held) => held === operation.name)
            yield* Slots.release(operation.name)
            break
          case "Sleep":
            yield* Effect.sleep(operation.millis)
            break
          case "Report":
            yield* Progress.report({ current: operation.current })
            break
          case "Look": {
            const events = yield* Effect.exit(here.history(0))
            if (Exit.isSuccess(events)) outside.isDurable("history", events.value)
            const view = yield* Effect.exit(settledView)
            if (Exit.isSuccess(view)) outside.isView(view.value)
            break
          }
          case "Spawn":
            handler.spawned.push({ on: operation.child.on, id: yield* spawn(operation.child) })
            break
          case "Read": {
            const plan = outside.works.get(operation.id)
            const exit = yield* Effect.exit(CurrentWork.outcome(kindNamed(plan?.kind ?? "Plain"), operation.id))
            const account = outside.accounting.works.get(operation.id)
            if (Exit.isSuccess(exit)) {
              outside.require(
                account?.outcome?._tag === "WorkSucceeded" || account?.generation !== 0,
                () => `"${here.spec.id}" reads a success of "${operation.id}" that is not on record`
              )
              values.push(exit.value.value)
            } else {
              values.push(`${operation.id} did not succeed`)
            }
            break
          }
          case "Both": {
            const [left, right] = yield* Effect.all([
              carryOut(here, handler, operation.left, untils),
              carryOut(here, handler, operation.right, untils)
            ], { concurrency: 2 })
            values.push(...left, ...right)
            break
          }
          case "Finalizer":
            yield* Effect.addFinalizer(() => Effect.sleep(operation.millis))
            break
          case "Stubborn":
            yield* Effect.uninterruptible(Effect.sleep(operation.millis))
            break
        }
      }
      return values
    })

  /** The step until which each hold is held. */
  const untilsOf = ({ operations }: Work): ReadonlyMap<string, string> => {
    const untils = new Map<string, string>()
    for (const operation of operations) {
      if (operation._tag === "Hold" && operation.until !== undefined) untils.set(operation.name, operation.until)
    }
    return untils
  }

  const handle = ({ work: json }: { readonly work: unknown }) =>
    Effect.gen(function*() {
      const work = json as Work
      const here = yield* CurrentWork.CurrentWork
      const reason = { told: undefined as number | undefined }
      const handler: Handler = {
        token: outside.token(),
        process,
        spec: here.spec,
        generation: here.generation,
        attempt: here.attempt,
        asking: 0,
        stepSlots: new Map(),
        spawned: [],
        mayBeGivenUp: () => {
          if ((here as unknown as { readonly reason: unknown }).reason === undefined) return false
          // A handler that nothing interrupts does not know since when.
          return work.kind === "Stubborn" || work.kind === "Keeper" ||
            (reason.told !== undefined && outside.now() >= reason.told + 30_000)
        }
      }
      // In one: an interruption between the two would leave it counted for ever.
      yield* Effect.acquireRelease(
        Effect.sync(() => outside.enter(handler)),
        () => Effect.sync(() => outside.leave(handler))
      )
      return yield* Effect.gen(function*() {
        const values = yield* carryOut(here, handler, work.operations, untilsOf(work))
        const value = values.join(" ")
        const isEarly = (until: number) => work.kind === "Single" ? here.generation < until : here.attempt <= until
        switch (work.end._tag) {
          case "Fail":
            if (isEarly(work.end.until)) return yield* new Failure({ value, token: handler.token })
            break
          case "Die":
            return yield* Effect.die(new Error(value))
          case "Hang":
            return yield* Effect.never
          case "Succeed":
        }
        return { value, token: handler.token }
      }).pipe(
        Effect.onInterrupt(() => Effect.sync(() => void (reason.told = outside.now())))
      )
    })

  const cleanUps = new Map<string, number>()
  const onCancel = ({ work: json }: { readonly work: unknown }, cancelled: WorkKind.Cancelled) =>
    Effect.gen(function*() {
      const work = json as Work
      const account = outside.accounting.works.get(work.id)
      outside.require(
        account?.status === "cleaning" && account.starts > 0,
        () => `onCancel of "${work.id}" runs, and on record it is ${account?.status} after ${account?.starts} starts`
      )
      for (const [name, { isCursor, result }] of account?.steps ?? []) {
        if (isCursor) continue
        const told = cancelled.recorded(name, Given)
        outside.require(
          same(told, result),
          () =>
            `onCancel of "${work.id}" is told that step "${name}" gave ${JSON.stringify(told)}: ${
              JSON.stringify(result)
            }`
        )
      }
      outside.cover("onCancel")
      if (work.cleanUp.millis > 0) yield* Effect.sleep(work.cleanUp.millis)
      const tries = (cleanUps.get(work.id) ?? 0) + 1
      cleanUps.set(work.id, tries)
      if (tries <= work.cleanUp.fails) return yield* Effect.fail("the clean-up fails")
    })

  const cleansUp = deployment.Undo !== "without onCancel"
  const layers = kinds.map((kind) =>
    kind.toLayer(handle as never, kind === Undo && cleansUp ? { onCancel } : {}) as Layer.Layer<never>
  )
  return Layer.mergeAll(...layers as [typeof layers[number]])
}
