import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { JobsRun } from "../deployment.ts"
import { journal, service } from "./laboratory.ts"

const settled = (run: JobsRun) =>
  run.changes.pipe(Stream.takeUntil(({ counts }) => counts.succeeded === 1), Stream.runDrain)

/** Version 1 takes a job, and is stopped before it gets to it. */
const queuedByVersion1 = Effect.fnUntraced(function*(on: Effect.Success<typeof journal>) {
  const { run, submit } = yield* service(on, "v1")
  yield* run.pause()
  const { body, status } = yield* submit({ below: 1_000 })
  assert.deepStrictEqual([status, body.payload], [201, { below: 1_000 }])
  return body.id as string
}, Effect.scoped)

describe("a deployment with a new field in the payload", () => {
  it.effect("reads the jobs that an earlier version queued, when its schema says what they mean", () =>
    Effect.gen(function*() {
      const on = yield* journal
      const id = yield* queuedByVersion1(on)
      const { call, run } = yield* service(on, "v2")
      yield* run.resume()
      yield* settled(run)
      const { body } = yield* call("GET", `/jobs/${id}`)
      assert.deepStrictEqual([body.state, body.outcome.result], ["succeeded", { count: 168, largest: 997 }])
    }))

  it.effect("takes what clients of the earlier version send", () =>
    Effect.gen(function*() {
      const { submit } = yield* service(yield* journal, "v2")
      assert.deepStrictEqual((yield* submit({ below: 1_000 })).body.payload, { above: 0, below: 1_000 })
    }))

  it.effect("that cannot read them lets them wait, says so, and spoils nothing: the next one does them", () =>
    Effect.gen(function*() {
      const on = yield* journal
      const id = yield* queuedByVersion1(on)
      yield* Effect.scoped(Effect.gen(function*() {
        const { call, run, submit } = yield* service(on, "careless")
        yield* run.resume()
        // Other jobs are not held up by it.
        yield* submit({ above: 0, below: 1_000 })
        yield* settled(run)
        const { body } = yield* call("GET", `/jobs/${id}`)
        assert.deepStrictEqual([body.state, body.reason._tag], ["blocked", "Undecodable"])
        assert.match(body.why, /this program cannot run it: its payload does not fit .*above/s)
        const status = (yield* call("GET", "/status")).body
        assert.deepStrictEqual(
          status.waiting.map(({ count, reason }: (typeof status)["waiting"][number]) => [count, reason._tag]),
          [[1, "Undecodable"]]
        )
      }))
      const { call, run } = yield* service(on, "v2")
      yield* run.changes.pipe(Stream.takeUntil(({ counts }) => counts.succeeded === 2), Stream.runDrain)
      const { body } = yield* call("GET", `/jobs/${id}`)
      assert.deepStrictEqual([body.state, body.attempt, body.outcome.result.count], ["succeeded", 1, 168])
    }))

  it.effect("that cannot read a job can still cancel it", () =>
    Effect.gen(function*() {
      const on = yield* journal
      const id = yield* queuedByVersion1(on)
      const { call, run } = yield* service(on, "careless")
      yield* run.resume()
      assert.strictEqual((yield* call("POST", `/jobs/${id}/cancel`)).body.state, "cancelled")
    }))
})
