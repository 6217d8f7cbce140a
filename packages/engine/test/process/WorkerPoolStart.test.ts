/** Worker files that are of no use, and what is said about them. */
import { Journal } from "@espalier/engine"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { BriefLive, Child, ChildLive, FrailLive, Jobs, LivelyLive, Task, TaskLive } from "./WorkerPoolTasks.ts"
import { isolations, laboratory, messageOf, progressOf, whyBlocked, workerUrl } from "./WorkerPoolLab.ts"

const live = <E>(name: string, make: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => Effect.scoped(make))

const at = (file: string) => new URL(file, import.meta.url)

for (const isolation of isolations) {
  describe(`a worker ${isolation}`, () => {
    live(
      "whose file throws when it is imported holds back every work that needs it, and says so, with the place",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation, url: at("./WorkerPoolThrowing.worker.ts"), size: 1 })
        const run = yield* engine.open("r", { concurrency: 2 })
        for (const id of ["one", "two"]) {
          yield* run.submit(Task, task("succeed"), { id })
          const message = yield* whyBlocked(run, id)
          assert.match(message, /worker file .*WorkerPoolThrowing\.worker\.ts .* cannot be imported: Error: no licence/)
          assert.match(message, /WorkerPoolThrowing\.worker\.ts:1:/)
        }
        assert.strictEqual((yield* run.status).counts.blocked, 2)
      })
    )

    live(
      "whose file is of no use holds its works back until the run is opened with one that is",
      Effect.gen(function*() {
        const journal = Layer.succeedContext(yield* Layer.build(Journal.layerMemory))
        yield* Effect.scoped(Effect.gen(function*() {
          const url = at("./WorkerPoolThrowing.worker.ts")
          const { engine, task } = yield* laboratory({ isolation, url, journal })
          const run = yield* engine.open("r", { concurrency: 2 })
          yield* run.submit(Task, task("succeed"), { id: "held back" })
          assert.match(yield* whyBlocked(run, "held back"), /no licence for the solver/)
        }))
        const { engine } = yield* laboratory({ isolation, journal })
        const run = yield* engine.open("r", { concurrency: 2 })
        assert.deepStrictEqual(yield* (yield* run.job(Task, "held back")).await, { year: 1970, pool: true })
        const { attempt, failures } = yield* run.work("held back")
        assert.deepStrictEqual([attempt, failures], [1, []])
      })
    )

    live(
      "whose file serves nothing, or not this kind, says so",
      Effect.gen(function*() {
        const silent = yield* laboratory({ isolation, url: at("./WorkerPoolSilent.worker.ts") })
        const first = yield* silent.engine.open("r", { concurrency: 1 })
        yield* first.submit(Task, silent.task("succeed"), { id: "one" })
        assert.match(
          yield* whyBlocked(first, "one"),
          /WorkerPoolSilent\.worker\.ts .*does not call WorkerPool\.serve/
        )
        const other = yield* laboratory({ isolation, url: at("./WorkerPoolOther.worker.ts") })
        const second = yield* other.engine.open("r", { concurrency: 1 })
        yield* second.submit(Child, { of: "nobody" }, { id: "one" })
        assert.match(
          yield* whyBlocked(second, "one"),
          /WorkerPoolOther\.worker\.ts serves "Task", not "Child"/
        )
      })
    )

    live(
      "whose layer fails says so",
      Effect.gen(function*() {
        const { engine } = yield* laboratory({ isolation, url: at("./WorkerPoolFailing.worker.ts") })
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Child, { of: "nobody" }, { id: "one" })
        assert.match(
          yield* whyBlocked(run, "one"),
          /WorkerPoolFailing\.worker\.ts .*layer of its handlers failed: .*table of weights is missing/s
        )
      })
    )

    live(
      "that cannot read the payload holds it back and says so, and is not ended for it",
      Effect.gen(function*() {
        const { engine, task } = yield* laboratory({ isolation, url: at("./WorkerPoolOther.worker.ts") })
        const run = yield* engine.open("r", { concurrency: 1 })
        yield* run.submit(Task, task("succeed"), { id: "old" })
        assert.match(
          yield* whyBlocked(run, "old"),
          /WorkerPoolOther\.worker\.ts cannot read the payload of "old", .*one version\?/
        )
      })
    )

    live(
      "with an onCancel that the host was not told of is refused: it would never run",
      Effect.gen(function*() {
        const handlers = Layer.mergeAll(WorkerPool.handler(Task), BriefLive, LivelyLive, ChildLive, FrailLive)
        const pool = WorkerPool.layer({ url: workerUrl, size: 1, isolation })
        const context = yield* Layer.build(
          Jobs.layer.pipe(Layer.provide(handlers), Layer.provide([pool, Journal.layerMemory]))
        )
        const run = yield* (yield* Effect.provide(Jobs, context)).open("r", { concurrency: 1 })
        yield* run.submit(Task, { how: "succeed", notes: "", since: new Date(0) }, { id: "one" })
        assert.match(
          yield* whyBlocked(run, "one"),
          /has an onCancel for "Task" that nobody would run: give `onCancel: "worker"`/
        )
      })
    )

    live(
      "may have its clean-up in the host",
      Effect.gen(function*() {
        const cleaned: Array<string> = []
        const toLayer = WorkerPool.toLayer(Child, {
          url: at("./WorkerPoolWaiting.worker.ts"),
          size: 1,
          isolation,
          onCancel: ({ of }, { reason }) => Effect.sync(() => void cleaned.push(`${of}: ${reason}`))
        })
        const handlers = Layer.mergeAll(TaskLive, BriefLive, LivelyLive, FrailLive, toLayer)
        const context = yield* Layer.build(Jobs.layer.pipe(Layer.provide([handlers, Journal.layerMemory])))
        const run = yield* (yield* Effect.provide(Jobs, context)).open("r", { concurrency: 1 })
        const job = yield* run.submit(Child, { of: "one" }, { id: "one" })
        yield* progressOf(run, "one")
        yield* run.cancelWork("one", { reason: "late" })
        yield* Effect.exit(job.await)
        assert.deepStrictEqual(cleaned, ["one: late"])
      })
    )

    live(
      "that hangs while it starts does not hold up a cancel, and is given up in the end",
      Effect.gen(function*() {
        const url = at("./WorkerPoolHanging.worker.ts")
        const { engine } = yield* laboratory({ isolation, url, size: 1, startTimeout: "1 second" })
        const run = yield* engine.open("r", { concurrency: 1 })
        const job = yield* run.submit(Child, { of: "nobody" }, { id: "hangs" })
        yield* run.cancelWork("hangs", { reason: "no answer", actor: "ada" })
        assert.match(yield* messageOf(job), /cancelled by ada: no answer/)
        yield* run.submit(Child, { of: "nobody" }, { id: "next" })
        assert.match(
          yield* whyBlocked(run, "next"),
          /WorkerPoolHanging\.worker\.ts is of no use: it is not ready after 1000 ms/
        )
      })
    )
  })
}
