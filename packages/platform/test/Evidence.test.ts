import { afterAll, describe, it } from "@effect/vitest"
import * as Rules from "@espalier/platform/evidence/Rules"
import * as Scripted from "@espalier/platform/evidence/Scripted"
import { Evidence, EvidenceRecord } from "@espalier/platform/Evidence"
import { Execution, type TerminalStatus } from "@espalier/platform/Execution"
import * as Simulated from "@espalier/platform/execution/Simulated"
import * as EvidenceSuite from "@espalier/platform/testing/EvidenceSuite"
import { Effect, Layer, Schema } from "effect"
import assert from "node:assert"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const exited = (exitCode: number): TerminalStatus => ({
  _tag: "Exited",
  exitCode,
  signal: null,
  startedAt: 1000,
  endedAt: 3500
})
const handle = (argv: readonly [string, ...Array<string>]) => ({
  id: "job",
  key: "job",
  directory: "/",
  argv,
  host: "here",
  launchedAt: 0
})

const root = mkdtempSync(join(tmpdir(), "espalier-evidence-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe("scripted evidence does what every Evidence does", () => {
  const live = Scripted.layer({ rules: EvidenceSuite.rules, output: (job) => EvidenceSuite.jobOf(job.argv) })
  const ended = (job: EvidenceSuite.SuiteJob) =>
    Effect.succeed({ handle: handle(EvidenceSuite.argvOf("job", job)), status: exited(job.exitCode) })
  for (const { name, run } of EvidenceSuite.cases({ ended })) it.effect(name, () => Effect.provide(run, live), 60_000)
})

describe("rules over simulated jobs do what every Evidence does", () => {
  let jobs = 0
  const live = Rules.layer({ rules: EvidenceSuite.rules }).pipe(
    Layer.provideMerge(Simulated.layer((request) => EvidenceSuite.jobOf(request.argv)))
  )
  const ended = (job: EvidenceSuite.SuiteJob) =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const request = { key: `job ${jobs++}`, argv: EvidenceSuite.argvOf("job", job), directory: "/", environment: {} }
      const handle = yield* execution.launch(request)
      const directory = mkdtempSync(join(root, "job-"))
      const [workingDirectory, jobDirectory] = [join(directory, "tree"), join(directory, "job")]
      for (const one of [workingDirectory, jobDirectory]) mkdirSync(one)
      EvidenceSuite.placeFiles(workingDirectory, job.files)
      EvidenceSuite.placeFiles(jobDirectory, job.jobFiles)
      const status = yield* execution.await(handle.id)
      return { handle: { ...handle, directory: jobDirectory }, status, workingDirectory }
    })
  for (const { name, run } of EvidenceSuite.cases({ ended })) it.effect(name, () => Effect.provide(run, live), 60_000)
})

describe("evidence", () => {
  const collect = (output: Scripted.ScriptedOutput, status: TerminalStatus, limits = {}) =>
    Effect.flatMap(Evidence, (evidence) => evidence.collect(handle(["job"]), status)).pipe(
      Effect.provide(Scripted.layer({
        rules: [
          { _tag: "KeyValue", name: "speed", required: false },
          { _tag: "JsonLines", name: "loss", stream: "metrics", required: false }
        ],
        output: () => output,
        ...limits
      }))
    )

  it.effect("reads what the job wrote to its metrics file", () =>
    Effect.gen(function*() {
      const record = yield* collect({ metrics: "{\"loss\":3}\n{\"loss\":2}\n" }, exited(0))
      assert.deepStrictEqual(record.metrics, { loss: [2] })
      assert.strictEqual(record.durationMillis, 2500)
    }))

  it.effect("passes on what the job used", () =>
    Effect.gen(function*() {
      const gpu = {
        index: 0,
        name: "A",
        samples: 2,
        meanUtilizationPercent: 50,
        peakUtilizationPercent: 60,
        peakMemoryBytes: null,
        totalMemoryBytes: null,
        meanPowerWatts: null
      }
      const used = {
        cpuSecondsUser: 1,
        cpuSecondsSystem: 2,
        peakMemoryBytes: 3,
        samples: 4,
        io: { readBytes: 5, writeBytes: 6, storageReadBytes: 7, storageWriteBytes: 8 },
        gpus: [gpu]
      }
      const { system } = yield* collect({ usage: { ...used, series: [] } }, exited(0))
      assert.deepStrictEqual(system, used)
      assert.ok(!("system" in (yield* collect({}, exited(0)))))
    }))

  it.effect("searches only the beginning of a line that is too long, and takes no half number from it", () =>
    Effect.gen(function*() {
      const record = yield* collect(
        { stdout: `speed=5 ${"x".repeat(82)} speed=123456789\n`, metrics: `{"loss":1,"pad":"${"x".repeat(99)}"}` },
        exited(0),
        {
          lineBytes: 100
        }
      )
      assert.deepStrictEqual(record.metrics, { speed: [5] })
      assert.deepStrictEqual(record.notes, [
        { metric: "speed", message: "a line was too long, and only its beginning was searched", count: 1 },
        { metric: "loss", message: "a JSON line was too long to be read", count: 1 }
      ])
    }))

  it.effect("of a lost or a cancelled job has what there is, and no duration that nobody knows", () =>
    Effect.gen(function*() {
      const lost = yield* collect({ stdout: "speed=4\n" }, { _tag: "Lost", reason: "the node went down" })
      assert.deepStrictEqual(lost.metrics, { speed: [4] })
      assert.strictEqual(lost.errorSummary, "lost: the node went down")
      assert.strictEqual(lost.durationMillis, null)
      const seen = yield* collect({}, { _tag: "Lost", reason: "preempted", startedAt: 10, endedAt: 30 })
      assert.strictEqual(seen.durationMillis, 20)
      const cancelled = yield* collect({}, { _tag: "Cancelled", startedAt: 10, endedAt: 30 })
      assert.strictEqual(cancelled.errorSummary, "cancelled")
      assert.strictEqual(cancelled.durationMillis, 20)
    }))
})

describe("a metrics file that is none", () => {
  it.effect("is told in a note of each metric that was looked for in it", () =>
    Effect.gen(function*() {
      const live = Rules.layer({
        rules: [
          { _tag: "JsonLines", name: "loss", stream: "metrics" },
          { _tag: "KeyValue", name: "speed", required: false }
        ]
      }).pipe(Layer.provideMerge(Simulated.layer(() => ({ stdout: "speed=1\n" }))))
      const directory = mkdtempSync(join(root, "job-"))
      mkdirSync(join(directory, "metrics.jsonl"))
      const program = Effect.gen(function*() {
        const execution = yield* Execution
        const job = yield* execution.launch({ key: "a", argv: ["job"], directory: "/", environment: {} })
        return yield* (yield* Evidence).collect({ ...job, directory }, yield* execution.await(job.id))
      })
      const error = yield* Effect.flip(Effect.provide(program, live))
      assert.ok(error._tag === "MetricsMissing", String(error))
      const message = "metrics.jsonl was not read, because it is no plain file but a directory"
      assert.deepStrictEqual(error.evidence.notes, [{ metric: "loss", message, count: 1 }])
      assert.ok(error.message.includes(message), error.message)
    }))
})

describe("a record", () => {
  it("that was made before samples, bytes and GPUs were collected can still be read", () => {
    const old = {
      metrics: { speed: [4] },
      missing: [],
      notes: [{ metric: "speed", message: "a value was refused", count: 2 }],
      system: { cpuSecondsUser: 1, cpuSecondsSystem: 2, peakMemoryBytes: null, samples: 4 },
      exitCode: 0,
      signal: null,
      timedOut: false,
      errorSummary: null,
      logTail: "[stdout]\n",
      durationMillis: 5
    }
    assert.deepStrictEqual(Schema.decodeUnknownSync(EvidenceRecord)(old), old)
  })
})

describe("rules that cannot be used fail the layer", () => {
  const attempt = (rules: Scripted.Options["rules"]) =>
    Effect.flip(Effect.provide(Evidence, Scripted.layer({ rules, output: () => ({}) })))

  it.effect("a pattern that does not compile, or has no group", () =>
    Effect.gen(function*() {
      assert.match(
        (yield* attempt([{ _tag: "Regex", name: "a", pattern: "(" }])).message,
        /metric a .*regular expression/
      )
      const error = yield* attempt([{ _tag: "Regex", name: "a", pattern: "a \\d+" }])
      assert.match(error.message, /parentheses/)
      assert.deepStrictEqual([error.rule, error.field], ["a", "pattern"])
      assert.match((yield* attempt([{ _tag: "Regex", name: "a", pattern: "a (?:\\d+)" }])).message, /parentheses/)
    }))

  it.effect("a limit that bounds nothing", () =>
    Effect.gen(function*() {
      for (const lineBytes of [-1, 0, NaN, Infinity, 1.5]) {
        const made = Scripted.layer({ rules: [], lineBytes, output: () => ({}) })
        const error = yield* Effect.flip(Effect.provide(Evidence, made))
        assert.deepStrictEqual([error._tag, error.rule], ["InvalidMetricRule", "lineBytes"])
        assert.ok(error.message.includes(`lineBytes of the evidence is ${lineBytes}:`), error.message)
      }
      yield* Effect.provide(Evidence, Scripted.layer({ rules: [], tailBytes: 0, lineBytes: 1, output: () => ({}) }))
    }))

  it.effect("two rules of one metric", () =>
    Effect.gen(function*() {
      const error = yield* attempt([{ _tag: "KeyValue", name: "a" }, { _tag: "JsonLines", name: "a" }])
      assert.strictEqual(error._tag, "InvalidMetricRule")
      assert.match(error.message, /twice/)
    }))
})
