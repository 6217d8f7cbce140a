import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { JobsRun } from "../deployment.ts"
import * as Ids from "../ids.ts"
import { journal, service } from "./laboratory.ts"

/** Waits until a job is over. */
const over = (run: JobsRun, id: string) =>
  run.changes.pipe(
    Stream.mapEffect(() => run.work(id)),
    Stream.takeUntil(({ outcome }) => outcome !== undefined),
    Stream.runDrain
  )

describe("a job", () => {
  it.effect("is submitted, has an address, and is done", () =>
    Effect.gen(function*() {
      const { call, run, submit } = yield* service(yield* journal)
      const { body, headers, status } = yield* submit({ above: 10, below: 100 })
      assert.strictEqual(status, 201)
      assert.strictEqual(headers.get("location"), `/jobs/${body.id}`)
      yield* over(run, body.id)
      const found = yield* call("GET", `/jobs/${body.id}`)
      assert.deepStrictEqual([found.status, found.body], [200, {
        id: body.id,
        state: "succeeded",
        payload: { above: 10, below: 100 },
        attempt: 1,
        generation: 0,
        failures: 0,
        outcome: { _tag: "Succeeded", result: { count: 21, largest: 97 } }
      }])
    }))

  it.effect("that waits says why, and one that runs how far it is", () =>
    Effect.gen(function*() {
      const { call, run, submit } = yield* service(yield* journal, "v2", { concurrency: 1 })
      const first = yield* submit({ below: 900_000_000 })
      const second = yield* submit({ below: 100 })
      yield* run.changes.pipe(
        Stream.takeUntil(({ running }) => (running[0]?.progress?.current ?? 0) >= 2_000_000),
        Stream.runDrain
      )
      const [running, waiting] = yield* Effect.all([first, second].map(({ body }) => call("GET", `/jobs/${body.id}`)))
      assert.strictEqual(running!.body.state, "running")
      assert.strictEqual(running!.body.progress.total, 900_000_000)
      assert.deepStrictEqual([waiting!.body.state, waiting!.body.reason, waiting!.body.why], [
        "queued",
        { _tag: "Concurrency", limit: 1 },
        "concurrency 1"
      ])
    }))

  it.effect("is the same for the same idempotency key, however often it is asked for, also when it is over", () =>
    Effect.gen(function*() {
      const { run, submit } = yield* service(yield* journal)
      const [first, second] = yield* Effect.all([
        submit({ below: 100 }, "order 17"),
        submit({ below: 100 }, "order 17")
      ], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([first.status, second.status].sort(), [200, 201])
      assert.strictEqual(first.body.id, second.body.id)
      yield* over(run, first.body.id)
      const third = yield* submit({ above: 0, below: 100 }, "order 17")
      assert.deepStrictEqual([third.status, third.body.id, third.body.state], [200, first.body.id, "succeeded"])
      assert.strictEqual((yield* run.status).counts.succeeded, 1)
    }))

  it.effect("of another payload under the same key is a mistake of the client", () =>
    Effect.gen(function*() {
      const { submit } = yield* service(yield* journal)
      yield* submit({ below: 100 }, "order 17")
      const { body, status } = yield* submit({ below: 200 }, "order 17")
      assert.strictEqual(status, 422)
      assert.match(body.detail, /take a new key/)
    }))

  it.effect("that never was is 404, one that is no longer kept is 410", () =>
    Effect.gen(function*() {
      const { call, run, submit } = yield* service(yield* journal, "v2", { keep: 0 })
      const never = Ids.make()
      assert.strictEqual((yield* call("GET", `/jobs/${never}`)).status, 404)
      const ids: Array<string> = []
      // It forgets in bunches.
      while ((yield* run.status).forgotten === 0) ids.push((yield* submit({ below: 10 })).body.id)
      const { body, status } = yield* call("GET", `/jobs/${ids[0]}`)
      assert.strictEqual(status, 410)
      assert.match(body.detail, /no longer kept/)
      assert.strictEqual((yield* call("GET", "/jobs/report")).status, 404)
      assert.strictEqual((yield* call("POST", `/jobs/${ids[0]}/retry`)).status, 410)
    }))

  it.effect("can be cancelled, once, with a reason", () =>
    Effect.gen(function*() {
      const { call, submit } = yield* service(yield* journal)
      const { body: { id } } = yield* submit({ below: 900_000_000 })
      const cancelled = yield* call("POST", `/jobs/${id}/cancel?reason=too%20dear`)
      assert.deepStrictEqual(cancelled.status, 200)
      const found = yield* call("GET", `/jobs/${id}`)
      assert.deepStrictEqual([found.body.state, found.body.outcome], [
        "cancelled",
        { _tag: "Cancelled", actor: "http", reason: "too dear" }
      ])
      const again = yield* call("POST", `/jobs/${id}/cancel`)
      assert.strictEqual(again.status, 409)
      assert.match(again.body.detail, /cancelled/)
      assert.strictEqual((yield* call("POST", `/jobs/${Ids.make()}/cancel`)).status, 404)
    }))

  it.effect("that failed can be tried again, where the service is set up for more", () =>
    Effect.gen(function*() {
      const on = yield* journal
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const { call, run, submit } = yield* service(on, "v2", { most: 1_000 })
        const { body } = yield* submit({ below: 10_000 })
        yield* over(run, body.id)
        const { outcome, state } = (yield* call("GET", `/jobs/${body.id}`)).body
        assert.deepStrictEqual([state, outcome.failure.error], ["failed", {
          _tag: "TooLarge",
          most: 1_000,
          message: "this service counts up to 1000, and was asked for 10000"
        }])
        return body.id as string
      }))
      const { call, run } = yield* service(on, "v2", { most: 10_000 })
      assert.strictEqual((yield* call("POST", `/jobs/${id}/retry`)).status, 200)
      yield* over(run, id)
      const { body } = yield* call("GET", `/jobs/${id}`)
      assert.deepStrictEqual([body.state, body.generation, body.outcome.result.count], ["succeeded", 1, 1_229])
    }))

  it.effect("that cannot be one is refused, and the answer says what is wrong", () =>
    Effect.gen(function*() {
      const { call, submit } = yield* service(yield* journal)
      const wrong = yield* submit({ below: -1 })
      assert.deepStrictEqual([wrong.status, wrong.headers.get("content-type")], [422, "application/problem+json"])
      assert.match(wrong.body.detail, /below/)
      assert.strictEqual((yield* call("POST", "/jobs", { body: "{" })).status, 400)
      assert.strictEqual((yield* call("POST", "/jobs", { body: `"${"x".repeat(65 * 1024)}"` })).status, 413)
      assert.strictEqual((yield* call("GET", "/job")).status, 404)
    }))
})

describe("a service that is full", () => {
  it.effect("sends jobs away and says when to come again; one that ends makes room", () =>
    Effect.gen(function*() {
      const { call, run, submit } = yield* service(yield* journal, "v2", { capacity: 2 })
      yield* run.pause()
      const { body: { id } } = yield* submit({ below: 10 }, "first")
      yield* submit({ below: 10 })
      const away = yield* submit({ below: 10 })
      assert.strictEqual(away.status, 503)
      assert.match(away.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
      // A job that is there already needs no room.
      assert.strictEqual((yield* submit({ below: 10 }, "first")).status, 200)
      yield* call("POST", `/jobs/${id}/cancel`)
      assert.strictEqual((yield* submit({ below: 10 })).status, 201)
    }))
})

describe("a service that stops", () => {
  it.effect("takes nothing more, and sends clients to the next one", () =>
    Effect.gen(function*() {
      const { run, submit } = yield* service(yield* journal)
      yield* run.suspend()
      const { headers, status } = yield* submit({ below: 10 })
      assert.deepStrictEqual([status, headers.get("retry-after")], [503, "5"])
    }))
})

describe("the status", () => {
  it.effect("tells what runs and, in words, why the rest does not", () =>
    Effect.gen(function*() {
      const { call, run, submit } = yield* service(yield* journal)
      yield* run.pause({ actor: "ada", reason: "the machine is needed" })
      yield* submit({ below: 10 })
      const { body, status } = yield* call("GET", "/status")
      assert.deepStrictEqual([status, body.state, body.counts.queued, body.cause.actor], [200, "paused", 1, "ada"])
      assert.deepStrictEqual(body.waiting.map(({ why }: { why: string }) => why), ["the run is paused"])
    }))
})
