/**
 * The cases of the journal's conformance suite about who may write.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import assert from "node:assert/strict"
import { Journal, type RunLocked } from "../../Journal.ts"
import { event, events, failureOf, type JournalCase, test } from "./JournalCase.ts"

/** A run has one writer at a time, and everybody can know who that is. */
export const lockingCases: ReadonlyArray<JournalCase> = [
  test(
    "a second writer is told who holds the run",
    Effect.gen(function*() {
      const journal = yield* Journal
      const before = yield* Clock.currentTimeMillis
      yield* journal.open("run", { mode: "create", owner: "the first" })
      const error = yield* failureOf(journal.open("run", { mode: "existing", owner: "the second" }), "RunLocked")
      assert.equal(error.runId, "run")
      assert.equal(error.owner, "the first")
      assert.equal(error.pid, process.pid)
      assert.ok(error.host.length > 0)
      assert.ok(error.since >= before && error.since <= (yield* Clock.currentTimeMillis))
      for (const part of ["the first", error.host, String(error.pid), "\"run\""]) {
        assert.ok(error.message.includes(part), error.message)
      }
    })
  ),
  test(
    "a refused second writer does not disturb the first",
    Effect.gen(function*() {
      const journal = yield* Journal
      const writer = yield* journal.open("run", { mode: "create", owner: "the first" })
      for (let number = 1; number <= 5; number++) {
        yield* failureOf(Effect.scoped(journal.open("run", { mode: "either", owner: "the second" })), "RunLocked")
        yield* failureOf(Effect.scoped(journal.open("run", { mode: "create", owner: "the second" })), "RunExists")
        assert.equal(yield* writer.append([event(number)], 1), number)
        assert.equal(Option.getOrThrow(yield* journal.owner("run")).owner, "the first")
      }
    })
  ),
  test(
    "a run is free when the scope of its writer closes",
    Effect.gen(function*() {
      const journal = yield* Journal
      for (let round = 1; round <= 3; round++) {
        yield* Effect.scoped(journal.open("run", { mode: "either" }))
        assert.ok(Option.isNone(yield* journal.owner("run")))
      }
      yield* journal.open("run", { mode: "existing" })
    })
  ),
  test(
    "a run is free when its holder is interrupted, fails or dies",
    Effect.gen(function*() {
      const journal = yield* Journal
      const opened = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        journal.open("run", { mode: "create" }).pipe(
          Effect.andThen(Deferred.succeed(opened, undefined)),
          Effect.andThen(Effect.never),
          Effect.scoped
        )
      )
      yield* Deferred.await(opened)
      yield* failureOf(journal.open("run", { mode: "existing" }), "RunLocked")
      yield* Fiber.interrupt(holder)
      const open = journal.open("run", { mode: "existing" })
      yield* Effect.exit(Effect.scoped(Effect.andThen(open, Effect.fail("failure"))))
      yield* Effect.exit(Effect.scoped(Effect.andThen(open, Effect.die("defect"))))
      yield* open
    })
  ),
  test(
    "closing the scope of a writer again is harmless, also when someone else holds the run by then",
    Effect.gen(function*() {
      const journal = yield* Journal
      const scope = yield* Scope.make()
      yield* journal.open("run", { mode: "create", owner: "the first" }).pipe(Scope.provide(scope))
      yield* Scope.close(scope, Exit.void)
      const writer = yield* journal.open("run", { mode: "existing", owner: "the second" })
      yield* Scope.close(scope, Exit.void)
      assert.equal(Option.getOrThrow(yield* journal.owner("run")).owner, "the second")
      yield* failureOf(journal.open("run", { mode: "existing" }), "RunLocked")
      assert.equal(yield* writer.append(events(1, 1), 1), 1)
    })
  ),
  test(
    "the owner of a run is known while it is held, and nobody before and after",
    Effect.gen(function*() {
      const journal = yield* Journal
      assert.ok(Option.isNone(yield* journal.owner("run")))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* journal.open("run", { mode: "create", owner: "nightly job" })
        const owner = Option.getOrThrow(yield* journal.owner("run"))
        assert.equal(owner.owner, "nightly job")
        assert.equal(owner.pid, process.pid)
        assert.ok(Option.isNone(yield* journal.owner("another run")))
      }))
      assert.ok(Option.isNone(yield* journal.owner("run")))
    })
  ),
  test(
    "of many that open a run at once exactly one gets it",
    Effect.gen(function*() {
      const journal = yield* Journal
      const results = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `fiber ${index}`),
        (owner) => Effect.andThen(Effect.yieldNow, Effect.result(journal.open("run", { mode: "either", owner }))),
        { concurrency: "unbounded" }
      )
      assert.equal(results.filter((result) => result._tag === "Success").length, 1)
      const winner = Option.getOrThrow(yield* journal.owner("run")).owner
      for (const result of results) {
        if (result._tag === "Success") continue
        assert.equal(result.failure._tag, "RunLocked")
        assert.equal((result.failure as RunLocked).owner, winner)
      }
    })
  )
]
