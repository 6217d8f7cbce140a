/** A cluster with accounting: what the controller has forgotten is known there, and so is what a job used. */
import { afterAll, describe, it } from "@effect/vitest"
import { Execution, type JobRequest } from "@espalier/platform/Execution"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Effect, Option, Stream } from "effect"
import assert from "node:assert"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { jobId } from "../../src/internal/processFiles.ts"
import { startSlurm } from "./support/slurm.ts"

// The controller forgets a job 2 s after its end.
const slurm = await startSlurm({ accounting: true, minJobAge: 2 })
afterAll(() => slurm.stop(), 30_000)

const options: Slurm.Options = {
  directory: join(slurm.directory, "jobs"),
  configuration: slurm.configuration,
  pollEvery: "300 millis",
  fileDelay: "1 second",
  grace: "500 millis"
}
const test = (
  name: string,
  body: (execution: Execution["Service"]) => Effect.Effect<void, unknown>,
  more: Partial<Slurm.Options> = {}
): void => {
  it.live(name, () => Effect.flatMap(Execution, body).pipe(Effect.provide(Slurm.layer({ ...options, ...more }))))
}
const script = (key: string, source: string): JobRequest => ({
  key,
  argv: [process.execPath, "-e", source],
  directory: slurm.directory,
  environment: {}
})
const untilForgotten = (id: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const known = slurm.run("squeue", "--noheader", "--states=all", "--format=%A").split("\n").includes(id)
    return known ? Effect.andThen(Effect.sleep("200 millis"), untilForgotten(id)) : Effect.void
  })

describe.concurrent("accounting", () => {
  test("knows what a job used, beside what its wrapper measured", (execution) =>
    Effect.gen(function*() {
      const burn =
        "const kept = Buffer.alloc(8e7, 1); const until = Date.now() + 2500; while (Date.now() < until) kept[0]++"
      const job = yield* execution.launch({
        ...script("busy", burn),
        resources: { cpus: 2, memoryBytes: 400 * 2 ** 20 }
      })
      yield* execution.await(job.id)
      // Accounting hears of it a moment later.
      let usage = Option.getOrThrow(yield* execution.usage(job.id))
      while ((usage.accounted?.peakMemoryBytes ?? null) === null) {
        yield* Effect.sleep("200 millis")
        usage = Option.getOrThrow(yield* execution.usage(job.id))
      }
      assert.deepStrictEqual(usage.requested, { cpus: 2, memoryBytes: 400 * 2 ** 20 })
      assert.ok(usage.accounted!.peakMemoryBytes! > 7e7, JSON.stringify(usage.accounted))
      assert.ok(usage.accounted!.cpuSeconds! > 0.2, JSON.stringify(usage.accounted))
      assert.ok(usage.cpuSecondsUser > 0.2)
    }))

  test("knows who ended a job that the controller has forgotten", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch(script("forgotten", "console.log('ready'); setTimeout(() => {}, 30000)"))
      yield* execution.logs(job.id, { stream: "stdout" }).pipe(Stream.take(1), Stream.runDrain)
      slurm.run("scancel", job.schedulerId!)
      yield* untilForgotten(job.schedulerId!)
      const status = yield* execution.status(job.id)
      assert.ok(status._tag === "Cancelled" && status.startedAt !== null, JSON.stringify(status))
      assert.match(readFileSync(join(job.directory, "verdict.json"), "utf8"), /CANCELLED/)
    }))

  test(
    "finds a submission whose answer was lost, of a job that the controller has forgotten",
    (execution) =>
      Effect.gen(function*() {
        const request = script("lost answer", "console.log('ran')")
        const job = yield* execution.launch(request)
        yield* untilForgotten(job.schedulerId!)
        // As an engine leaves it that is killed between the acceptance and its record.
        rmSync(join(job.directory, "submission.json"))
        const attempt = {
          version: 1,
          token: "t".repeat(20),
          begunAt: job.launchedAt,
          overAt: 0,
          host: "another",
          bootId: null,
          pidNamespace: null,
          pid: 1,
          startTicks: null
        }
        writeFileSync(join(job.directory, `submit-${attempt.token}`), JSON.stringify(attempt))
        const found = Option.getOrThrow(yield* execution.find(request.key))
        assert.strictEqual(found.schedulerId, job.schedulerId)
        // Its machine has no such Node: nothing of it ran, and that is known for sure.
        const status = yield* execution.status(found.id)
        assert.ok(status._tag === "Exited" && status.startError !== undefined, JSON.stringify(status))
        assert.match(status.startError, /its wrapper did not come up/)
        assert.deepStrictEqual(readdirSync(job.directory).filter((name) => name.startsWith("submit-")), [])
        assert.ok(!existsSync(join(options.directory, jobId(request.key), "claim")))
      }),
    { node: "/bin/false" }
  )
})
