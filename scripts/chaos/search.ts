/**
 * `npm run chaos -- --kills 25 --seed 1`: one search, killed with SIGKILL again and again, then the accounting.
 *
 * Half of the kills come at random moments, half at named points: inside the engine (before and after an append, between a
 * step's effect and its record, between a record and the next step, twice during recovery), and in the middle of a launch (as soon
 * as the folder of a new job appears). Jobs are not killed: they go on, and end, without an engine.
 *
 * Options: `--kills N` (25), `--seed N` (1), `--keep` to leave the directory for a look. Exit code 1 when anything
 * was lost, doubled or told untruly, or when fewer kills than asked for were possible.
 */
import { JournalSqlite, readRun } from "./journal.ts"
import { Effect } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { appendFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { audit } from "./audit.ts"
import { seeded } from "./random.ts"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "25" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false }
  }
})
const kills = Number(values.kills)
const seed = Number(values.seed)
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
  console.error("usage: npm run chaos -- [--kills N] [--seed N] [--keep], with whole numbers, kills from 1")
  process.exit(2)
}

const random = seeded(seed)
const pick = <A>(from: ReadonlyArray<A>): A => from[Math.floor(random() * from.length)]!

/** How the next engine dies. */
type Death =
  | { readonly _tag: "Random"; readonly afterMillis: number }
  | { readonly _tag: "Failpoint"; readonly point: string; readonly times: number }
  | { readonly _tag: "Launch" }

const points = [
  "recover.opened",
  "step.done launch",
  "append.before",
  "step.recorded launch",
  "recover.read",
  "step.done poll",
  "append.after",
  "step.recorded collect",
  "step.recorded decide",
  "step.done prepare",
  "step.recorded poll"
]

const deaths: ReadonlyArray<Death> = Array.from({ length: kills }, (_, index): Death => {
  if (index % 2 === 0) return { _tag: "Random", afterMillis: 500 + Math.floor(random() * 2_500) }
  const named = Math.floor(index / 2)
  // Every third named kill hits a launch; the others go round all points in turn, so that none is left out.
  if (named % 3 === 2) return { _tag: "Launch" }
  const point = points[(named - Math.floor(named / 3)) % points.length]!
  return {
    _tag: "Failpoint",
    point,
    times: point.startsWith("append")
      ? 1 + Math.floor(random() * 12)
      : pick([1, 2]) > 1 && !point.startsWith("recover")
      ? 2
      : 1
  }
})

const here = import.meta.dirname
const workdir = mkdtempSync(join(tmpdir(), "espalier-chaos-"))
cpSync(join(here, "espalier.toml"), join(workdir, "espalier.toml"))
cpSync(join(here, "program"), join(workdir, "program"), { recursive: true })
const git = (...args: ReadonlyArray<string>) =>
  execFileSync("git", [
    "-C",
    join(workdir, "program"),
    "-c",
    "user.name=Chaos",
    "-c",
    "user.email=chaos@localhost",
    ...args
  ])
git("init", "--quiet", "--initial-branch", "main")
git("add", ".")
git("commit", "--quiet", "-m", "The program")

const log = join(workdir, "engine.log")
const lives: Array<readonly [number, number]> = []

const begin = (death: Death | undefined): ChildProcess => {
  const child = spawn(
    process.execPath,
    ["--conditions=espalier-source", join(here, "searchEngine.ts"), "run", workdir],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        CHAOS_HITS: join(workdir, "hits.log"),
        CHAOS_KILL: death?._tag === "Failpoint" ? `${death.point}:${death.times}` : ""
      }
    }
  )
  const note = (chunk: Buffer): void => appendFileSync(log, chunk)
  child.stdout?.on("data", note)
  child.stderr?.on("data", note)
  return child
}

const ended = (child: ChildProcess): Promise<{ readonly code: number | null; readonly signal: string | null }> =>
  new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })))

/** A folder that begins with a dot is a cache. */
const jobsIn = (directory: string): number => readdirSync(directory).filter((name) => !name.startsWith(".")).length

const jobFolders = (): number => existsSync(join(workdir, "jobs")) ? jobsIn(join(workdir, "jobs")) : 0

/** Kills the engine as the death says; failpoints do it themselves. The watcher stops with the engine. */
const bringAbout = (death: Death, child: ChildProcess): () => void => {
  switch (death._tag) {
    case "Failpoint": {
      // A point that is not reached in this life (a step that is done already) becomes a kill at a random moment.
      const timer = setTimeout(() => child.kill("SIGKILL"), 8_000)
      return () => clearTimeout(timer)
    }
    case "Random": {
      const timer = setTimeout(() => child.kill("SIGKILL"), death.afterMillis)
      return () => clearTimeout(timer)
    }
    case "Launch": {
      const before = jobFolders()
      const timer = setInterval(() => {
        if (jobFolders() > before) child.kill("SIGKILL")
      }, 1)
      return () => clearInterval(timer)
    }
  }
}

const counts = new Map<string, number>()
let killed = 0
for (const death of deaths) {
  const child = begin(death)
  const spawned = Date.now()
  const stop = bringAbout(death, child)
  const { code, signal } = await ended(child)
  stop()
  lives.push([spawned, Date.now()])
  if (signal !== "SIGKILL") {
    console.log(`the run ended by itself (exit code ${code}) after ${killed} kills`)
    break
  }
  killed += 1
  const name = death._tag === "Failpoint" ? death.point : death._tag === "Launch" ? "mid-launch" : "random moment"
  counts.set(name, (counts.get(name) ?? 0) + 1)
  // Every other time nobody is there for a while, so that jobs end unwatched.
  if (killed % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1_000))
}

const last = begin(undefined)
const spawned = Date.now()
const end = await ended(last)
lives.push([spawned, Date.now()])

const events = await Effect.runPromise(
  readRun("chaos").pipe(Effect.provide(JournalSqlite.layer({ filename: join(workdir, "journal.db") })))
)
const { faults, figures } = audit(workdir, events, lives, 1)
const all = [
  ...faults,
  ...(killed < kills ? [`only ${killed} of ${kills} kills were possible before the run was complete`] : []),
  ...(end.code === 0 ? [] : [`the last engine ended with exit code ${end.code}: see ${log}`])
]

console.log(`seed ${seed}, ${killed} kills:`)
for (const [name, count] of [...counts].sort()) console.log(`  ${String(count).padStart(4)}  ${name}`)
const hits = existsSync(join(workdir, "hits.log"))
  ? readFileSync(join(workdir, "hits.log"), "utf8").trim().split("\n")
  : []
console.log(
  `failpoints that killed by themselves: ${hits.length}${
    hits.length === 0 ? "" : ` (${[...new Set(hits)].join(", ")})`
  }`
)
for (const [name, value] of Object.entries(figures)) console.log(`  ${String(value).padStart(6)}  ${name}`)
console.log(all.length === 0 ? "nothing lost, nothing doubled, nothing told untruly" : `FAULTS:\n  ${all.join("\n  ")}`)
console.log(`${all.length === 0 ? 1 : 0} passed, ${all.length === 0 ? 0 : 1} failed`)

if (values.keep || all.length > 0) console.log(`kept: ${workdir} (${statSync(log).size} bytes of engine log)`)
else rmSync(workdir, { recursive: true, force: true })
process.exitCode = all.length === 0 ? 0 : 1
