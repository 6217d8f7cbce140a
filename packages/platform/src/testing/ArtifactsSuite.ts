/** What every way to build must do, as named cases that any test runner can register. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { strict as assert } from "node:assert"
import { Artifacts, type BuildRequest } from "../Artifacts.ts"

/** The artifacts under test. */
export interface Subject {
  /** A request for a build of this commit, in a tree of its own that is removed with the scope. */
  readonly request: (commit: string) => Effect.Effect<BuildRequest, never, Scope.Scope>
  /** Every build succeeds. */
  readonly succeeds: Layer.Layer<Artifacts>
  /** Every build prints `broken` and ends with exit code 3. Left out where a build cannot fail. */
  readonly fails?: Layer.Layer<Artifacts> | undefined
  /** No build ends by itself. Left out where a build cannot last. */
  readonly hangs?: Layer.Layer<Artifacts> | undefined
}

/** One thing that holds for all artifacts. */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}

/** The cases for one layer. Each builds its own, so they may run in any order and at once. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const check = (
    name: string,
    layer: Layer.Layer<Artifacts> | undefined,
    body: (artifacts: Artifacts["Service"]) => Effect.Effect<void, unknown, Scope.Scope>
  ): ReadonlyArray<Case> =>
    layer === undefined
      ? []
      : [{ name, effect: Effect.flatMap(Artifacts, body).pipe(Effect.scoped, Effect.provide(layer)) }]

  return [
    ...check(
      "building the same commit twice gives the same artifact",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const first = yield* artifacts.build(yield* subject.request("c0ffee"))
          const second = yield* artifacts.build(yield* subject.request("c0ffee"))
          assert.deepEqual(second, first)
        })
    ),

    ...check(
      "an artifact can be named: it has a kind and a reference",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const artifact = yield* artifacts.build(yield* subject.request("c0ffee"))
          if (artifact === undefined) return
          assert.notEqual(artifact.kind, "")
          assert.notEqual(artifact.reference, "")
        })
    ),

    ...check("builds that run at once do not mix", subject.succeeds, (artifacts) =>
      Effect.gen(function*() {
        const commits = ["aaaa", "bbbb", "cccc"]
        const alone = yield* Effect.forEach(commits, (commit) =>
          Effect.flatMap(subject.request(commit), (request) => artifacts.build(request)))
        const together = yield* Effect.forEach(commits, (commit) =>
          Effect.flatMap(subject.request(commit), (request) =>
            artifacts.build(request)), { concurrency: "unbounded" })
        assert.deepEqual(together, alone)
      })),

    ...check(
      "a build that fails says how it ended and what it printed",
      subject.fails,
      (artifacts) =>
        Effect.gen(function*() {
          const request = yield* subject.request("c0ffee")
          const error = yield* Effect.flip(artifacts.build(request))
          assert.equal(error.failure, "exited")
          assert.equal(error.exitCode, 3)
          assert.equal(error.signal, null)
          assert.match(error.logTail, /broken/)
          assert.equal(error.log, request.log)
          assert.ok(error.durationMillis >= 0)
          assert.notEqual(error.message, "")
        })
    ),

    ...check(
      "a build that fails does so again: a failure is not kept",
      subject.fails,
      (artifacts) =>
        Effect.gen(function*() {
          const request = yield* subject.request("c0ffee")
          assert.ok(Exit.isFailure(yield* Effect.exit(artifacts.build(request))))
          assert.ok(Exit.isFailure(yield* Effect.exit(artifacts.build(request))))
        })
    ),

    ...check("a build can be interrupted", subject.hangs, (artifacts) =>
      Effect.gen(function*() {
        const request = yield* subject.request("c0ffee")
        const fiber = yield* Effect.forkChild(artifacts.build(request), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.ok(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      }))
  ]
}
