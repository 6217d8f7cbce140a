/**
 * `npm run simulate -- --runs 200000 --seed 1`: simulated runs on two threads, each held against the naive model and all
 * invariants, then a histogram of what occurred: every row of the tables of `docs/life-of-a-work.md`, and every pair of
 * a fault and a control.
 *
 * Options: `--runs N` (20000), `--seed N` (1), `--at-least N` (100 for 200,000 runs, in proportion), `--workers N` (2), `--quiet`
 * to leave out what occurred often enough. `--replay SEED` makes one run again, smaller if it fails, and tells it.
 * Exit code 1 when a run failed, when a transition occurred that is not in the tables, or when a row or a pair was seen too seldom.
 */
import * as Simulator from "@espalier/engine/testing/Simulator"
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

interface Chunk {
  readonly seed: number
  readonly runs: number
}

const chunkRuns = 250

const work = (port: NonNullable<typeof parentPort>): void => {
  port.on("message", (chunk: Chunk) => port.postMessage(Simulator.check(chunk)))
}

const usage = "usage: npm run simulate -- [--runs N] [--seed N] [--at-least N] [--workers N] [--quiet] | --replay SEED"

const whole = (text: string, least: number): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least) return value
  console.error(`${usage}\n"${text}" is not a whole number from ${least}`)
  process.exit(2)
}

const replay = (seed: number): void => {
  const { failure, program, trace } = Simulator.replay(seed)
  console.log(trace.join("\n"))
  console.log(`\nprogram: ${program}`)
  console.log(failure === undefined ? `\nseed ${seed} holds` : `\nseed ${seed} fails: ${failure}`)
  process.exitCode = failure === undefined ? 0 : 1
}

/** The rows of a table of the page, as the simulator names them. */
const rowsAfter = (page: string, marker: string): ReadonlyArray<string> =>
  page.slice(page.indexOf(marker)).split("\n## ")[0]!.split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()).join(" | "))

const addTo = (sums: Map<string, number>, counts: ReadonlyMap<string, number>): void => {
  for (const [name, count] of counts) sums.set(name, (sums.get(name) ?? 0) + count)
}

/** Prints what occurred; what occurred too seldom, or is not expected at all, is given back. */
const histogram = (
  title: string,
  expected: ReadonlyArray<string>,
  counts: ReadonlyMap<string, number>,
  atLeast: number,
  isQuiet: boolean
): ReadonlyArray<string> => {
  const known = new Set(expected)
  const unknown = Array.from(counts.keys()).filter((name) => !known.has(name))
  const seldom = expected.filter((name) => (counts.get(name) ?? 0) < atLeast)
  console.log(`\n${title}: ${expected.length}, each at least ${atLeast} times`)
  for (const name of isQuiet ? seldom : expected) console.log(`${String(counts.get(name) ?? 0).padStart(9)}  ${name}`)
  return [
    ...seldom.map((name) => `only ${counts.get(name) ?? 0} times: ${name}`),
    ...unknown.map((name) => `${counts.get(name)} times, and not in the page: ${name}`)
  ]
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "20000" },
      seed: { type: "string", default: "1" },
      "at-least": { type: "string" },
      workers: { type: "string", default: "2" },
      quiet: { type: "boolean", default: false },
      replay: { type: "string" }
    }
  })
  if (values.replay !== undefined) return replay(whole(values.replay, 0))
  const runs = whole(values.runs, 1)
  const first = whole(values.seed, 0)
  const atLeast = values["at-least"] === undefined ? Math.floor(runs / 2_000) : whole(values["at-least"], 0)
  const chunks: Array<Chunk> = []
  for (let from = 0; from < runs; from += chunkRuns) {
    chunks.push({ seed: first + from, runs: Math.min(chunkRuns, runs - from) })
  }
  const works = new Map<string, number>()
  const ofRuns = new Map<string, number>()
  const pairs = new Map<string, number>()
  const failures: Array<Simulator.Failure> = []
  let done = 0
  let events = 0
  const began = performance.now()
  const take = (report: Simulator.Report): void => {
    addTo(works, report.workTransitions)
    addTo(ofRuns, report.runTransitions)
    addTo(pairs, report.faultsAndControls)
    failures.push(...report.failures)
    done += report.runs
    events += report.events
    if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${runs} runs, ${failures.length} failed`)
  }
  await Promise.all(
    Array.from({ length: whole(values.workers, 1) }, () =>
      new Promise<void>((resolve, reject) => {
        const worker = new Worker(new URL(import.meta.url))
        const next = (): void => {
          const chunk = chunks.shift()
          if (chunk !== undefined) worker.postMessage(chunk)
          else void worker.terminate().then(() => resolve())
        }
        worker.on("message", (report: Simulator.Report) => {
          take(report)
          next()
        })
        worker.on("error", reject)
        next()
      }))
  )
  const seconds = (performance.now() - began) / 1_000
  if (process.stderr.isTTY) process.stderr.write("\n")
  const page = readFileSync(new URL("../docs/life-of-a-work.md", import.meta.url), "utf8")
  const { quiet } = values
  const wrong = [
    ...histogram("transitions of a work", rowsAfter(page, "<!-- table: work -->"), works, atLeast, quiet),
    ...histogram("transitions of a run", rowsAfter(page, "<!-- table: run -->"), ofRuns, atLeast, quiet),
    ...histogram("pairs of fault and control", Simulator.pairs, pairs, atLeast, quiet)
  ]
  const rate = Math.round(runs / seconds)
  console.log(`\n${runs} runs, ${events} events, ${seconds.toFixed(1)} s, ${rate} runs/s, ${failures.length} failed`)
  for (const line of wrong) console.log(line)
  failures.sort((a, b) => a.seed - b.seed)
  for (const { message, seed } of failures.slice(0, 10)) {
    console.log(`\nseed ${seed}: ${message.slice(0, 600)}\n  npm run simulate -- --replay ${seed}`)
  }
  process.exitCode = failures.length > 0 || wrong.length > 0 ? 1 : 0
}

if (isMainThread) await main()
else work(parentPort!)
