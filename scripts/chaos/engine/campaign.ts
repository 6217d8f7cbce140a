/**
 * `npm run chaos -- --engine --kills 1000 --seed N`: a process with 20,000 works with steps, slots, keys, dependencies, retries,
 * cancels and children on SQLite, killed with SIGKILL: half of the times at a random moment, half at named failpoints,
 * recovery, snapshots and trimming included. A round that is complete is accounted for, and another begins, until all
 * kills are spent. How each work ended is compared with a run without a crash.
 *
 * The next point is always the one that was hit least, so all are hit about equally often; a kill that missed its point (the round
 * was over first) is tried again. Every second round forgets its settled works as it goes, so that there is something to trim.
 *
 * Options: `--kills N` (100), `--seed N` (1), `--works N` (20000), `--seconds N` (no bound: when they are over no kill is begun,
 * and the last round is ended and accounted for), `--keep`. Exit code 1 when anything was lost or doubled, or when a failpoint was
 * hit less often than a fiftieth of the kills.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { seeded } from "../random.ts"
import { type Account, audit } from "./audit.ts"
import { type Death, type End, live, type Setting } from "./life.ts"

const { values } = parseArgs({
  options: {
    engine: { type: "boolean", default: true },
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    works: { type: "string", default: "20000" },
    seconds: { type: "string", default: "Infinity" },
    keep: { type: "boolean", default: false }
  }
})
const kills = Number(values.kills)
const seed = Number(values.seed)
const works = Number(values.works)
const seconds = Number(values.seconds)
if (
  !Number.isInteger(kills) || kills < 0 || !Number.isInteger(seed) || !Number.isInteger(works) || works < 100 ||
  !(seconds > 0)
) {
  console.error(
    "usage: npm run chaos -- --engine [--kills N] [--seed N] [--works N] [--seconds N] [--keep], with whole numbers, works from 100"
  )
  process.exit(2)
}
const random = seeded(seed)

interface Point {
  readonly name: string
  /** How often it is passed at most before the kill. */
  readonly within: number
  /** It is passed when a run is closed in order that has made so many events. */
  readonly closeAfter?: number
  /** Only where settled works are forgotten. */
  readonly retaining?: boolean
}

/** A run makes a snapshot when it is closed and 10,000 events, or as many as it holds works, have come since the last. */
const closeAfter = 10_500

const points: ReadonlyArray<Point> = [
  { name: "append.before", within: 60 },
  { name: "commit.underway", within: 60 },
  { name: "append.after", within: 60 },
  ...["first", "second", "leaf", "row"].flatMap((step) => {
    const within = step === "first" || step === "second" ? 400 : 40
    return [{ name: `step.done ${step}`, within }, { name: `step.recorded ${step}`, within }]
  }),
  { name: "held", within: 20 },
  { name: "undo", within: 20 },
  { name: "recover.read", within: 1 },
  { name: "recover.opened", within: 1 },
  ...(works < 5_000 ? [] : [
    { name: "snapshot.begin", within: 1, closeAfter },
    { name: "snapshot.underway", within: 1, closeAfter },
    { name: "snapshot.saved", within: 1, closeAfter },
    { name: "trim.begin", within: 1, closeAfter, retaining: true },
    { name: "trim.underway", within: 1, closeAfter, retaining: true },
    { name: "trim.done", within: 1, closeAfter, retaining: true }
  ])
]
/** A point that is missed so often, one time after the other, cannot be reached. A round that is complete has passed all places. */
const mostMisses = 20
const missesOf = (end: End): number => end._tag === "Completed" ? 4 : 1

const workdir = mkdtempSync(join(tmpdir(), "espalier-chaos-"))
const hitsFile = join(workdir, "hits.log")
const settingOf = (name: string, isRetaining: boolean): Setting => ({
  journal: join(workdir, "journal.db"),
  run: name,
  notes: join(workdir, `${name}.notes`),
  works,
  retain: isRetaining ? Math.floor(works / 10) : undefined,
  hits: hitsFile
})

const faults: Array<string> = []
const sums = new Map<string, number>()
const startedAt = Date.now()
const elapsed = (): number => (Date.now() - startedAt) / 1_000

const account = async (setting: Setting, end: End, reference?: Account["outcomes"]): Promise<Account["outcomes"]> => {
  if (end._tag !== "Completed") {
    faults.push(
      `${setting.run}: a life had to complete the run: ${end._tag === "Broken" ? end.what : `it was ${end._tag}`}`
    )
    return new Map()
  }
  let accounts: Account
  try {
    accounts = await audit(setting, end.counts, reference)
  } catch (error) {
    faults.push(`${setting.run}: its journal cannot be accounted for: ${String(error)}`)
    return new Map()
  }
  for (const fault of accounts.faults) faults.push(`${setting.run}: ${fault}`)
  for (const [name, figure] of Object.entries(accounts.figures)) sums.set(name, (sums.get(name) ?? 0) + figure)
  if (accounts.faults.length === 0) rmSync(setting.notes)
  return accounts.outcomes
}

const hits = new Map(points.map(({ name }) => [name, 0]))
const misses = new Map(points.map(({ name }) => [name, 0]))
const hitsOf = ({ name }: Point): number => hits.get(name)!
const moments = { starting: 0, working: 0, closing: 0 }
const unnamed = (): number => moments.starting + moments.working + moments.closing
const named = (): number => Array.from(hits.values()).reduce((sum, count) => sum + count, 0)
/** A thousand kills hit every point twenty times. */
const share = Math.floor(kills / 50)

/** The point that was hit least, among those that this round can reach. */
const nextPoint = (isRetaining: boolean): Point =>
  points.filter(({ retaining }) => retaining !== true || isRetaining)
    .reduce((least, point) => hitsOf(point) < hitsOf(least) ? point : least)

/** Fewer works are sooner done. */
const longestMillis = Math.min(1_200, 100 + works / 20)

/** Some come while the process is still starting, some while it ends in order, most while it works. */
const nextMoment = (): { readonly when: keyof typeof moments; readonly death: Death } => {
  const dice = random()
  if (dice < 0.15) {
    return { when: "starting", death: { _tag: "Moment", from: "start", afterMillis: Math.floor(random() * 900) } }
  }
  const afterMillis = Math.floor(random() * longestMillis)
  return dice < 0.3
    ? { when: "closing", death: { _tag: "Closing", afterMillis, thenMillis: Math.floor(random() * 100) } }
    : { when: "working", death: { _tag: "Moment", from: "opened", afterMillis } }
}

/** Half of the kills are named. What is missing of the share at the end is made up for. */
const isSpent = (): boolean => unnamed() + named() >= kills && points.every((point) => hitsOf(point) >= share)

const reference = await account(
  settingOf("reference", false),
  await live(settingOf("reference", false), { _tag: "None" })
)

let round = 0
let setting = settingOf("round-0", false)
let isEmpty = true
while (faults.length === 0 && !isSpent() && elapsed() < seconds) {
  isEmpty = false
  const isNamed = unnamed() + named() >= kills || named() < unnamed()
  const point = nextPoint(setting.retain !== undefined)
  const { death: moment, when } = nextMoment()
  const end = await live(
    setting,
    isNamed
      ? {
        _tag: "Point",
        point: point.name,
        times: 1 + Math.floor(random() * point.within),
        closeAfter: point.closeAfter
      }
      : moment
  )
  if (end._tag === "Broken") {
    faults.push(`${setting.run}: a life is broken: ${end.what}`)
  } else if (end._tag === "Killed") {
    if (isNamed) {
      hits.set(point.name, hitsOf(point) + 1)
      misses.set(point.name, 0)
    } else {
      moments[when] += 1
    }
  } else if (isNamed) {
    misses.set(point.name, misses.get(point.name)! + missesOf(end))
    if (misses.get(point.name)! >= mostMisses) {
      faults.push(`the failpoint ${point.name} is not reached`)
    }
  }
  if (end._tag === "Completed") {
    await account(setting, end, reference)
    round += 1
    setting = settingOf(`round-${round}`, round % 2 === 1)
    isEmpty = true
  }
}
if (faults.length === 0 && !isEmpty) {
  await account(setting, await live(setting, { _tag: "None" }), reference)
  round += 1
}

const told = existsSync(hitsFile) ? readFileSync(hitsFile, "utf8").trim().split("\n") : []
const count = (figure: number, what: string): void => console.log(`  ${String(figure).padStart(8)}  ${what}`)
console.log(
  `seed ${seed}, ${unnamed() + named()} kills in ${round} rounds of ${works} works, ${Math.round(elapsed())} s:`
)
for (const [when, figure] of Object.entries(moments)) count(figure, `at a random moment, ${when}`)
const wasCutShort = !isSpent()
for (const point of points) {
  count(hitsOf(point), point.name)
  // The failpoint itself says that it killed: nobody else did it in its name.
  const own = told.filter((hit) => hit === point.name).length
  if (own !== hitsOf(point)) faults.push(`the failpoint ${point.name} was hit ${hitsOf(point)} times, and says ${own}`)
}
for (const [name, figure] of sums) count(figure, name)
if (wasCutShort && faults.length === 0) console.log(`cut short after ${seconds} s: ${kills} kills were asked for`)
console.log(
  faults.length === 0 ? "nothing lost, nothing doubled, all as without a crash" : `FAULTS:\n  ${faults.join("\n  ")}`
)
console.log(`${faults.length === 0 ? 1 : 0} passed, ${faults.length === 0 ? 0 : 1} failed`)
if (values.keep || faults.length > 0) {
  writeFileSync(join(workdir, "faults.txt"), faults.join("\n"))
  console.log(`kept: ${workdir}`)
} else {
  rmSync(workdir, { recursive: true, force: true })
}
process.exitCode = faults.length === 0 ? 0 : 1
