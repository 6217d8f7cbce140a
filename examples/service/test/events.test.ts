import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { JobsRun } from "../deployment.ts"
import * as Ids from "../ids.ts"
import { journal, service } from "./laboratory.ts"

interface Received {
  readonly id: number
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

/** What an event stream says, as a browser reads it: comments are left out. */
const parse = (text: string): ReadonlyArray<Received> =>
  text.split("\n\n").filter((block) => block !== "" && !block.startsWith(":")).map((block) => {
    const fields = new Map(
      block.split("\n").map((line) => {
        const at = line.indexOf(":")
        return [line.slice(0, at), line.slice(at + 1).trimStart()] as const
      })
    )
    return {
      id: Number(fields.get("id")),
      event: fields.get("event") ?? "",
      data: JSON.parse(fields.get("data") ?? "null")
    }
  })

describe("the events", () => {
  it.effect("come from the first on, with their numbers, and end when the service stops", () =>
    Effect.gen(function*() {
      const { fetch, run, stopping, submit } = yield* service(yield* journal)
      yield* run.pause()
      yield* submit({ below: 10 })
      const response = yield* fetch("GET", "/events")
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      const reader = response.body!.getReader()
      let text = ""
      while (!text.includes("WorkAdded")) {
        text += new TextDecoder().decode((yield* Effect.promise(() => reader.read())).value)
      }
      yield* stopping.open
      while (true) {
        const { done } = yield* Effect.promise(() => reader.read())
        if (done) break
      }
      assert.deepStrictEqual(parse(text).map(({ event, id }) => [id, event]), [
        [1, "RunStarted"],
        [2, "RunPausing"],
        [3, "RunPaused"],
        [4, "WorkAdded"]
      ])
    }))

  it.effect("go on after the one that a client saw last, without a gap and without a double", () =>
    Effect.gen(function*() {
      const { fetch, run, submit } = yield* service(yield* journal)
      yield* run.pause()
      const { body: { id } } = yield* submit({ below: 10 })
      yield* run.cancel()
      const read = (path: string, headers: Record<string, string> = {}) =>
        Effect.flatMap(fetch("GET", path, { headers }), (response) => Effect.promise(() => response.text())).pipe(
          Effect.map((text) => parse(text).map(({ event, id }) => [id, event]))
        )
      const all = yield* read("/events")
      assert.deepStrictEqual(all.slice(4), [[5, "RunCancelling"], [6, "WorkCancelled"], [7, "RunCancelled"]])
      assert.deepStrictEqual(yield* read("/events?after=3"), all.slice(3))
      // What a browser sends by itself goes before what the page once asked for.
      assert.deepStrictEqual(yield* read("/events?after=3", { "Last-Event-ID": "5" }), all.slice(5))
      assert.deepStrictEqual(yield* read("/events?after=7"), [])
      assert.strictEqual((yield* fetch("GET", "/events?after=soon")).status, 422)
      assert.isString(id)
    }))

  it.effect("that are no longer kept are told as what they amount to", () =>
    Effect.gen(function*() {
      const on = yield* journal
      // A run that forgets makes a snapshot when it is closed after this many jobs, and gives up what lies before the last but one.
      const many = (run: JobsRun) =>
        Effect.gen(function*() {
          yield* run.add(Array.from({ length: 3_000 }, () => ({
            id: Ids.make(),
            kind: "Primes",
            priority: 0,
            payload: { above: 0, below: 3 }
          })))
          yield* run.changes.pipe(
            Stream.takeUntil(({ counts }) => counts.queued + counts.running === 0),
            Stream.runDrain
          )
        })
      const options = { keep: 10, capacity: 5_000 }
      for (let session = 0; session < 2; session++) {
        yield* Effect.scoped(Effect.flatMap(service(on, "v2", options), ({ run }) => many(run)))
      }
      const { fetch, run } = yield* service(on, "v2", options)
      yield* run.cancel()
      const response = yield* fetch("GET", "/events")
      const events = parse(yield* Effect.promise(() => response.text()))
      const first = events[0]!
      assert.strictEqual(first.event, "RunSnapshot")
      assert.isAbove(first.id, 10_000)
      const { succeeded } = first.data["counts"] as { readonly succeeded: number }
      assert.isAbove(succeeded, 0)
      assert.isBelow(succeeded, 3_000)
      assert.deepStrictEqual(events.map(({ id }) => id), Array.from(events, (_, index) => first.id + index))
      assert.strictEqual(events.at(-1)?.event, "RunCancelled")
    }))
})
