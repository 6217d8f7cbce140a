import { CurrentWork, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Logger, Metric, Option, Schedule, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Boom, engineOf, mortalJournal, quiet, until } from "./laboratory.ts"

class Audit extends WorkKind.make("Audit", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 })),
  grace: "1 second"
}) {}
class Audits extends WorkEngine.Service<Audits>()("test/unit/Audits", { kinds: [Audit] }) {}

type Handler = (name: string) => Effect.Effect<string, Boom, CurrentWork.CurrentWork>

const audits = Effect.fnUntraced(function*(handler: Handler) {
  const { layer, state } = yield* mortalJournal
  return { engine: yield* engineOf(Audits, Audit.toLayer(({ name }) => handler(name)), layer), state }
})

/** A tracer that keeps its spans. */
const recorder = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer, named: (name: string) => spans.filter((span) => span.name === name) }
}

const parentOf = (span: Tracer.Span | undefined) =>
  Option.match(span?.parent ?? Option.none(), { onNone: () => undefined, onSome: (parent) => parent.spanId })

const counters = Effect.map(Metric.snapshot, (all) => {
  const ours: Record<string, number> = {}
  for (const { attributes, id, state } of all) {
    if (!id.startsWith("espalier_")) continue
    assert.strictEqual(attributes?.["run"], "r", id)
    ours[id] = Number((state as { readonly count: number | bigint }).count)
  }
  return ours
})

describe("metrics", () => {
  it.effect("count what happens to works in this process, by run", () =>
    Effect.gen(function*() {
      const { engine } = yield* audits((name) =>
        name === "boom"
          ? Effect.fail(new Boom({ why: "rain" }))
          : name === "deaf"
          ? Effect.uninterruptible(Effect.never)
          : Effect.as(Step.run("one", Schema.Void, Effect.void), name)
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* run.submit(Audit, { name: "ok" })
      yield* run.submit(Audit, { name: "boom" }, { id: "boom" })
      yield* run.submit(Audit, { name: "after" }, { after: ["boom"] })
      yield* run.submit(Audit, { name: "deaf" }, { id: "deaf" })
      yield* until(run, ({ counts }) => counts.waiting === 2 && counts.succeeded === 1)
      yield* TestClock.adjust("1 second")
      yield* until(run, ({ counts }) => counts.skipped === 1)
      yield* run.cancelWork("deaf")
      yield* TestClock.adjust("1 second")
      yield* until(run, ({ counts }) => counts.cancelled === 1)
      yield* quiet
      assert.deepStrictEqual(yield* counters, {
        espalier_works_added: 4,
        espalier_works_started: 4,
        espalier_works_succeeded: 1,
        espalier_works_failed: 1,
        espalier_works_skipped: 1,
        espalier_works_cancelled: 1,
        espalier_retries: 1,
        espalier_steps_recorded: 1,
        espalier_handlers_stuck: 1
      })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("do not count again what a restart reads", () =>
    Effect.gen(function*() {
      const { engine } = yield* audits((name) => Effect.succeed(name))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* (yield* run.submit(Audit, { name: "a" })).await
      }))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* (yield* run.submit(Audit, { name: "b" })).await
      yield* quiet
      const { espalier_works_added, espalier_works_succeeded } = yield* counters
      assert.deepStrictEqual([espalier_works_added, espalier_works_succeeded], [2, 2])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("do not count what was not durable", () =>
    Effect.gen(function*() {
      const { engine, state } = yield* audits((name) => Effect.succeed(name))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        state.dead = true
        yield* Effect.exit(run.submit(Audit, { name: "a" }))
      }))
      assert.strictEqual((yield* counters)["espalier_works_added"] ?? 0, 0)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("spans", () => {
  it.effect("are one for each attempt, named for the kind, below the span of whoever submitted", () => {
    const { named, tracer } = recorder()
    return Effect.gen(function*() {
      const { engine } = yield* audits(() =>
        Effect.flatMap(
          CurrentWork.CurrentWork,
          ({ attempt }) => attempt === 1 ? Effect.fail(new Boom({ why: "rain" })) : Effect.succeed("x")
        )
      )
      const run = yield* engine.open("r", { concurrency: 9 })
      const job = yield* Effect.withSpan(run.submit(Audit, { name: "a" }, { id: "a" }), "request")
      yield* until(run, ({ counts }) => counts.waiting === 1)
      yield* TestClock.adjust("1 second")
      yield* job.await
      yield* quiet
      const [request] = named("request")
      const attempts = named("Audit")
      assert.deepStrictEqual(attempts.map(parentOf), [request!.spanId, request!.spanId])
      assert.deepStrictEqual(attempts.map(({ traceId }) => traceId), [request!.traceId, request!.traceId])
      assert.deepStrictEqual(attempts.map(({ status }) => status._tag === "Ended" && Exit.isSuccess(status.exit)), [
        false,
        true
      ])
      const values = attempts.map(({ attributes }) => [...attributes.values()])
      for (const [n, each] of values.entries()) {
        assert.isTrue(each.includes("r") && each.includes("a"), JSON.stringify([...attempts[n]!.attributes]))
        assert.isTrue(each.map(Number).includes(n + 1), "the attempt")
      }
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("keep their parent over a restart: the link is in the spec", () => {
    const { named, spans, tracer } = recorder()
    return Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { engine } = yield* audits((name) => Effect.as(Deferred.await(gate), name))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* Effect.withSpan(run.submit(Audit, { name: "a" }, { id: "a" }), "request")
        yield* until(run, ({ counts }) => counts.running === 1)
      }))
      const request = named("request")[0]!
      spans.length = 0
      yield* Deferred.succeed(gate, undefined)
      const run = yield* engine.open("r", { concurrency: 1 })
      yield* (yield* run.job(Audit, "a")).await
      yield* quiet
      assert.deepStrictEqual(named("Audit").map((span) => [parentOf(span), span.traceId]), [[
        request.spanId,
        request.traceId
      ]])
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("of the handler lie below the attempt's, and children's attempts below that in which they were spawned", () => {
    const { named, tracer } = recorder()
    return Effect.gen(function*() {
      const { engine } = yield* audits((name) =>
        name === "child"
          ? Effect.succeed("child")
          : Effect.withSpan(Effect.as(Audits.spawn(Audit, { name: "child" }), "parent"), "inner")
      )
      const run = yield* engine.open("r", { concurrency: 1, keepOpen: true })
      yield* Effect.withSpan(run.submit(Audit, { name: "parent" }), "request")
      yield* until(run, ({ counts }) => counts.succeeded === 2)
      yield* quiet
      const [parent, child] = named("Audit")
      const [inner] = named("inner")
      assert.deepStrictEqual([parentOf(inner), parentOf(child)], [parent!.spanId, inner!.spanId])
      assert.strictEqual(child!.traceId, named("request")[0]!.traceId)
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("end also for an attempt that is cancelled, or suspended", () => {
    const { named, tracer } = recorder()
    return Effect.gen(function*() {
      const { engine } = yield* audits(() => Effect.never)
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* engine.open("r", { concurrency: 9 })
        yield* run.submit(Audit, { name: "a" }, { id: "a" })
        yield* run.submit(Audit, { name: "b" }, { id: "b" })
        yield* until(run, ({ counts }) => counts.running === 2)
        yield* quiet
        yield* run.cancelWork("a")
        yield* until(run, ({ counts }) => counts.cancelled === 1)
      }))
      yield* quiet
      assert.deepStrictEqual(named("Audit").map(({ status }) => status._tag), ["Ended", "Ended"])
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("have the parent that a traceparent by hand says", () => {
    const { named, tracer } = recorder()
    return Effect.gen(function*() {
      const { engine } = yield* audits((name) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 9 })
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* (yield* run.submit(Audit, { name: "a" }, { traceparent })).await
      yield* quiet
      const [span] = named("Audit")
      assert.deepStrictEqual([parentOf(span), span?.traceId], ["b7ad6b7169203331", "0af7651916cd43dd8448eb211c80319c"])
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("are not spoiled by a traceparent that is none", () => {
    const { named, tracer } = recorder()
    return Effect.gen(function*() {
      const { engine } = yield* audits((name) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 9 })
      for (const traceparent of ["garbage", "00-0-0-0", "00-00000000000000000000000000000000-0000000000000000-01"]) {
        const exit = yield* Effect.exit(
          Effect.flatMap(run.submit(Audit, { name: "a" }, { traceparent }), (job) => job.await)
        )
        // Run without a parent, or refused as InvalidWork: the run goes on either way.
        if (Exit.isFailure(exit)) assert.match(String(exit.cause), /traceparent/)
      }
      yield* quiet
      assert.strictEqual((yield* run.status).state, "running")
      assert.deepStrictEqual(named("Audit").map(parentOf).filter((parent) => parent !== undefined), [])
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("are not asked for where nobody has a span: a spec has no traceparent then", () =>
    Effect.gen(function*() {
      const { engine } = yield* audits((name) => Effect.succeed(name))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* (yield* run.submit(Audit, { name: "a" }, { id: "a" })).await
      assert.strictEqual((yield* run.work("a")).spec.traceparent, undefined)
    }))
})

describe("logs of a handler", () => {
  it.effect("go to the logger of the fiber that opened the run", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => {
      lines.push(String(message))
    })
    return Effect.gen(function*() {
      const { engine } = yield* audits((name) => Effect.as(Effect.logInfo(`auditing ${name}`), name))
      const run = yield* engine.open("r", { concurrency: 9 })
      yield* (yield* run.submit(Audit, { name: "a" })).await
      assert.deepStrictEqual(lines, ["auditing a"])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})
