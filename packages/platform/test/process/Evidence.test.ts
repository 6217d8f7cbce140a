import { afterAll, describe, it } from "@effect/vitest"
import { Evidence } from "@espalier/platform/Evidence"
import * as Rules from "@espalier/platform/evidence/Rules"
import { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as EvidenceSuite from "@espalier/platform/testing/EvidenceSuite"
import { Effect, Layer } from "effect"
import assert from "node:assert"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = mkdtempSync(join(tmpdir(), "espalier-evidence-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const jobsLayer = LocalProcess.layer({ directory: join(root, "jobs") })
const suite = Rules.layer({ rules: EvidenceSuite.rules }).pipe(Layer.provideMerge(jobsLayer))
const live = Rules.layer({ rules: [{ _tag: "KeyValue", name: "throughput", required: false }] }).pipe(
  Layer.provideMerge(jobsLayer)
)
let jobs = 0
const run = (...argv: readonly [string, ...Array<string>]) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    const handle = yield* execution.launch({ key: `job ${jobs++}`, argv, directory: root, environment: {} })
    return { handle, status: yield* execution.await(handle.id) }
  })
const node = (source: string, ...argv: ReadonlyArray<string>) => run(process.execPath, "-e", source, ...argv)

describe("rules over the logs of local processes do what every Evidence does", () => {
  const ended = (job: EvidenceSuite.SuiteJob) =>
    Effect.gen(function*() {
      const execution = yield* Execution
      const directory = mkdtempSync(join(root, "tree-"))
      const argv = [process.execPath, "-e", EvidenceSuite.program, JSON.stringify(job)] as const
      const handle = yield* execution.launch({ key: `suite ${jobs++}`, argv, directory, environment: {} })
      return { handle, status: yield* execution.await(handle.id), workingDirectory: directory }
    })
  for (const { name, run } of EvidenceSuite.cases({ ended })) it.live(name, () => Effect.provide(run, suite))
})

describe("evidence of real processes", () => {
  it.live("holds what the process tree used", () =>
    Effect.gen(function*() {
      const { handle, status } = yield* node(
        "console.log('throughput=1'); const t = Date.now() + 200; while (Date.now() < t) {}"
      )
      const { system } = yield* (yield* Evidence).collect(handle, status)
      assert.ok(system !== undefined && system.cpuSecondsUser + system.cpuSecondsSystem > 0, JSON.stringify(system))
      assert.ok(system.peakMemoryBytes !== null && system.peakMemoryBytes > 1e6)
    }).pipe(Effect.provide(live)))

  it.live("finds the error that ended a real Node program", () =>
    Effect.gen(function*() {
      const evidence = yield* Evidence
      const crashes: Array<[string, RegExp]> = [
        ["console.error('Error: earlier'); throw new TypeError('boom')", /^TypeError: boom/],
        ["Promise.reject(new Error('outer', { cause: new Error('inner') }))", /^Error: outer, caused by Error: inner/],
        ["throw 'text'", /^text$/],
        ["Promise.reject(7)", /UnhandledPromiseRejection.*7/],
        ["require('node:fs').readFileSync('/no/such/file')", /^Error: ENOENT: no such file or directory/],
        ["let = 3 = 4", /^SyntaxError/],
        ["console.error('bad input: 3'); process.exit(4)", /^bad input: 3$/]
      ]
      for (const [source, expected] of crashes) {
        const { handle, status } = yield* node(source)
        assert.match((yield* evidence.collect(handle, status)).errorSummary ?? "", expected)
      }
    }).pipe(Effect.provide(live)))

  it.live("passes over pipes, devices and directories that a job leaves where a rule looks for files", () =>
    Effect.gen(function*() {
      const directory = mkdtempSync(join(root, "tree-"))
      execFileSync("mkfifo", [join(directory, "a.txt")])
      symlinkSync("/dev/zero", join(directory, "b.txt"))
      mkdirSync(join(directory, "c.txt"))
      writeFileSync(join(directory, "d.txt"), "x=4\n")
      const { handle, status } = yield* run("true")
      const record = yield* (yield* Evidence).collect(handle, status, { workingDirectory: directory })
      assert.deepStrictEqual(record.metrics, { x: [4] })
      assert.deepStrictEqual(record.notes.map((note) => note.message), [
        "a link that leads out of the directory was refused: b.txt"
      ])
    }).pipe(
      Effect.provide(
        Rules.layer({ rules: [{ _tag: "KeyValue", name: "x", files: "*.txt" }] }).pipe(Layer.provideMerge(jobsLayer))
      )
    ))

  it.live("says what to give when it reads files of a tree that it was not told of", () =>
    Effect.gen(function*() {
      const { handle, status } = yield* run("true")
      const error = yield* Effect.flip((yield* Evidence).collect(handle, status))
      assert.strictEqual(error._tag, "EvidenceError")
      assert.match(error.message, /metric x looks for a\.txt .* give collect its workingDirectory/)
    }).pipe(
      Effect.provide(
        Rules.layer({ rules: [{ _tag: "KeyValue", name: "x", files: "a.txt" }] }).pipe(Layer.provideMerge(jobsLayer))
      )
    ))
})
