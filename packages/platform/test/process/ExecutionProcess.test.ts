import { afterAll, describe, it } from "@effect/vitest"
import { Execution, hasSucceeded, type JobHandle, type JobRequest } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import { Clock, Effect, Fiber, Option, Stream } from "effect"
import assert from "node:assert"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { jobId } from "../../src/internal/processFiles.ts"
import { isAlive, startTicksOf, thisMachine } from "../../src/internal/processTable.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-process-"))
const directory = join(root, "jobs")
const engine = LocalProcess.layer({ directory, grace: "500 millis" })
const launcher = fileURLToPath(new URL("./ExecutionLauncher.ts", import.meta.url))
const wrapper = fileURLToPath(new URL("../../src/internal/processWrapper.ts", import.meta.url))

/** Engines that a test started; whichever still runs is ended with the tests. */
const engines: Array<ChildProcess> = []
afterAll(async () => {
  for (const one of engines) one.kill("SIGKILL")
  const ids = existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith(".")) : []
  await Effect.runPromise(
    Effect.flatMap(
      Execution,
      (execution) => Effect.forEach(ids, (id) => Effect.exit(execution.cancel(id, { grace: 0 })))
    )
      .pipe(Effect.provide(engine))
  )
  rmSync(root, { recursive: true, force: true })
})

const test = (name: string, body: (execution: Execution["Service"]) => Effect.Effect<void, unknown>): void => {
  it.live(name, () => Effect.flatMap(Execution, body).pipe(Effect.provide(engine)))
}
const script = (key: string, source: string, more: Partial<JobRequest> = {}): JobRequest => ({
  key,
  argv: [process.execPath, "-e", source],
  directory: root,
  environment: {},
  ...more
})
const record = (job: JobHandle, name: string) => JSON.parse(readFileSync(join(job.directory, name), "utf8"))
const output = (execution: Execution["Service"], job: JobHandle) =>
  execution.logs(job.id, { stream: "stdout" }).pipe(Stream.decodeText(), Stream.mkString)
/** Waits for the first output of a job: process ids that it started, as a JSON array. */
const printedIds = (execution: Execution["Service"], job: JobHandle) =>
  execution.logs(job.id, { stream: "stdout" }).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.take(1),
    Stream.mkString,
    Effect.map((line) => {
      const ids: Array<number> = JSON.parse(line)
      return ids.map((pid) => ({ pid, startTicks: startTicksOf(pid) }))
    })
  )
const living = (processes: ReadonlyArray<{ readonly pid: number; readonly startTicks: number | null }>) =>
  processes.filter((one) => isAlive(one.pid, one.startTicks)).map((one) => one.pid)

/** Starts an engine in another process, which launches a job. */
const startEngine = (request: JobRequest): ChildProcess => {
  const child = spawn(
    process.execPath,
    ["--conditions=espalier-source", launcher, directory, JSON.stringify(request)],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  engines.push(child)
  return child
}
const launched = (child: ChildProcess): Effect.Effect<JobHandle> =>
  Effect.promise(async () => {
    const lines = createInterface({ input: child.stdout! })
    const [line] = await once(lines, "line")
    return JSON.parse(line)
  })
const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.promise(async () => {
    child.kill("SIGKILL")
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  })
const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.sleep("2 millis"), until(condition)))

/** Prints the ids of its two children, of which one leads a session of its own, and runs on. */
const family = `
const { spawn } = require("node:child_process")
const child = spawn("sleep", ["60"], { stdio: "ignore" })
const away = spawn("sh", ["-c", "sleep 60 & echo $! > $OUT; wait"], { stdio: "ignore", detached: true, env: { ...process.env, OUT: process.env.ESPALIER_JOB_DIR + "/away" } })
const look = () => {
  try {
    const grandchild = Number(require("node:fs").readFileSync(process.env.ESPALIER_JOB_DIR + "/away", "utf8"))
    if (grandchild > 0) return console.log(JSON.stringify([process.pid, child.pid, away.pid, grandchild]))
  } catch {}
  setTimeout(look, 5)
}
look()
setTimeout(() => {}, 60000)
`

describe("when the engine dies", () => {
  test("its job runs on, and its true exit code is known to the next engine", (execution) =>
    Effect.gen(function*() {
      const child = startEngine(
        script("survivor", "console.log('begun'); setTimeout(() => { console.log('done'); process.exit(23) }, 600)")
      )
      const job = yield* launched(child)
      yield* kill(child)
      assert.strictEqual((yield* execution.status(job.id))._tag, "Running")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 23, JSON.stringify(status))
      assert.strictEqual(yield* output(execution, job), "begun\ndone\n")
      assert.deepStrictEqual(Option.getOrThrow(yield* execution.find("survivor")), job)
    }))

  test("the time-out of its job holds", (execution) =>
    Effect.gen(function*() {
      const child = startEngine(script("bounded", "setTimeout(() => {}, 60000)", { timeoutMillis: 700 }))
      const job = yield* launched(child)
      yield* kill(child)
      const status = yield* execution.await(job.id)
      assert.ok(
        status._tag === "Exited" && status.timedOut === true && status.signal === "SIGTERM",
        JSON.stringify(status)
      )
    }))

  test("in the middle of a launch, launching again runs the job once", (execution) =>
    Effect.gen(function*() {
      // At each of the moments that the files of a launch make visible.
      for (const moment of ["command.json", "claim", "start.json"]) {
        const request = script(`mid-launch ${moment}`, "console.log('ran'); setTimeout(() => {}, 100)")
        const file = join(directory, jobId(request.key), moment)
        const child = startEngine(request)
        yield* until(() => existsSync(file))
        yield* kill(child)
        const job = yield* execution.launch(request)
        assert.ok(hasSucceeded(yield* execution.await(job.id)))
        assert.strictEqual(yield* output(execution, job), "ran\n", moment)
      }
    }))
})

describe("a key", () => {
  test("that two engines launch at the same time is run once", (execution) =>
    Effect.gen(function*() {
      const request = script("contended", "console.log('ran'); setTimeout(() => {}, 200)")
      const jobs = yield* Effect.all([launched(startEngine(request)), launched(startEngine(request))], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(jobs[0], jobs[1])
      assert.ok(hasSucceeded(yield* execution.await(jobs[0].id)))
      assert.strictEqual(yield* output(execution, jobs[0]), "ran\n")
    }))

  test("has one winner among wrappers that start together, and the losers say so", (execution) =>
    Effect.gen(function*() {
      const first = yield* execution.launch(script("template", "console.log('ran')"))
      yield* execution.await(first.id)
      const id = jobId("raced")
      const raced = join(directory, id)
      mkdirSync(raced)
      writeFileSync(join(raced, "command.json"), JSON.stringify({ ...record(first, "command.json"), id, key: "raced" }))
      const wrappers = Array.from({ length: 5 }, () => spawn(process.execPath, [wrapper, raced], { stdio: "ignore" }))
      const codes = yield* Effect.promise(() => Promise.all(wrappers.map(async (one) => (await once(one, "exit"))[0])))
      assert.deepStrictEqual(codes, [0, 0, 0, 0, 0])
      const losers = readFileSync(join(raced, "contenders.log"), "utf8").trimEnd().split("\n")
      assert.strictEqual(losers.length, 4)
      for (const line of losers) assert.match(line, /process \d+ lost claim$/)
      assert.strictEqual(readFileSync(join(raced, "stdout.log"), "utf8"), "ran\n")
    }))

  test("whose job was lost with a restart of the machine is not run again", (execution) =>
    Effect.gen(function*() {
      const request = script("rebooted", "console.log('ran')")
      const id = jobId(request.key)
      const place = join(directory, id)
      mkdirSync(place, { recursive: true })
      const command = { version: 1, id, ...request, timeoutMillis: null, graceMillis: 0, requestedAt: 1 }
      writeFileSync(join(place, "command.json"), JSON.stringify(command))
      // This very process has the id and the start that the claim names: only the boot tells that it is another.
      const claim = {
        version: 1,
        pid: process.pid,
        startTicks: startTicksOf(process.pid),
        ...thisMachine(),
        bootId: "b".repeat(8),
        token: "t".repeat(24),
        claimedAt: 2
      }
      writeFileSync(join(place, "claim"), JSON.stringify(claim))
      const job = yield* execution.launch(request)
      assert.deepStrictEqual(Option.getOrThrow(yield* execution.find(request.key)), job)
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost" && /restarted/.test(status.reason), JSON.stringify(status))
      assert.strictEqual(yield* output(execution, job), "")
      yield* execution.cancel(job.id)
      assert.deepStrictEqual(yield* execution.status(job.id), status)
    }))
})

describe("cancel", () => {
  test("ends grandchildren, also one that left the job's session", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("family", family))
      const processes = yield* printedIds(execution, job)
      assert.strictEqual(living(processes).length, 4)
      yield* execution.cancel(job.id)
      assert.deepStrictEqual(living(processes), [])
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))

  test("before the wrapper has looked keeps the command from running", (execution) =>
    Effect.gen(function*() {
      const first = yield* execution.launch(script("template 2", "console.log('ran')"))
      const request = script("cancelled early", "console.log('ran')")
      const id = jobId(request.key)
      const place = join(directory, id)
      mkdirSync(place)
      writeFileSync(
        join(place, "command.json"),
        JSON.stringify({ ...record(first, "command.json"), id, key: request.key })
      )
      assert.strictEqual((yield* execution.status(id))._tag, "Pending")
      yield* execution.cancel(id)
      assert.strictEqual((yield* execution.status(id))._tag, "Cancelled")
      const job = yield* execution.launch(request)
      assert.strictEqual((yield* execution.await(job.id))._tag, "Cancelled")
      assert.strictEqual(yield* output(execution, job), "")
    }))

  test("finds the job of a launch that was interrupted, at whatever moment", (execution) =>
    Effect.gen(function*() {
      for (const moment of ["nothing", "command.json"]) {
        const request = script(`interrupted ${moment}`, "setTimeout(() => console.log('went on'), 60000)")
        const launching = yield* Effect.forkChild(execution.launch(request), { startImmediately: true })
        if (moment !== "nothing") yield* until(() => existsSync(join(directory, jobId(request.key), moment)))
        yield* Fiber.interrupt(launching)
        const job = Option.getOrThrow(yield* execution.find(request.key))
        yield* execution.cancel(job.id)
        assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled", moment)
        const { pid, startTicks } = record(job, "start.json")
        assert.deepStrictEqual(living([{ pid, startTicks }]), [])
      }
    }))

  test("reaches a job by its record alone, as from a machine that shares the disk", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("cancelled from afar", "setTimeout(() => {}, 60000)"))
      const asked = { version: 1, requestedAt: 1, graceMillis: 100, host: "elsewhere", pid: 1 }
      writeFileSync(join(job.directory, "cancel.part"), JSON.stringify(asked))
      renameSync(join(job.directory, "cancel.part"), join(job.directory, "cancel.json"))
      assert.strictEqual((yield* execution.await(job.id))._tag, "Cancelled")
    }))

  test("does not need the wrapper to do its part", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("stopped wrapper", family))
      const processes = yield* printedIds(execution, job)
      process.kill(record(job, "claim").pid, "SIGSTOP")
      yield* execution.cancel(job.id, { grace: 0 })
      assert.deepStrictEqual(living(processes), [])
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))
})

describe("when the wrapper dies", () => {
  test("with its job, the job is lost, and stays lost", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("both killed", "console.log('[]'); setTimeout(() => {}, 60000)"))
      yield* printedIds(execution, job)
      const waiting = yield* Effect.forkChild(execution.await(job.id), { startImmediately: true })
      process.kill(record(job, "claim").pid, "SIGKILL")
      process.kill(record(job, "start.json").pid, "SIGKILL")
      yield* until(() => waiting.pollUnsafe() !== undefined)
      const status = yield* execution.status(job.id)
      assert.ok(status._tag === "Lost" && /wrapper/.test(status.reason), JSON.stringify(status))
      yield* execution.cancel(job.id)
      assert.strictEqual((yield* execution.launch(script("both killed", "console.log('again')"))).id, job.id)
      const { queuedAt } = status
      assert.ok(queuedAt !== undefined)
      assert.deepStrictEqual(yield* execution.status(job.id), {
        _tag: "Lost",
        reason: status.reason.split(";")[0]!,
        queuedAt
      })
    }))

  test("and its job lives on, the job is lost, says so, and can be cancelled", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("orphaned", family))
      const processes = yield* printedIds(execution, job)
      process.kill(record(job, "claim").pid, "SIGKILL")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost" && /4 processes still run/.test(status.reason), JSON.stringify(status))
      assert.strictEqual(living(processes).length, 4)
      yield* execution.cancel(job.id)
      assert.deepStrictEqual(living(processes), [])
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))
})

describe("the wrapper", () => {
  test("ignores what is meant for the engine's terminal, and ends the job gracefully when told to end", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(
        script(
          "signals",
          "process.on('SIGTERM', () => process.exit(9)); console.log('[]'); setTimeout(() => {}, 60000)"
        )
      )
      yield* printedIds(execution, job)
      const { pid } = record(job, "claim")
      process.kill(pid, "SIGHUP")
      process.kill(pid, "SIGINT")
      process.kill(pid, "SIGTERM")
      const status = yield* execution.await(job.id)
      assert.ok(
        status._tag === "Exited" && status.exitCode === 9 && status.timedOut === undefined,
        JSON.stringify(status)
      )
      assert.strictEqual(status.terminated, true)
    }))

  test("does not pass off a job that was told to end as one that did its work", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(
        script(
          "cut short",
          `process.on("SIGTERM", () => { console.log("score=1"); process.exit(0) })
           console.log("[]"); setTimeout(() => {}, 60000)`
        )
      )
      yield* printedIds(execution, job)
      process.kill(record(job, "claim").pid, "SIGTERM")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 0 && status.terminated === true, JSON.stringify(status))
      assert.ok(!hasSucceeded(status))
    }))

  test("ends what a job leaves running, before the job counts as ended", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script(
        "left behind",
        `const child = require("node:child_process").spawn("sleep", ["60"], { detached: true, stdio: "ignore" })
         child.unref(); console.log(JSON.stringify([child.pid])); process.exitCode = 2`
      ))
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 2)
      assert.deepStrictEqual(living(yield* printedIds(execution, job)), [])
      assert.strictEqual(record(job, "exit.json").leftBehind, 1)
    }))

  test("gives the job the engine's environment, what was added, and its directory, and nothing of its own", (execution) =>
    Effect.gen(function*() {
      const source = "console.log(JSON.stringify(process.env))"
      const job = yield* execution.launch(script("environment", source, { environment: { ADDED: "a=b\n" } }))
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      const seen = JSON.parse(yield* output(execution, job))
      assert.strictEqual(seen.ADDED, "a=b\n")
      assert.strictEqual(seen.ESPALIER_JOB_DIR, job.directory)
      for (const name of ["PATH", "NODE_OPTIONS", "NODE_COMPILE_CACHE"]) {
        assert.strictEqual(seen[name], process.env[name], name)
      }
      assert.strictEqual(seen.ESPALIER_WRAPPER_RESTORE, undefined)
    }))

  test("measures the CPU time and the memory of the whole tree", (execution) =>
    Effect.gen(function*() {
      const burn = "const until = Date.now() + 400; const kept = Buffer.alloc(6e7, 1); while (Date.now() < until) {}"
      const source = `require("node:child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(burn)}])`
      const job = yield* execution.launch(script("busy", source))
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      const usage = Option.getOrThrow(yield* execution.usage(job.id))
      const cpuSeconds = usage.cpuSecondsUser + usage.cpuSecondsSystem
      assert.ok(cpuSeconds > 0.1 && cpuSeconds < 30, JSON.stringify(usage))
      assert.ok(usage.peakMemoryBytes !== null && usage.peakMemoryBytes > 6e7, JSON.stringify(usage))
      assert.ok(usage.series.some((one) => one.processes === 2) && usage.series.length <= 256)
    }))
})

describe("an output that is not a plain file", () => {
  test("is not read and does not hold anything up: a pipe, a link to a device without end, a directory", (execution) =>
    Effect.gen(function*() {
      const kinds: ReadonlyArray<readonly [string, (path: string) => void]> = [
        ["pipe", (path) => void execFileSync("mkfifo", [path])],
        ["link", (path) => symlinkSync("/dev/zero", path)],
        ["directory", (path) => void mkdirSync(path)]
      ]
      for (const [kind, put] of kinds) {
        const job = yield* execution.launch(script(`metrics ${kind}`, "console.log('score=1')"))
        assert.ok(hasSucceeded(yield* execution.await(job.id)))
        put(join(job.directory, "metrics.jsonl"))
        const metrics = yield* execution.logs(job.id, { stream: "metrics" }).pipe(Stream.decodeText(), Stream.mkString)
        assert.strictEqual(metrics, "", kind)
        assert.strictEqual(Option.getOrThrow(yield* execution.progress(job.id)).line, "score=1", kind)
      }
    }))
})

describe("a launch that cannot work", () => {
  test("tells a missing directory, and records nothing, so that it can be tried again", (execution) =>
    Effect.gen(function*() {
      const request = script("no directory", "0", { directory: join(root, "later") })
      const error = yield* Effect.flip(execution.launch(request))
      assert.strictEqual(error.reason, "DirectoryMissing")
      assert.match(error.message, /later is not there/)
      mkdirSync(request.directory)
      assert.ok(hasSucceeded(yield* execution.await((yield* execution.launch(request)).id)))
    }))

  test("tells a program that is not executable", (execution) =>
    Effect.gen(function*() {
      const file = join(root, "plain.txt")
      writeFileSync(file, "text")
      const error = yield* Effect.flip(execution.launch({ ...script("plain file", ""), argv: [file] }))
      assert.strictEqual(error.reason, "ProgramNotStarted")
      assert.strictEqual(error.code, "EACCES")
      assert.ok(error.message.includes(file))
    }))

  test("tells what no program can be given", (execution) =>
    Effect.gen(function*() {
      const bad: Array<[Partial<JobRequest>, RegExp]> = [
        [{ key: "" }, /key is empty/],
        [{ argv: [""] }, /names no program/],
        [{ argv: ["a", "b\0c"] }, /zero byte/],
        [{ environment: { "A=B": "c" } }, /"A=B"/],
        [{ timeoutMillis: Number.NaN }, /NaN/],
        [{ timeoutMillis: 0 }, /positive/]
      ]
      for (const [change, message] of bad) {
        const error = yield* Effect.flip(execution.launch({ ...script("bad", ""), ...change }))
        assert.strictEqual(error.reason, "InvalidRequest")
        assert.match(error.message, message)
      }
    }))

  test("tells a grace that has no end, and its cancel writes nothing", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("endless grace", "setTimeout(() => {}, 60_000)"))
      for (const grace of ["Infinity", Number.NaN, -1] as const) {
        const error = yield* Effect.flip(execution.cancel(job.id, { grace }))
        assert.match(error.message, /not cancelled: the grace is .* finite time, from 0/)
      }
      assert.ok(!existsSync(join(job.directory, "cancel.json")))
      yield* execution.cancel(job.id, { grace: 0 })
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))

  test("that stops its wrapper before it is seen to start is not waited for without an end", (execution) =>
    Effect.gen(function*() {
      const begun = Date.now()
      // A clock on which the bound of half a minute is over in three seconds.
      const quick: Clock.Clock = Object.create(yield* Clock.Clock, {
        currentTimeMillis: { value: Effect.sync(() => begun + (Date.now() - begun) * 10) }
      })
      const asked = { ...script("stops its wrapper", ""), argv: ["sh", "-c", "kill -STOP $PPID; sleep 60"] as const }
      const job = yield* execution.launch(asked).pipe(
        Effect.provideService(Clock.Clock, quick),
        Effect.timeout("20 seconds")
      )
      assert.strictEqual(job.key, asked.key)
      yield* execution.cancel(job.id, { grace: 0 })
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))

  test("in a place that cannot be written is an infrastructure failure", () =>
    Effect.gen(function*() {
      writeFileSync(join(root, "file"), "")
      const execution = yield* LocalProcess.make({ directory: join(root, "file", "jobs") })
      const error = yield* Effect.flip(execution.launch(script("nowhere", "")))
      assert.strictEqual(error.reason, "Infrastructure")
    }))

  test("tells a damaged record instead of guessing", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("damaged", ""))
      yield* execution.await(job.id)
      writeFileSync(join(job.directory, "exit.json"), "{\"version\":1,")
      const error = yield* Effect.flip(execution.status(job.id))
      assert.ok(error._tag === "ExecutionError" && error.message.includes("exit.json"), error.message)
    }))
})
