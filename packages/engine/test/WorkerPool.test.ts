import { WorkKind } from "@espalier/engine"
import * as RunError from "@espalier/engine/RunError"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Schema } from "effect"
import type { RunError as AnyRunError } from "../src/internal/errors.ts"
import { decodeEnding, decodeRunError, encodeExit, encodeRunError } from "../src/internal/workerCodec.ts"
import { Pool } from "../src/internal/workerPool.ts"

/** One of each error that a run may answer a handler with; a missing one does not compile. */
const errors: { readonly [Tag in AnyRunError["_tag"]]: Extract<AnyRunError, { readonly _tag: Tag }> } = {
  RunNotAccepting: new RunError.RunNotAccepting({ command: "Add", state: "cancelled", message: "no" }),
  DuplicateWork: new RunError.DuplicateWork({ id: "a", message: "twice" }),
  RunFull: new RunError.RunFull({ capacity: 3, message: "full" }),
  DuplicateKey: new RunError.DuplicateKey({ id: "a", key: "k", existing: "b", message: "twice" }),
  WorkNotFound: new RunError.WorkNotFound({ id: "a", message: "none" }),
  WorkSettled: new RunError.WorkSettled({ id: "a", status: "failed", message: "over" }),
  WorkNotAccepting: new RunError.WorkNotAccepting({ id: "a", command: "x", status: "y", message: "no" }),
  InvalidWork: new RunError.InvalidWork({ id: "a", field: "priority", value: "NaN", message: "finite" }),
  Late: new RunError.Late({ id: "a", message: "over" }),
  JournalError: new RunError.JournalError({
    operation: "append",
    runId: "r",
    cause: new Error("EIO"),
    message: "disk"
  }),
  RunNotFound: new RunError.RunNotFound({ runId: "r", message: "none" }),
  RunQuarantined: new RunError.RunQuarantined({ runId: "r", seq: 3, message: "newer" }),
  OutcomeExpired: new RunError.OutcomeExpired({ id: "a", message: "forgotten" })
}

const crossed = (exit: Exit.Exit<unknown, unknown>) => {
  const ending = structuredClone(encodeExit(exit, { value: Exit.succeed, error: encodeRunError }))
  return Effect.exit(decodeEnding(ending, { value: Exit.succeed, error: decodeRunError }))
}

describe("what crosses from a host to a worker", () => {
  for (const error of Object.values(errors)) {
    it.effect(`is a ${error._tag} of the same class, with all that it says`, () =>
      Effect.gen(function*() {
        const exit = yield* crossed(Exit.fail(error))
        assert.isTrue(Exit.isFailure(exit))
        const found = yield* Effect.flip(exit)
        assert.instanceOf(found, error.constructor as new() => unknown)
        // The cause is an error again, but not the same one.
        const fields = (from: object) => Object.entries(from).filter(([name]) => name !== "cause")
        assert.deepStrictEqual(fields(found as object), fields(error))
        assert.strictEqual((found as Error).message, error.message)
      }))
  }

  it.effect("is a defect with its name, message and stack, whatever was thrown", () =>
    Effect.gen(function*() {
      const thrown = new RangeError("too far")
      const died = yield* crossed(Exit.die(thrown))
      assert.isTrue(Exit.isFailure(died))
      if (Exit.isSuccess(died)) return
      const found = Cause.squash(died.cause) as Error
      assert.deepStrictEqual([found.name, found.message, found.stack], ["RangeError", "too far", thrown.stack])
      const text = yield* crossed(Exit.die("just so"))
      assert.strictEqual(Exit.isFailure(text) ? Cause.squash(text.cause) : "", "just so")
      const unknown = yield* crossed(Exit.fail(new Error("an error of no run")))
      assert.strictEqual(
        Exit.isFailure(unknown) ? (Cause.squash(unknown.cause) as Error).message : "",
        "an error of no run"
      )
      const interrupted = yield* crossed(Exit.interrupt(7))
      assert.isTrue(Exit.isFailure(interrupted) && Cause.hasInterruptsOnly(interrupted.cause))
    }))
})

class Kind extends WorkKind.make("Kind", { payload: { n: Schema.Int } }) {}

describe("a pool", () => {
  const refusal = (options: Partial<WorkerPool.PoolOptions>) =>
    Effect.flip(Effect.scoped(Layer.build(WorkerPool.layer({ url: new URL(import.meta.url), size: 1, ...options }))))

  it.effect("is refused with a size, a cap or a file that cannot be, and says what may", () =>
    Effect.gen(function*() {
      assert.match((yield* refusal({ size: 0 })).message, /size is 0; it must be a whole number from 1/)
      assert.match((yield* refusal({ size: 1.5 })).message, /size is 1\.5/)
      assert.match((yield* refusal({ memoryMegabytes: 8 })).message, /memoryMegabytes is 8; .* from 16/)
      const url = new URL("./not-there.worker.ts", import.meta.url)
      const missing = yield* refusal({ url })
      assert.strictEqual(missing._tag, "WorkerUnusable")
      assert.match(missing.message, /there is no worker file .*not-there\.worker\.ts: give `new URL\(/)
    }))

  it("is not in this process: its worker file can only be run by it", () => {
    assert.isFalse(WorkerPool.isWorker)
    assert.throws(() => WorkerPool.serve([Kind], Kind.toLayer(() => Effect.void)), /outside of a worker/)
  })
})

/** Workers that exist on paper: they are ready when they are told so. */
const paper = (size: number) => {
  const started: Array<{ readonly ready: () => void; readonly die: () => void; isEnded: boolean }> = []
  const pool = new Pool({
    url: new URL("file:///paper.worker.ts"),
    name: "paper",
    size,
    memoryMegabytes: undefined,
    execArgv: [],
    terminateAfterMillis: 1,
    startTimeoutMillis: 60_000,
    onMessage: () => undefined,
    start: (_, listener) => {
      const end = () => {
        if (worker.isEnded) return
        worker.isEnded = true
        listener.onEnd(new WorkerPool.WorkerDied({ reason: "exit", exitCode: 0, message: "over" }))
      }
      const worker = {
        ready: () => listener.onMessage({ _tag: "Ready", kinds: [{ kind: "Kind", onCancel: false }] }),
        die: end,
        isEnded: false
      }
      started.push(worker)
      return {
        post: (message) => message._tag === "Close" ? end() : undefined,
        terminate: end,
        keepHostAlive: () => undefined
      }
    }
  })
  return { pool, started }
}

describe("workers", () => {
  it.effect("are started when they are needed, and given to the most urgent of those that wait", () =>
    Effect.gen(function*() {
      const { pool, started } = paper(1)
      const order: Array<string> = []
      const take = (name: string, priority: number) =>
        Effect.forkChild(
          Effect.tap(pool.take(priority), () => Effect.sync(() => order.push(name))),
          { startImmediately: true }
        )
      assert.strictEqual(started.length, 0)
      const first = yield* take("first", 0)
      for (const [name, priority] of [["late", 5], ["soon", -5], ["also soon", -5], ["then", 0]] as const) {
        yield* take(name, priority)
      }
      assert.strictEqual(started.length, 1)
      started[0]!.ready()
      const worker = yield* Fiber.join(first)
      for (let n = 0; n < 4; n++) pool.release(worker)
      assert.deepStrictEqual(order, ["first", "soon", "also soon", "then", "late"])
      assert.strictEqual(started.length, 1)
      yield* pool.close
    }))

  it.effect("that die make room for others, also while somebody waits", () =>
    Effect.gen(function*() {
      const { pool, started } = paper(1)
      const first = yield* Effect.forkChild(pool.take(0), { startImmediately: true })
      const second = yield* Effect.forkChild(pool.take(0), { startImmediately: true })
      started[0]!.die()
      const error = yield* Effect.flip(Fiber.join(first))
      assert.strictEqual(error._tag, "WorkerDied")
      assert.strictEqual(started.length, 2)
      started[1]!.ready()
      pool.release(yield* Fiber.join(second))
      yield* pool.close
      assert.deepStrictEqual(started.map(({ isEnded }) => isEnded), [true, true])
    }))

  it.effect("that nobody wants any more are ended in the middle of their start, and waiting can be given up", () =>
    Effect.gen(function*() {
      const { pool, started } = paper(1)
      const first = yield* Effect.forkChild(pool.take(0), { startImmediately: true })
      const second = yield* Effect.forkChild(pool.take(0), { startImmediately: true })
      const third = yield* Effect.forkChild(pool.take(0), { startImmediately: true })
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(started.map(({ isEnded }) => isEnded), [true, false])
      started[1]!.ready()
      pool.release(yield* Fiber.join(third))
      yield* pool.close
    }))

  it.effect("are given to nobody by a pool that is closed", () =>
    Effect.gen(function*() {
      const { pool, started } = paper(1)
      yield* Effect.forkChild(Effect.exit(pool.take(0)), { startImmediately: true })
      const waiting = yield* Effect.forkChild(Effect.flip(pool.take(0)), { startImmediately: true })
      yield* pool.close
      assert.match((yield* Fiber.join(waiting)).message, /the pool of .*paper\.worker\.ts is closed/)
      assert.match((yield* Effect.flip(pool.take(0))).message, /is closed/)
      assert.strictEqual(started.length, 1)
    }))
})
