/**
 * `npm run chaos -- --execution --rounds 200 --seed 1`: jobs are launched and waited for while the engine, the job, the
 * wrapper, and on a cluster the controller and the node's daemon, are killed with SIGKILL in turn, at chosen and at random
 * moments. Then the accounting: each job was launched once, and each outcome is true or honestly lost.
 *
 * Each job keeps its own record (`job.mjs`), of which the layers know nothing.
 *
 * Options: `--rounds N` (50) for each layer, `--seed N` (1), `--layer local|slurm` (both), `--keep`. A round has two jobs. Exit
 * code 1 when there was a fault.
 */
import { Execution, type JobRequest, type TerminalStatus } from "@espalier/platform/Execution"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { jobId } from "../../../src/internal/processFiles.ts"
import { isAlive, startTicksOf } from "../../../src/internal/processTable.ts"
import { startSlurm, type TestSlurm } from "../../real/support/slurm.ts"
import { faultsOf, readTruth, type Victim, victims } from "./audit.ts"
import { layerOf, type Place } from "./place.ts"

/** Numbers from 0 up to 1, the same for the same seed: mulberry32 (Tommy Ettinger, public domain). */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const { values } = parseArgs({
  strict: false,
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    layer: { type: "string" },
    keep: { type: "boolean", default: false }
  }
})
const rounds = Number(values["rounds"])
const seed = Number(values["seed"])
const layers = values["layer"] === undefined ? ["local", "slurm"] : [String(values["layer"])]
if (
  !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) ||
  layers.some((one) => one !== "local" && one !== "slurm")
) {
  console.error("usage: npm run chaos -- --execution [--rounds N] [--seed N] [--layer local|slurm] [--keep]")
  process.exit(2)
}

const here = import.meta.dirname
const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, millis)
  })

/** Waits for a promise, but not for ever: true when it was there in time. */
const inTime = async (promise: Promise<unknown>, millis: number): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), millis)
  })
  const answer = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return answer
}

/** When the victim dies: as soon as a file of the job is there, and so many milliseconds later. */
interface Moment {
  readonly file: string | null
  readonly afterMillis: number
}

const filesBefore: Record<Victim, ReadonlyArray<string | null>> = {
  engine: [null, "command.json", "submit-", "submission.json", "claim", "start.json"],
  job: ["start.json"],
  wrapper: ["claim", "start.json"],
  slurmctld: [null, "submit-", "submission.json", "claim", "start.json"],
  slurmd: ["submission.json", "claim", "start.json"]
}

const isThere = (directory: string, file: string): boolean => {
  try {
    return file.endsWith("-")
      ? readdirSync(directory).some((name) => name.startsWith(file))
      : existsSync(join(directory, file))
  } catch {
    return false // the job's directory is not there yet
  }
}

const pidOf = (directory: string, file: string): number | undefined => {
  try {
    return JSON.parse(readFileSync(join(directory, file), "utf8")).pid
  } catch {
    return undefined
  }
}

/** The state in which Slurm saw the job's end, where that was asked for. */
const saidOf = (directory: string): string | undefined => {
  try {
    return JSON.parse(JSON.parse(readFileSync(join(directory, "verdict.json"), "utf8")).word).state
  } catch {
    return undefined // no verdict, or one without Slurm's word
  }
}

interface Outcome {
  readonly key: string
  readonly id?: string
  readonly status?: TerminalStatus
  readonly failed?: string
  readonly message?: string
}

/** How long an engine that nobody kills may take. */
const patienceMillis = 120_000

const figures = new Map<string, number>()
const count = (name: string): void => void figures.set(name, (figures.get(name) ?? 0) + 1)
const faults: Array<string> = []

const startEngine = (place: Place, requests: ReadonlyArray<JobRequest>) => {
  const child: ChildProcess = spawn(
    process.execPath,
    ["--conditions=espalier-source", join(here, "engine.ts"), JSON.stringify(place), JSON.stringify(requests)],
    { stdio: ["ignore", "pipe", "pipe"] }
  )
  let out = ""
  let err = ""
  child.stdout!.on("data", (chunk: Buffer) => void (out += chunk))
  child.stderr!.on("data", (chunk: Buffer) => void (err += chunk))
  const ended = once(child, "close")
  const outcomes = (): ReadonlyArray<Outcome> =>
    out.split("\n").filter((line) => line !== "").map((line): Outcome => JSON.parse(line))
  return { child, ended, outcomes, said: () => err }
}

/** The answer of an engine that is left alone. */
const finish = async (
  place: Place,
  requests: ReadonlyArray<JobRequest>,
  what: string
): Promise<ReadonlyArray<Outcome>> => {
  const last = startEngine(place, requests)
  if (!(await inTime(last.ended, patienceMillis))) {
    faults.push(`${what}: no answer within ${patienceMillis / 1000} s: ${last.said().slice(0, 1000)}`)
    last.child.kill("SIGKILL")
    await last.ended
  } else if (last.child.exitCode !== 0) faults.push(`${what}: the engine failed: ${last.said().slice(0, 1000)}`)
  return last.outcomes()
}

/** Slurm drains a node some time after the fault: nothing starts on it until somebody looks. */
const resumeDrained = (slurm: TestSlurm | undefined): void => {
  if (slurm === undefined || !/DRAIN/.test(slurm.run("scontrol", "--oneliner", "show", "nodes"))) return
  slurm.run("scontrol", "update", "NodeName=ALL", "State=RESUME")
  count("slurm: nodes drained by Slurm, and resumed")
}

const round = async (
  place: Place,
  slurm: TestSlurm | undefined,
  number: number,
  victim: Victim,
  random: () => number
) => {
  const layer = slurm === undefined ? "local" : "slurm"
  const truths = join(place.directory, "..", "truth")
  mkdirSync(truths, { recursive: true })
  const requests: ReadonlyArray<JobRequest> = ["a", "b"].map((name) => ({
    key: `${layer} round ${number} ${name}`,
    argv: [
      process.execPath,
      join(here, "job.mjs"),
      join(truths, `${layer}-${number}-${name}`),
      String(Math.floor(random() * 1500)),
      String(random() < 0.5 ? 0 : 1 + Math.floor(random() * 120))
    ],
    directory: truths,
    environment: {}
  }))
  const hit = requests[0]!
  const directory = join(place.directory, jobId(hit.key))
  const from = filesBefore[victim].filter((file) => slurm !== undefined || file?.startsWith("sub") !== true)
  const moment: Moment = {
    file: from[Math.floor(random() * from.length)]!,
    afterMillis: random() < 0.5 ? 0 : Math.floor(random() * 1200)
  }
  const down = 100 + Math.floor(random() * 1500)
  const what = `${layer} round ${number}, seed ${seed} (${victim} at ${
    moment.file ?? "any time"
  } + ${moment.afterMillis} ms)`

  const engine = startEngine(place, requests)
  // In every other of its rounds the engine that dies has a rival, which launches the same keys at the same time.
  const rival = victim === "engine" && random() < 0.5 ? startEngine(place, requests) : undefined
  const isOver = (): boolean => engine.child.exitCode !== null || engine.child.signalCode !== null
  const giveUpAt = Date.now() + 60_000
  while (moment.file !== null && !isOver() && Date.now() < giveUpAt && !isThere(directory, moment.file)) await pause(1)
  await pause(moment.afterMillis)
  let killed = true
  switch (victim) {
    case "engine":
      killed = engine.child.kill("SIGKILL")
      break
    case "job":
    case "wrapper": {
      const pid = pidOf(directory, victim === "job" ? "start.json" : "claim")
      const ticks = pid === undefined ? null : startTicksOf(pid)
      killed = pid !== undefined && ticks !== null && !isThere(directory, "exit.json")
      if (killed) {
        try {
          process.kill(pid!, "SIGKILL")
        } catch {
          killed = false // it had ended
        }
      }
      break
    }
    case "slurmctld":
    case "slurmd": {
      const daemon = victim === "slurmctld" ? slurm!.controller : slurm!.node
      await daemon.kill()
      await pause(down)
      await daemon.start()
    }
  }
  count(`${layer}: ${victim} killed${killed ? "" : " too late: it had ended"}`)
  if (victim === "engine") {
    await engine.ended
    if (rival !== undefined) count(`${layer}: of these, beside a rival`)
    // Every third time nobody is there for a while, so that jobs end unwatched.
    if (number % 3 === 0) await pause(1500)
  }
  const administrator = setInterval(() => resumeDrained(slurm), 3000)
  if (victim !== "engine" && !(await inTime(engine.ended, patienceMillis))) {
    faults.push(`${what}: the engine that lived on had no answer within ${patienceMillis / 1000} s`)
    engine.child.kill("SIGKILL")
    await engine.ended
  }
  if (rival !== undefined && !(await inTime(rival.ended, patienceMillis))) {
    faults.push(`${what}: the rival had no answer within ${patienceMillis / 1000} s`)
    rival.child.kill("SIGKILL")
    await rival.ended
  }
  const first = (rival ?? engine).outcomes()
  const last = await finish(place, requests, what)
  clearInterval(administrator)

  await Effect.runPromise(
    Effect.gen(function*() {
      const execution = yield* Execution
      for (const request of requests) {
        const outcome = last.find((one) => one.key === request.key)
        if (outcome?.status === undefined || outcome.id === undefined) {
          // A launch that fails for good is an answer too, as long as nothing ran.
          const record = request.argv[2]!
          const ran = existsSync(record) ? readTruth(readFileSync(record, "utf8")).starts : 0
          faults.push(`${what}: ${request.key} has no outcome, it ran ${ran} times: ${JSON.stringify(outcome ?? last)}`)
          continue
        }
        const { id, status } = outcome
        const earlier = first.find((one) => one.key === request.key)?.status
        const strip = (one: TerminalStatus): string =>
          JSON.stringify(
            one._tag === "Lost" ? { ...one, reason: one.reason.split(";")[0]!.replaceAll(/\d+ s\b/g, "") } : one
          )
        if (earlier !== undefined && strip(earlier) !== strip(status)) {
          faults.push(`${what}: ${request.key} was ${JSON.stringify(earlier)} and then ${JSON.stringify(status)}`)
        }
        // What is lost may still run; whoever needs the machine ends it, and then nothing of it may be left.
        if (status._tag === "Lost") yield* execution.cancel(id, { grace: 0 })
        const record = request.argv[2]!
        const text = existsSync(record) ? readFileSync(record, "utf8") : ""
        const truth = readTruth(text)
        // The victim was the first job's; the second only suffers from what serves both.
        const shared = victim === "slurmctld" || victim === "slurmd" || request === hit
        for (const fault of faultsOf(shared ? victim : "engine", truth, status, saidOf(join(place.directory, id)))) {
          faults.push(`${what}: ${request.key}: ${fault}`)
        }
        for (const pid of [...text.matchAll(/^start (\d+)$/gm)].map((match) => Number(match[1]))) {
          const ticks = startTicksOf(pid)
          const command = ticks === null ? "" : readFileSync(`/proc/${pid}/cmdline`, "utf8")
          if (ticks !== null && isAlive(pid, ticks) && command.includes(record)) {
            faults.push(`${what}: ${request.key}: process ${pid} of it still runs`)
          }
        }
        const kind = status._tag === "Exited"
          ? status.startError !== undefined
            ? "said not to have started"
            : status.exitCode !== null
            ? "true exit code"
            : status.terminated === true
            ? "said to have been ended from outside"
            : "true signal"
          : status._tag === "Lost"
          ? `honestly lost${
            truth.starts === 0 ? ", never started" : truth.exitCode === null ? "" : ", though it had ended"
          }`
          : status._tag
        count(`${layer}: outcome: ${kind}`)
        count(`${layer}: jobs`)
        if (existsSync(join(place.directory, id, "contenders.log"))) {
          count(`${layer}: second submissions that ran nothing`)
        }
      }
    }).pipe(Effect.provide(layerOf(place)))
  )
}

const began = Date.now()
for (const layer of layers) {
  const random = seeded(seed)
  const slurm = layer === "slurm" ? await startSlurm({ slurmdTimeout: 60 }) : undefined
  const interrupted = (): void => void (slurm?.stop() ?? Promise.resolve()).then(() => process.exit(130))
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted)
  const root = slurm?.directory ?? mkdtempSync(join(tmpdir(), "espalier-chaos-execution-"))
  const place: Place = { directory: join(root, "jobs"), configuration: slurm?.configuration ?? null }
  const possible = victims.filter((one) => slurm !== undefined || !one.startsWith("slurm"))
  try {
    for (let number = 1; number <= rounds; number++) {
      const before = faults.length
      await round(place, slurm, number, possible[number % possible.length]!, random)
      for (const fault of faults.slice(before)) console.log(`FAULT ${fault}`)
      if (faults.length > before && slurm !== undefined) {
        console.log(
          slurm.run("squeue", "--states=all", "--noheader", "--format=%A %T %r %j"),
          slurm.run("sinfo", "--Node")
        )
        console.log(readFileSync(join(slurm.directory, "slurmctld.log"), "utf8").split("\n").slice(-60).join("\n"))
      }
      if (number % 20 === 0) {
        console.log(
          `${layer}: ${number} rounds after ${Math.round((Date.now() - began) / 1000)} s, ${faults.length} faults`
        )
      }
    }
  } finally {
    if (values["keep"] === true || faults.length > 0) {
      console.log(`the records of ${layer} are kept while it stops: ${root}`)
    }
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted)
    await slurm?.stop()
    if (slurm === undefined && values["keep"] !== true) rmSync(root, { recursive: true, force: true })
  }
}
console.log(
  `seed ${seed}, ${rounds} rounds for each of ${layers.join(", ")}, ${Math.round((Date.now() - began) / 1000)} s`
)
for (const [name, value] of [...figures].toSorted()) console.log(`  ${String(value).padStart(5)}  ${name}`)
console.log(
  faults.length === 0
    ? "each job was launched once, each outcome is true or honestly lost"
    : `FAULTS:\n  ${faults.join("\n  ")}`
)
console.log(`${faults.length === 0 ? 1 : 0} passed, ${faults.length === 0 ? 0 : 1} failed`)
process.exitCode = faults.length === 0 ? 0 : 1
