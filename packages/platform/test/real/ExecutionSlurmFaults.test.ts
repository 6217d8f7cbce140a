/**
 * What goes wrong on a cluster: who ended a job is told apart, and a lost answer, a dead daemon or a scheduler without
 * a memory neither run a job twice nor make up an outcome. One cluster for all cases, so those that kill a daemon come last
 * and one by one.
 */
import { afterAll, describe, it } from "@effect/vitest"
import { durations, Execution, hasSucceeded, type JobHandle, type JobRequest } from "@espalier/platform/Execution"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Effect, Fiber, Option, Schedule, Stream } from "effect"
import assert from "node:assert"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { jobId } from "../../src/internal/processFiles.ts"
import { isAlive } from "../../src/internal/processTable.ts"
import { startSlurm } from "./support/slurm.ts"

// The node counts as failed after 5 s, and the controller forgets a job 5 s after its end.
const slurm = await startSlurm({ minJobAge: 5, slurmdTimeout: 5 })
afterAll(() => slurm.stop(), 30_000)

const options: Slurm.Options = {
  directory: join(slurm.directory, "jobs"),
  configuration: slurm.configuration,
  pollEvery: "300 millis",
  fileDelay: "1 second",
  grace: "500 millis",
  // What is in this partition is not preempted.
  resources: { partition: "urgent" },
  retry: Schedule.spaced("300 millis").pipe(Schedule.upTo({ times: 100 }))
}
const test = (
  name: string,
  body: (execution: Execution["Service"]) => Effect.Effect<void, unknown>,
  more: Partial<Slurm.Options> = {}
): void => {
  it.live(name, () => Effect.flatMap(Execution, body).pipe(Effect.provide(Slurm.layer({ ...options, ...more }))))
}
const script = (key: string, source: string, more: Partial<JobRequest> = {}): JobRequest => ({
  key,
  argv: [process.execPath, "-e", source],
  directory: slurm.directory,
  environment: {},
  ...more
})
/** Runs for half a minute, and does not wait to be asked twice to end. */
const sleeper = "console.log('ready'); setTimeout(() => {}, 30000)"
const output = (execution: Execution["Service"], job: JobHandle) =>
  execution.logs(job.id, { stream: "stdout" }).pipe(Stream.decodeText(), Stream.mkString)
const untilReady = (execution: Execution["Service"], job: JobHandle) =>
  execution.logs(job.id, { stream: "stdout" }).pipe(Stream.take(1), Stream.runDrain)
const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.sleep("50 millis"), until(condition)))
const record = (job: JobHandle, name: string) => JSON.parse(readFileSync(join(job.directory, name), "utf8"))
const squeue = (...args: ReadonlyArray<string>): string => slurm.run("squeue", "--noheader", ...args).trim()
const show = (status: unknown): string => JSON.stringify(status)
/** What Slurm calls a job. */
const nameOf = (job: JobHandle): string => squeue("--states=all", `--jobs=${job.schedulerId}`, "--format=%j")

describe.concurrent("who ended a job is told apart from the job's own failure", () => {
  test("the time limit of the cluster", (execution) =>
    Effect.gen(function*() {
      const request = { ...script("limited", sleeper), resources: { timeLimitMillis: 60_000 } }
      const job = yield* execution.launch(request)
      yield* untilReady(execution, job)
      // Slurm's limits are whole minutes: an administrator may move the end.
      slurm.run("scontrol", "update", `JobId=${job.schedulerId}`, "EndTime=now+2seconds")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.timedOut === true && status.terminated === undefined, show(status))
      assert.ok(!hasSucceeded(status))
    }))

  test("the memory limit of the cluster", (execution) =>
    Effect.gen(function*() {
      const greedy = "const kept = []; setInterval(() => { if (kept.length < 60) kept.push(Buffer.alloc(1e7, 1)) }, 5)"
      const job = yield* execution.launch({ ...script("greedy", greedy), resources: { memoryBytes: 150 * 2 ** 20 } })
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.outOfMemory === true && status.signal === "SIGKILL", show(status))
    }))

  test("a more urgent job", (execution) =>
    Effect.gen(function*() {
      const large = { cpus: 40, memoryBytes: 300 * 2 ** 20 }
      const job = yield* execution.launch({
        ...script("victim", sleeper),
        resources: { ...large, partition: "main" }
      })
      yield* untilReady(execution, job)
      const urgent = yield* execution.launch({ ...script("urgent", ""), resources: { ...large, partition: "urgent" } })
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost" && status.cause === "preempted", show(status))
      assert.ok(hasSucceeded(yield* execution.await(urgent.id)))
    }))

  test("somebody with scancel", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("scancelled", sleeper))
      yield* untilReady(execution, job)
      slurm.run("scancel", job.schedulerId!)
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Cancelled" && status.startedAt !== null, show(status))
    }))

  test("the death of its wrapper, which is an honest loss", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("orphaned", sleeper))
      yield* untilReady(execution, job)
      const { pid, startTicks } = record(job, "start.json")
      process.kill(record(job, "claim").pid, "SIGKILL")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Lost" && status.cause === undefined, show(status))
      assert.match(status.reason, /without recording how the job ended \(Slurm says of it: FAILED/)
      yield* execution.cancel(job.id)
      assert.ok(!isAlive(pid, startTicks))
      assert.deepStrictEqual(yield* execution.status(job.id), status)
    }))
})

describe.concurrent("a job in the queue", () => {
  test(
    "says why it waits, is cancelled without having run, and does not run when it is launched again",
    (execution) =>
      Effect.gen(function*() {
        const request = script("held", "console.log('ran')")
        const job = yield* execution.launch(request)
        yield* until(() => squeue(`--jobs=${job.schedulerId}`, "--format=%r") === "BeginTime")
        yield* Effect.sleep("400 millis")
        const status = yield* execution.status(job.id)
        assert.ok(status._tag === "Pending" && status.reason === "BeginTime", show(status))
        yield* execution.cancel(job.id)
        const cancelled = yield* execution.status(job.id)
        assert.ok(cancelled._tag === "Cancelled" && cancelled.startedAt === null, show(cancelled))
        assert.strictEqual((yield* execution.launch(request)).id, job.id)
        assert.strictEqual(yield* output(execution, job), "")
      }),
    { extraArguments: ["--begin=now+3600"] }
  )

  test("has its time there told apart from its run", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("late", "setTimeout(() => {}, 300)"))
      const { queuedMillis, ranMillis } = durations(yield* execution.await(job.id))
      assert.ok(queuedMillis !== null && queuedMillis >= 2000, String(queuedMillis))
      assert.ok(ranMillis !== null && ranMillis >= 290 && ranMillis < queuedMillis, String(ranMillis))
    }), { extraArguments: ["--begin=now+3"] })

  test("is never put back into it", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("once", "console.log('ran'); setTimeout(() => {}, 1500)"))
      yield* untilReady(execution, job)
      assert.match(slurm.run("scontrol", "show", "job", job.schedulerId!), / Requeue=0 /)
      assert.throws(() => slurm.run("scontrol", "requeue", job.schedulerId!))
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.strictEqual(yield* output(execution, job), "ran\n")
    }))

  test("that asks for what the cluster does not have is refused in the cluster's words", (execution) =>
    Effect.gen(function*() {
      for (
        const [resources, words] of [
          [{ partition: "no such; touch x" }, /invalid partition/i],
          [{ cpus: 500 }, /More processors requested than permitted/],
          [{ gpus: 1 }, /Invalid generic resource/]
        ] as const
      ) {
        const error = yield* Effect.flip(execution.launch({ ...script(`too much ${words}`, ""), resources }))
        assert.strictEqual(error.reason, "InvalidRequest")
        assert.match(error.message, words)
      }
    }))
})

describe.concurrent("nothing that a request holds reaches a shell", () => {
  const ugly = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "a\nb",
    "-rf",
    "--help",
    "'\"\\",
    "é 漢 🌳",
    "%j",
    "*",
    ""
  ]

  test("not its arguments, its environment, its directory or its key", (execution) =>
    Effect.gen(function*() {
      const directory = join(slurm.directory, "-d $(touch pwned) 'q' \"q\"\n%j é;&|")
      mkdirSync(directory)
      const source = "console.log(JSON.stringify([process.argv.slice(1), process.env.UGLY, process.cwd()]))"
      const environment = { UGLY: ugly.join("|"), "BASH_FUNC_x%%": "() { touch pwned; }", "A-B": "$(touch pwned)" }
      const job = yield* execution.launch({
        key: ugly.join("/"),
        argv: [process.execPath, "-e", source, "--", ...ugly],
        directory,
        environment
      })
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      const [argv, variable, cwd] = JSON.parse(yield* output(execution, job))
      assert.deepStrictEqual(argv, ugly)
      assert.strictEqual(variable, environment.UGLY)
      assert.strictEqual(cwd, directory)
      for (const place of [directory, job.directory, slurm.directory, process.cwd()]) {
        assert.ok(!existsSync(join(place, "pwned")), place)
      }
      assert.strictEqual(readFileSync(join(job.directory, "batch.sh"), "utf8"), "#!/bin/sh\nexec \"$@\"\n")
    }))

  test("nor does the directory of all jobs", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("plain", "console.log('ran')"))
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      assert.ok(existsSync(join(job.directory, "slurm.log")))
      yield* execution.cancel(job.id)
    }), { directory: join(slurm.directory, "-jobs %j $(touch pwned) é JobState=FAILED") })
})

describe.concurrent("a scheduler that forgets", () => {
  test("does not make an outcome unknown, nor a key free", (execution) =>
    Effect.gen(function*() {
      const request = script("remembered", "console.log('ran'); process.exitCode = 9")
      const job = yield* execution.launch(request)
      const name = nameOf(job)
      yield* until(() => squeue("--states=all", `--name=${name}`) === "")
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 9, show(status))
      assert.strictEqual((yield* execution.launch(request)).id, job.id)
      assert.strictEqual(yield* output(execution, job), "ran\n")
    }))

  test("has the verdict recorded that it had given before", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("verdict", sleeper))
      yield* untilReady(execution, job)
      const name = nameOf(job)
      slurm.run("scancel", job.schedulerId!)
      const status = yield* execution.await(job.id)
      yield* until(() => squeue("--states=all", `--name=${name}`) === "")
      assert.deepStrictEqual(yield* execution.status(job.id), status)
    }))

  test(
    "and lost a job before it began, has lost it honestly, and the job does not come back",
    (execution) =>
      Effect.gen(function*() {
        const request = script("forgotten", "console.log('ran')")
        const job = yield* execution.launch(request)
        const name = nameOf(job)
        slurm.run("scancel", job.schedulerId!)
        yield* until(() => squeue("--states=all", `--name=${name}`) === "")
        const status = yield* execution.await(job.id)
        assert.ok(status._tag === "Lost" && /never started/.test(status.reason), show(status))
        assert.strictEqual((yield* execution.launch(request)).id, job.id)
        assert.strictEqual(yield* output(execution, job), "")
      }),
    { extraArguments: ["--begin=now+3600"] }
  )
})

describe.concurrent("an engine that is killed", () => {
  test("after its sbatch was accepted, and before it knew, has its job found and not repeated", (execution) =>
    Effect.gen(function*() {
      // Accepted by the scheduler; the answer never arrives.
      const sbatch = join(slurm.directory, "sbatch-without-answer")
      writeFileSync(sbatch, "#!/bin/sh\nsbatch \"$@\" > /dev/null\nexec sleep 30\n", { mode: 0o755 })
      const request = script("unanswered", "console.log('ran'); setTimeout(() => {}, 500)")
      const child = spawn(process.execPath, [
        "--conditions=espalier-source",
        fileURLToPath(new URL("./support/slurmEngine.ts", import.meta.url)),
        JSON.stringify({
          directory: options.directory,
          configuration: options.configuration,
          resources: options.resources,
          programs: { sbatch },
          commandTimeout: "3 seconds"
        }),
        JSON.stringify(request)
      ], { stdio: ["ignore", "ignore", "inherit"] })
      const directory = join(options.directory, jobId(request.key))
      yield* until(() => existsSync(join(directory, "batch.sh")) && existsSync(join(directory, "claim")))
      const ended = once(child, "exit")
      child.kill("SIGKILL")
      yield* Effect.promise(() => ended)
      assert.ok(!existsSync(join(directory, "submission.json")))
      const found = Option.getOrThrow(yield* execution.find(request.key))
      assert.deepStrictEqual(yield* execution.launch(request), found)
      assert.ok(hasSucceeded(yield* execution.await(found.id)))
      assert.strictEqual(yield* output(execution, found), "ran\n")
      assert.ok(!existsSync(join(directory, "contenders.log")))
    }))

  test("in the same moment, with a job that still waits: the queue is searched by name", (execution) =>
    Effect.gen(function*() {
      const sbatch = join(slurm.directory, "sbatch-without-answer-2")
      writeFileSync(sbatch, "#!/bin/sh\nsbatch \"$@\" > /dev/null\nexec sleep 30\n", { mode: 0o755 })
      const request = script("unanswered and queued", "console.log('ran')")
      const child = spawn(process.execPath, [
        "--conditions=espalier-source",
        fileURLToPath(new URL("./support/slurmEngine.ts", import.meta.url)),
        JSON.stringify({
          directory: options.directory,
          configuration: options.configuration,
          extraArguments: ["--begin=now+3600"],
          programs: { sbatch },
          commandTimeout: "3 seconds"
        }),
        JSON.stringify(request)
      ], { stdio: ["ignore", "ignore", "inherit"] })
      const directory = join(options.directory, jobId(request.key))
      const isSubmitted = () => {
        const names = squeue("--format=%Z").split("\n")
        return names.includes(directory)
      }
      yield* until(isSubmitted)
      const ended = once(child, "exit")
      child.kill("SIGKILL")
      yield* Effect.promise(() => ended)
      assert.ok(!existsSync(join(directory, "submission.json")) && !existsSync(join(directory, "claim")))
      const found = Option.getOrThrow(yield* execution.find(request.key))
      assert.deepStrictEqual(yield* execution.launch(request), found)
      yield* execution.cancel(found.id)
      assert.strictEqual((yield* execution.status(found.id))._tag, "Cancelled")
      assert.strictEqual(yield* output(execution, found), "")
    }))
})

describe("a daemon that is killed", () => {
  test("the controller: what runs is followed, what is launched waits, and neither is run twice", (execution) =>
    Effect.gen(function*() {
      const running = yield* execution.launch(
        script("through", "console.log('ran'); setTimeout(() => process.exit(5), 6000)")
      )
      yield* untilReady(execution, running)
      // It saves its state now and then: what it has not saved it does not know after a kill.
      yield* until(() =>
        (statSync(join(slurm.directory, "state", "job_state"), { throwIfNoEntry: false })?.mtimeMs ?? 0) >
          Date.now() - 1000
      )
      yield* Effect.promise(() => slurm.controller.kill())
      const launching = yield* Effect.forkChild(execution.launch(script("meanwhile", "console.log('ran')")))
      assert.strictEqual((yield* execution.status(running.id))._tag, "Running")
      const impatient = yield* Slurm.make({ ...options, retry: Schedule.recurs(0), commandTimeout: "2 seconds" })
      const error = yield* Effect.flip(impatient.launch(script("impatient", "console.log('ran')")))
      assert.strictEqual(error.reason, "Infrastructure")
      const unanswered = yield* Effect.flip(impatient.find("impatient"))
      assert.match(unanswered.message, /Slurm does not answer/)
      yield* Effect.promise(() => slurm.controller.start())
      const job = yield* Fiber.join(launching)
      const meanwhile = yield* execution.await(job.id)
      assert.ok(hasSucceeded(meanwhile), show(meanwhile))
      const status = yield* execution.await(running.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 5, show(status))
      for (const one of [running, job]) {
        assert.strictEqual(yield* output(execution, one), "ran\n")
        assert.ok(!existsSync(join(one.directory, "contenders.log")))
      }
      const again = yield* execution.launch(script("impatient", "console.log('ran')"))
      assert.ok(hasSucceeded(yield* execution.await(again.id)))
      assert.strictEqual(yield* output(execution, again), "ran\n")
    }))

  test("the node's: with its machine a job is lost, and it is said that the machine failed", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("on a failing node", sleeper))
      yield* untilReady(execution, job)
      const processes = [record(job, "claim").pid, record(job, "start.json").pid]
      yield* Effect.promise(() => slurm.node.kill())
      // A machine that is off: neither its daemon nor the wrapper says anything any more.
      for (const pid of processes) process.kill(pid, "SIGSTOP")
      const status = yield* execution.await(job.id)
      for (const pid of processes) process.kill(pid, "SIGKILL")
      yield* Effect.promise(() => slurm.node.start())
      assert.ok(status._tag === "Lost" && status.cause === "nodeFailed", show(status))
      assert.match(status.reason, /NODE_FAIL/)
    }))

  test("the node's alone: the job runs on, and its true end is known", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(
        script("without its daemon", "console.log('ran'); setTimeout(() => process.exit(6), 1000)")
      )
      yield* untilReady(execution, job)
      yield* Effect.promise(() => slurm.node.kill())
      yield* until(() => existsSync(join(job.directory, "exit.json")))
      yield* Effect.promise(() => slurm.node.start())
      const status = yield* execution.await(job.id)
      assert.ok(status._tag === "Exited" && status.exitCode === 6, show(status))
    }))
})
