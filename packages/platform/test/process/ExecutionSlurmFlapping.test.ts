/**
 * A scheduler that does not always answer, played by scripts: what is asked again, how often, and what is said in the end.
 * The wrapper and the jobs are real processes.
 */
import { afterAll, describe, it } from "@effect/vitest"
import { hasSucceeded, type JobHandle, type JobRequest } from "@espalier/platform/Execution"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jobId } from "../../src/internal/processFiles.ts"
import { type Behaviour, callsOf, installFakeSlurm, submitted } from "./support/fakeSlurm.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-flapping-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Place {
  readonly directory: string
  readonly options: Slurm.Options
}

let places = 0
/** A cluster of its own for each case. */
const place = (behaviour: Behaviour, more: Partial<Slurm.Options> = {}): Place => {
  const directory = join(root, String(++places))
  mkdirSync(directory)
  return {
    directory,
    options: {
      directory: join(directory, "jobs"),
      programs: installFakeSlurm(directory, behaviour),
      pollEvery: "50 millis",
      fileDelay: "300 millis",
      retry: Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 3 })),
      ...more
    }
  }
}
const script = (key: string, source: string): JobRequest => ({
  key,
  argv: [process.execPath, "-e", source],
  directory: root,
  environment: {}
})
const ran = (job: JobHandle): string => readFileSync(join(job.directory, "stdout.log"), "utf8")

describe.concurrent("a scheduler that does not answer", () => {
  it.live("for a while is asked again, and the job runs once", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ failures: { sbatch: 3, squeue: 3, scontrol: 3 } })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("patient", "console.log('ran'); process.exitCode = 3"))
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 3, JSON.stringify(status))
      assert.strictEqual(ran(job), "ran\n")
      assert.strictEqual(callsOf(directory, "sbatch"), 4)
      assert.deepStrictEqual(submitted(directory), ["1"])
    }))

  it.live("at all is told in its own words, after as many tries as the schedule has, and the key stays free", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ failures: { sbatch: 4 } })
      const execution = yield* Slurm.make(options)
      const asked = script("impatient", "console.log('ran')")
      const error = yield* Effect.flip(execution.launch(asked))
      assert.strictEqual(error.reason, "Infrastructure")
      assert.match(error.message, /Slurm did not take it.*Unable to contact slurm controller/)
      assert.strictEqual(callsOf(directory, "sbatch"), 4)
      assert.ok(Option.isNone(yield* execution.find("impatient")))
      const job = yield* execution.launch(asked)
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.strictEqual(ran(job), "ran\n")
    }))

  it.live("about a job that failed is an ExecutionError that names the command", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ failures: { squeue: 4 } })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("failed", "process.exitCode = 3"))
      const error = yield* Effect.flip(execution.await(job.id))
      assert.ok(error._tag === "ExecutionError")
      assert.match(error.message, /Slurm does not answer: .*squeue failed: .*Unable to contact slurm controller/)
      assert.strictEqual(callsOf(directory, "squeue"), 4)
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 3)
    }))

  it.live("is asked once by all who wait for it, and they share that it did not answer", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ failures: { squeue: 1000 }, busy: true })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("shared", ""))
      const asked = Array.from({ length: 8 }, () => Effect.flip(execution.status(job.id)))
      const errors = yield* Effect.all(asked, { concurrency: "unbounded" })
      for (const error of errors) assert.strictEqual(error._tag, "ExecutionError")
      assert.strictEqual(callsOf(directory, "squeue"), 4)
    }))

  it.live("and loses its memory calls a job lost; a wrapper that comes later does not run it", () =>
    Effect.gen(function*() {
      const node = join(root, "late-node")
      writeFileSync(node, `#!/bin/sh\nsleep 3\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 })
      const { options } = place({ forgetful: true }, { node })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("too late", "console.log('ran')"))
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost" && /never started/.test(status.reason), JSON.stringify(status))
      while (!existsSync(join(job.directory, "exit.json"))) yield* Effect.sleep("10 millis")
      assert.ok(!existsSync(join(job.directory, "stdout.log")))
      assert.deepStrictEqual(yield* execution.status(job.id), status)
    }))

  it.live("does not keep a job that it has forgotten from being cancelled", () =>
    Effect.gen(function*() {
      const { options } = place({ forgetful: true }, { fileDelay: "10 seconds", grace: "200 millis" })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("endless", "console.log('ran'); setInterval(() => {}, 1000)"))
      while (!existsSync(join(job.directory, "stdout.log")) || ran(job) === "") yield* Effect.sleep("10 millis")
      yield* execution.cancel(job.id)
      assert.ok(existsSync(join(job.directory, "exit.json")), "it still runs")
      assert.strictEqual((yield* execution.status(job.id))._tag, "Cancelled")
    }))

  it.live("is not asked about a job that ended well", () =>
    Effect.gen(function*() {
      const { directory, options } = place({})
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("well", "console.log('ran')"))
      while (!existsSync(join(job.directory, "exit.json"))) yield* Effect.sleep("10 millis")
      const before = callsOf(directory, "squeue")
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.strictEqual(callsOf(directory, "squeue"), before)
    }))
})

describe.concurrent("a submission whose answer is lost", () => {
  it.live("is found in the queue, and not sent again", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ answersLost: 1 })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("unanswered", "console.log('ran')"))
      assert.strictEqual(job.schedulerId, "1")
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.deepStrictEqual(submitted(directory), ["1"])
      assert.deepStrictEqual(readdirSync(job.directory).filter((name) => name.startsWith("submit-")), [])
    }))

  it.live("is found by its wrapper's claim, when the queue has forgotten it", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ answersLost: 1, forgetful: true, slowMillis: 1500 })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("claimed", "console.log('ran')"))
      assert.strictEqual(job.schedulerId, "1")
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.deepStrictEqual(submitted(directory), ["1"])
    }))

  it.live("and which is sent again all the same, runs once: the second wrapper finds the claim", () =>
    Effect.gen(function*() {
      // The scheduler neither answered about the first nor knows of it, and its wrapper takes its time to come up.
      const node = join(root, "slow-node")
      writeFileSync(node, `#!/bin/sh\nsleep 2\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 })
      const { directory, options } = place({ answersLost: 1, forgetful: true }, { node, fileDelay: "10 seconds" })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("twice", "console.log('ran'); setTimeout(() => {}, 200)"))
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      while (!existsSync(join(job.directory, "contenders.log"))) yield* Effect.sleep("10 millis")
      assert.strictEqual(ran(job), "ran\n")
      assert.deepStrictEqual(submitted(directory), ["1", "2"])
    }))

  it.live("because the launch was interrupted, is seen through, and found by whoever cancels", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ slowMillis: 700, busy: true })
      const execution = yield* Slurm.make(options)
      const launching = yield* Effect.forkChild(execution.launch(script("interrupted", "")), { startImmediately: true })
      while (submitted(directory).length === 0) yield* Effect.sleep("10 millis")
      yield* Fiber.interrupt(launching)
      assert.strictEqual(Option.getOrThrow(yield* execution.find("interrupted")).schedulerId, "1")
    }))

  it.effect("because the launch was interrupted, and the scheduler is too slow to see it through, goes on, and is found", () =>
    Effect.gen(function*() {
      const { directory, options } = place({ busy: true })
      const programs = { ...options.programs, sbatch: join(directory, "held") }
      const asked = join(directory, "asked")
      const answers = join(directory, "answers")
      const wait = `while [ ! -e '${answers}' ]; do sleep 0.01; done`
      const held = `#!/bin/sh\n: > '${asked}'\n${wait}\nexec '${options.programs?.sbatch}' "$@"\n`
      writeFileSync(programs.sbatch, held, { mode: 0o755 })
      const execution = yield* Slurm.make({ ...options, programs })
      const launching = yield* Effect.forkChild(execution.launch(script("held", "")), { startImmediately: true })
      const until = (isSo: () => boolean) =>
        TestClock.withLive(Effect.repeat(Effect.sleep("10 millis"), { while: () => !isSo() }))
      yield* until(() => existsSync(asked))
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(launching), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(interrupting)
      writeFileSync(answers, "")
      yield* until(() => submitted(directory).length > 0)
      const found = yield* TestClock.withLive(execution.find("held"))
      assert.strictEqual(Option.getOrThrow(found).schedulerId, "1")
    }))

  it.live("of another machine, is waited for until it must have ended", () =>
    Effect.gen(function*() {
      const { directory, options } = place({})
      const execution = yield* Slurm.make(options)
      const id = jobId("elsewhere")
      const job = join(directory, "jobs", id)
      mkdirSync(job, { recursive: true })
      const attempt = {
        version: 1,
        token: "t".repeat(20),
        begunAt: Date.now(),
        overAt: Date.now() + 1200,
        host: "another",
        bootId: "x",
        pidNamespace: null,
        pid: 1,
        startTicks: 1
      }
      writeFileSync(join(job, `submit-${attempt.token}`), JSON.stringify(attempt))
      assert.ok(Option.isNone(yield* execution.find("elsewhere")))
      assert.ok(Date.now() > attempt.overAt)
      assert.deepStrictEqual(readdirSync(job), [])
    }))
})

describe.concurrent("a cluster with accounting", () => {
  it.live("remembers who ended a job after the queue has forgotten it, and what the job used", () =>
    Effect.gen(function*() {
      const line = (step: string, rss: string) =>
        `ID${step}|TIMEOUT|1795990420|1795990421|1795990424|0:15|${rss}|01:02.500|NAME`
      const { options } = place(
        { forgetful: true, sacct: [line("", ""), line(".batch", "2048K")] },
        { fileDelay: "4 seconds" }
      )
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(
        script("limited", "console.log('ran'); setTimeout(() => process.kill(process.pid, 'SIGTERM'), 200)")
      )
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.timedOut === true, JSON.stringify(status))
      assert.deepStrictEqual(yield* execution.status(job.id), status)
      const usage = Option.getOrThrow(yield* execution.usage(job.id))
      assert.deepStrictEqual(usage.accounted, { cpuSeconds: 62.5, peakMemoryBytes: 2048 * 1024 })
    }))
})

describe.concurrent("a cluster that cannot be used", () => {
  it.live("because its commands are missing, is told by their names", () =>
    Effect.gen(function*() {
      const { options } = place({})
      const execution = yield* Slurm.make({ ...options, programs: { ...options.programs, sbatch: "/no/such/sbatch" } })
      const error = yield* Effect.flip(execution.launch(script("missing", "")))
      assert.strictEqual(error.reason, "Infrastructure")
      assert.match(error.message, /\/no\/such\/sbatch/)
    }))

  it.live("because sbatch hangs, is told with how long it was waited for", () =>
    Effect.gen(function*() {
      const { directory, options } = place({}, { commandTimeout: "1 second", retry: Schedule.recurs(0) })
      const sbatch = join(directory, "hanging")
      writeFileSync(sbatch, "#!/bin/sh\nexec sleep 30\n", { mode: 0o755 })
      const execution = yield* Slurm.make({ ...options, programs: { ...options.programs, sbatch } })
      const error = yield* Effect.flip(execution.launch(script("hangs", "")))
      assert.strictEqual(error.reason, "Infrastructure")
      assert.match(error.message, /sbatch did not answer within 1 s and was ended/)
    }))

  it.live("because Node is not on its machines, is told with what the job's log says of it", () =>
    Effect.gen(function*() {
      const { options } = place({ forgetful: true }, { node: "/no/such/node" })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("without node", ""))
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost", JSON.stringify(status))
      assert.match(status.reason, /its wrapper did not come up.*; its log ends with .*\/no\/such\/node/)
    }))

  it.live("because it prints what no version that is known prints, is told with what it printed", () =>
    Effect.gen(function*() {
      const { options } = place({ squeue: "ID|FROBBED|1|2|3|NAME|None\n", busy: true })
      const execution = yield* Slurm.make(options)
      const job = yield* execution.launch(script("unreadable", ""))
      const error = yield* Effect.flip(execution.status(job.id))
      assert.match(error.message, /FROBBED.* is no state of a job.*nothing is guessed/)
    }))
})
