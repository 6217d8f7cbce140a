/**
 * `npm run bench`: peers side by side with `espalier`, in one run, as one table. See docs/benchmarks.md.
 *
 * The table (or, with `--json`, its rows) goes to stdout, everything else to stderr. Exit code 1 when a trial failed or
 * a server is missing, 2 for wrong arguments. A threshold that is not reached is said in the table and is no failure.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { ServicesMissing } from "../scripts/require-services.ts"
import { BadArguments, type Options, readArguments, usage } from "./src/Arguments.ts"
import { assertOnDisk, describeDisk, describeLoad, describeMachine, NotOnDisk, syncMicros } from "./src/Machine.ts"
import { jsonOf, rowsOf } from "./src/Rows.ts"
import { postgresPrograms, redisPrograms, startPostgres, versionOf } from "./src/Servers.ts"
import { figure, type Line, table } from "./src/Table.ts"
import { type Outcome, type Place, runWorkload } from "./src/Trials.ts"
import { workloads } from "./src/Trial.ts"

const say = (text: string): void => console.error(text)

const options = ((): Options => {
  try {
    const read = readArguments(process.argv.slice(2))
    if (read !== undefined) return read
    console.log(usage)
    return process.exit(0)
  } catch (error) {
    if (!(error instanceof BadArguments)) throw error
    say(`${error.message}\n\n${usage}`)
    return process.exit(2)
  }
})()

/** The versions of the servers that the plan needs; throws `ServicesMissing` before anything is measured. */
const describeServers = (): ReadonlyArray<string> => {
  const needs = new Set(options.plan.map((entry) => entry.needs))
  return [
    ...(needs.has("postgres") ? [`PostgreSQL ${versionOf(postgresPrograms().postgres)} (synchronous_commit on)`] : []),
    ...(needs.has("redis") ? [`Redis ${versionOf(redisPrograms()["redis-server"])} (appendfsync always)`] : [])
  ]
}

const place = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = mkdtempSync(join(options.directory ?? tmpdir(), "espalier-bench-"))
      chmodSync(made, 0o711) // the user that PostgreSQL runs as must get through
      return made
    }),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  assertOnDisk(directory)
  const postgres = options.plan.some(({ needs }) => needs === "postgres") ? yield* startPostgres(directory) : undefined
  return { directory, postgres } satisfies Place
})

const linesOf = ({ entry, trials }: Outcome): ReadonlyArray<Line> =>
  rowsOf(entry, trials).map((row) => ({ row, works: entry.works }))

const program = Effect.gen(function*() {
  const servers = describeServers()
  const load = describeLoad()
  const where = yield* place
  const heads = [describeMachine(), ...(servers.length === 0 ? [] : [servers.join(", ")])]
  if (load !== undefined) heads.push(load)
  if (options.quick) heads.push("QUICK: a tenth of the works. These figures are not to be compared with anything.")
  for (const head of heads) say(head)

  const syncs: Array<number> = []
  const outcomes: Array<Outcome> = []
  for (const workload of workloads) {
    const entries = options.plan.filter((entry) => entry.workload === workload)
    if (entries.length === 0) continue
    syncs.push(syncMicros(where.directory))
    outcomes.push(
      ...(yield* runWorkload(where, entries, options.runs, ({ contender, suffix }, run, measured) => {
        const found = Object.entries(measured).map(([unit, value]) => `${figure(value)} ${unit}${suffix}`)
        say(`${workload} ${contender} ${run}/${options.runs}: ${found.join(", ")}`)
      }))
    )
  }

  const lines = outcomes.flatMap(linesOf)
  if (options.json) { for (const { row } of lines) console.log(jsonOf(row)) }
  else console.log(["", ...heads, describeDisk(syncs), "", table(lines)].join("\n"))
  for (const { failure } of outcomes) if (failure !== undefined) say(`\nFAILED ${failure.message}`)
  if (outcomes.some(({ failure }) => failure !== undefined)) process.exitCode = 1
}).pipe(
  Effect.scoped,
  Effect.catchDefect((defect) =>
    Effect.sync(() => {
      if (!(defect instanceof ServicesMissing || defect instanceof NotOnDisk)) throw defect
      say(defect.message)
      process.exitCode = 1
    })
  )
)

NodeRuntime.runMain(program)
