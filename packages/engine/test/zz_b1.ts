import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer, Schema } from "effect"
import { rmSync } from "node:fs"
class Task extends WorkKind.make("Task", { payload: { n: Schema.Int } }) {}
class Jobs extends WorkEngine.Service<Jobs>()("app/Jobs", { kinds: [Task] }) {}
const noop = async () => {}
const mode = process.argv[2] ?? "memory",
  N = Number(process.argv[3] ?? 200000),
  conc = Number(process.argv[4] ?? 16),
  prios = Number(process.argv[5] ?? 1)
const file = "/tmp/b1.db"
for (const s of ["", "-wal", "-shm"]) rmSync(file + s, { force: true })
const J = mode === "memory" ? Journal.layerMemory : JournalSqlite.layer({ filename: file })
const live = Jobs.layer.pipe(
  Layer.provide(Task.toLayer(() => process.env.SYNC ? Effect.void : Effect.promise(noop))),
  Layer.provide(J)
)
const program = Effect.gen(function*() {
  const jobs = yield* Jobs
  for (let r = 0; r < 3; r++) {
    const run = yield* jobs.open("r" + r, { concurrency: conc })
    const batch = 2000
    const t0 = performance.now()
    if (process.env.PAUSE) yield* run.pause()
    for (let i = 0; i < N; i += batch) {
      yield* run.add(
        Array.from(
          { length: batch },
          (_, k) => ({ id: `w${i + k}`, kind: "Task", priority: (i + k) * 7919 % prios, payload: { n: i + k } })
        )
      )
    }
    const t1 = performance.now()
    if (process.env.PAUSE) yield* run.resume()
    yield* run.close
    yield* run.await
    const t2 = performance.now()
    console.log(
      mode,
      "add",
      Math.round(N / (t1 - t0) * 1000),
      "total",
      Math.round(N / (t2 - t0) * 1000),
      "run-phase",
      Math.round(N / (t2 - t1) * 1000)
    )
  }
}).pipe(Effect.scoped, Effect.provide(live))
await Effect.runPromise(program)
