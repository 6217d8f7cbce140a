/**
 * Measures a large random sample of the space that `espalier.toml` declares: what the loop's result is held against.
 *
 *   node --conditions=espalier-source examples/autoresearch/sweep.ts --sample 400 --seed 1 --out sweep.tsv
 *
 *   --sample N    configurations, drawn evenly from parameters x sets of edits without a conflict (400)
 *   --seed S      which ones (1)
 *   --out FILE    one line a job, written as soon as the job is over; an interrupted sweep goes on where it was
 *   --repeats R   jobs of each configuration, round by round (1)
 *   --data DIR    the dataset; made when it is not there (runs/autoresearch/data)
 *   --given FILE  these configurations instead of a sample: a line of JSON each, `{ "parameters": {...}, "edits": [...] }`,
 *                 in which what is left out is the baseline's; with --repeats they are measured side by side
 *
 * Jobs run one at a time, each a fresh process in a fresh copy of the pipeline. Those that fail are part of the sample.
 */

import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { ensureDataset } from "./dataset.ts"
import { type Configuration, materialise, readSpace, sample, sizeOf, type Space } from "./space.ts"

const METRICS = [
  "throughput",
  "step_time_ms",
  "time_to_first_batch_ms",
  "data_ready_percent",
  "peak_memory_mib"
] as const

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly wallMillis: number
}

const runJob = (space: Space, directory: string, data: string): Promise<Ended> =>
  new Promise((settle, reject) => {
    const start = performance.now()
    // "node" is this very Node, so that a sweep does not depend on what the PATH finds.
    const [command = "", ...args] = space.argv
    const child = spawn(command === "node" ? process.execPath : command, args, {
      cwd: directory,
      env: { ...process.env, DATASET_DIR: data },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: space.timeoutMillis,
      killSignal: "SIGKILL"
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.on("error", reject)
    child.on("close", (code) => settle({ code, stdout, stderr, wallMillis: performance.now() - start }))
  })

/** The line of the output that says what went wrong. */
const reasonOf = ({ code, stderr }: Ended): string => {
  const lines = stderr.split("\n").map((line) => line.trim())
  const line = lines.find((line) => /^(\w*Error|error)\b/.test(line)) ?? lines.find((line) => line !== "")
  return line ?? (code === null ? "killed: it took too long" : `exit code ${code}`)
}

const plain = (text: string): string => text.replaceAll(/[\t\n\r]+/g, " ").slice(0, 200)

const columnsOf = (space: Space): Array<string> => [
  "job",
  "status",
  ...METRICS,
  "wall_ms",
  ...space.parameters.map(({ name }) => name),
  "edits",
  "error"
]

/** What identifies a configuration within a line. */
const cellsOf = (space: Space, { edits, parameters }: Configuration): Array<string> => [
  ...space.parameters.map(({ name }) => String(parameters[name])),
  edits.join("+") || "-"
]

/**
 * The complete lines of an earlier run of the same sweep; what a kill left unfinished at the end is cut off. Begins the
 * table when there is none.
 */
export const resumeFrom = async (
  out: string,
  space: Space,
  jobs: ReadonlyArray<Configuration>
): Promise<Array<Array<string>>> => {
  const header = columnsOf(space).join("\t")
  if (!existsSync(out)) {
    await writeFile(out, `${header}\n`)
    return []
  }
  const text = await readFile(out, "utf8")
  const complete = text.slice(0, text.lastIndexOf("\n") + 1)
  const [found, ...lines] = complete.split("\n").slice(0, -1)
  if (found !== header) throw new Error(`${out} is not a table of this sweep: remove it or choose another --out`)
  const rows = lines.map((line) => line.split("\t"))
  const first = 2 + METRICS.length + 1
  rows.forEach((row, i) => {
    const configuration = jobs[i]
    const cells = row.slice(first, -1).join("\t")
    if (configuration === undefined || row[0] !== String(i + 1) || cells !== cellsOf(space, configuration).join("\t")) {
      throw new Error(`${out}, line ${i + 2}: not job ${i + 1} of this sample and seed: choose another --out`)
    }
  })
  if (complete !== text) await writeFile(out, complete)
  return rows
}

const measure = async (space: Space, pipeline: string, data: string, job: number, configuration: Configuration) => {
  const directory = await mkdtemp(join(tmpdir(), "espalier-sweep-"))
  try {
    await materialise(pipeline, directory, space, configuration)
    const ended = await runJob(space, directory, data)
    const printed = new Map(ended.stdout.split("\n").map((line) => line.split("=", 2) as [string, string]))
    const hasSucceeded = ended.code === 0 && METRICS.every((name) => Number.isFinite(Number(printed.get(name) ?? NaN)))
    return [
      String(job),
      hasSucceeded ? "ok" : "failed",
      ...METRICS.map((name) => hasSucceeded ? printed.get(name)! : ""),
      ended.wallMillis.toFixed(0),
      ...cellsOf(space, configuration),
      hasSucceeded ? "" : plain(reasonOf(ended))
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A configuration that somebody wrote down. */
const given = (space: Space, line: string): Configuration => {
  const { edits = [], parameters = {} } = JSON.parse(line) as Partial<Configuration>
  const all = Object.fromEntries(space.parameters.map(({ baseline, name }) => [name, parameters[name] ?? baseline]))
  const unknown = Object.keys(parameters).find((name) => !space.parameters.some((parameter) => parameter.name === name))
  if (unknown !== undefined) throw new Error(`there is no parameter ${unknown}: ${line}`)
  return { parameters: all, edits }
}

const report = (space: Space, rows: ReadonlyArray<ReadonlyArray<string>>, repeats: number): void => {
  const first = 2 + METRICS.length + 1
  const values = new Map<string, Array<number>>()
  for (const row of rows.filter((row) => row[1] === "ok")) {
    const key = row.slice(first, -1).map((cell, i) => `${columnsOf(space)[first + i]}=${cell}`).join(" ")
    values.set(key, [...values.get(key) ?? [], Number(row[2])])
  }
  const median = (numbers: ReadonlyArray<number>): number => {
    const sorted = [...numbers].sort((a, b) => a - b)
    return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
  }
  const ranking = [...values].map(([key, all]) => ({ key, value: median(all) })).sort((a, b) => a.value - b.value)
  const failed = rows.filter((row) => row[1] === "failed").length
  console.log(`space      ${sizeOf(space)} configurations`)
  console.log(
    `measured   ${rows.length} jobs (${repeats} of each configuration): ${rows.length - failed} ok, ${failed} failed`
  )
  if (ranking.length === 0) return
  for (const share of [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1]) {
    const { value } = ranking[Math.round(share * (ranking.length - 1))]!
    console.log(`${String(share * 100).padStart(3)} %      ${value.toFixed(1)} samples/s`)
  }
  console.log("best:")
  for (const { key, value } of ranking.slice(-5).reverse()) console.log(`  ${value.toFixed(1)}  ${key}`)
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      sample: { type: "string", default: "400" },
      seed: { type: "string", default: "1" },
      out: { type: "string" },
      repeats: { type: "string", default: "1" },
      given: { type: "string" },
      data: { type: "string", default: join(import.meta.dirname, "../../runs/autoresearch/data") }
    }
  })
  const whole = (name: "sample" | "seed" | "repeats", least: number): number => {
    const number = Number(values[name])
    if (!Number.isInteger(number) || number < least) {
      throw new Error(`--${name} is ${values[name]}: it must be a whole number from ${least}`)
    }
    return number
  }
  const count = whole("sample", 1)
  const seed = whole("seed", 0)
  const repeats = whole("repeats", 1)
  if (values.out === undefined) throw new Error("--out is missing: the table to write")
  const out = resolve(values.out)

  const space = await readSpace(join(import.meta.dirname, "espalier.toml"))
  const pipeline = join(import.meta.dirname, "pipeline")
  const data = resolve(values.data)
  await ensureDataset(data)

  const configurations = values.given === undefined
    ? sample(space, count, seed)
    : (await readFile(values.given, "utf8")).split("\n").filter((line) => line.trim() !== "").map((line) =>
      given(space, line)
    )
  const jobs = Array.from({ length: repeats }, () => configurations).flat()
  const rows = await resumeFrom(out, space, jobs)
  if (rows.length > 0) console.log(`${rows.length} of ${jobs.length} jobs are done already`)
  for (let i = rows.length; i < jobs.length; i++) {
    const row = await measure(space, pipeline, data, i + 1, jobs[i]!)
    await appendFile(out, `${row.join("\t")}\n`)
    rows.push(row)
    console.log(`${i + 1}/${jobs.length} ${row[1] === "ok" ? `${Number(row[2]).toFixed(1)} samples/s` : row.at(-1)}`)
  }
  report(space, rows, repeats)
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? `error: ${error.message}` : error)
    process.exitCode = 1
  })
}
