/**
 * `npm run soak -w @espalier/example-service -- [--works N] [--keep N]`
 *
 * Whether the service can stay open for ever: puts so many jobs (200,000 unless told otherwise) through one open run that keeps
 * only the last of them, and measures as it goes what could grow: the heap after a collection, the process's memory, the files of the
 * journal. Then the run is opened again, and the account is checked: every job is either kept or forgotten.
 */
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Clock, Console, Effect, Layer } from "effect"
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { deployment, type JobsRun, payloads, Settings } from "./deployment.ts"
import * as Ids from "./ids.ts"
import { open } from "./server.ts"

const { values } = parseArgs({
  options: { works: { type: "string", default: "200000" }, keep: { type: "string", default: "10000" } }
})
const works = Number(values.works)
const keep = Number(values.keep)
const rows = 20
const batch = 1_000

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const directory = mkdtempSync(join(tmpdir(), "espalier-soak-"))
const primes = deployment(payloads.v2)

const JobsLive = primes.JobsLive.pipe(
  Layer.provide([Settings.layer(1_000), JournalSqlite.layer({ filename: join(directory, "jobs.db") })])
)

const settings = { concurrency: 64, capacity: 5_000, keep }

const mebibytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1)
const filesBytes = (): number =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)

const columns = ["settled", "kept", "jobs/s", "heap MiB", "process MiB", "journal MiB", "loop delay p99 ms", "max ms"]
const row = (cells: ReadonlyArray<string | number>): string =>
  cells.map((cell, index) => String(cell).padStart(Math.max(9, columns[index]!.length))).join("  ")

const settledOf = (run: JobsRun) =>
  Effect.map(run.status, ({ counts, forgotten }) => ({ kept: counts.succeeded, settled: counts.succeeded + forgotten }))

/** Puts all jobs in, as fast as the run takes them, and prints a row now and then. */
const soak = Effect.gen(function*() {
  const run = yield* open(primes, settings)
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  yield* Console.log(row(columns))
  let last = { at: yield* Clock.currentTimeMillis, settled: 0 }
  let next = Math.ceil(works / rows)
  for (let added = 0; added < works; added += batch) {
    const specs = Array.from({ length: Math.min(batch, works - added) }, () => ({
      id: Ids.make(),
      kind: primes.Primes.kind,
      priority: 0,
      payload: { above: 0, below: 100 }
    }))
    // A run that is full lets this wait: so much is under way at once, and no more.
    yield* run.add(specs)
    const isLast = added + batch >= works
    if (isLast) {
      yield* run.close
      yield* run.await
    }
    const { kept, settled } = yield* settledOf(run)
    if (settled < next && !isLast) continue
    next += Math.ceil(works / rows)
    const at = yield* Clock.currentTimeMillis
    const perSecond = Math.round((settled - last.settled) / Math.max(1, at - last.at) * 1_000)
    const [p99, max] = [delay.percentile(99), delay.max].map((nanoseconds) => (nanoseconds / 1e6).toFixed(0))
    collectGarbage()
    const { heapUsed, rss } = process.memoryUsage()
    yield* Console.log(
      row([settled, kept, perSecond, mebibytes(heapUsed), mebibytes(rss), mebibytes(filesBytes()), p99!, max!])
    )
    // The collection above is not the service's doing.
    delay.reset()
    last = { at: yield* Clock.currentTimeMillis, settled }
  }
})

/** The same run, in the eyes of the process that comes after. */
const reopen = Effect.gen(function*() {
  const before = yield* Clock.currentTimeMillis
  const run = yield* open(primes, settings)
  const opened = yield* Clock.currentTimeMillis
  const { kept, settled } = yield* settledOf(run)
  yield* Console.log(`opened again in ${opened - before} ms: ${settled} jobs are accounted for, ${kept} of them kept`)
  if (settled !== works) {
    return yield* Effect.die(new Error(`${works} jobs were put in, and ${settled} are accounted for`))
  }
})

try {
  await Effect.runPromise(soak.pipe(Effect.scoped, Effect.provide(JobsLive)))
  await Effect.runPromise(reopen.pipe(Effect.scoped, Effect.provide(JobsLive)))
} finally {
  rmSync(directory, { recursive: true })
}
