import { afterAll, describe, it } from "@effect/vitest"
import { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import { Effect, Option } from "effect"
import assert from "node:assert"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { GpuSampler } from "../../src/internal/gpuSampler.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-system-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const live = LocalProcess.layer({ directory: join(root, "jobs") })

/** A program in place of the real `nvidia-smi`, in a directory of its own. */
const fake = (name: string, source: string): { readonly directory: string; readonly program: string } => {
  const directory = mkdtempSync(join(root, `${name}-`))
  const program = join(directory, "nvidia-smi")
  writeFileSync(program, `#!/bin/sh\n${source}\n`)
  chmodSync(program, 0o755)
  return { directory, program }
}

const usageOf = (key: string, source: string) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    const request = { key, argv: [process.execPath, "-e", source] as const, directory: root, environment: {} }
    const job = yield* execution.launch(request)
    yield* execution.await(job.id)
    return Option.getOrThrow(yield* execution.usage(job.id))
  }).pipe(Effect.provide(live))

const withPath = <A, E>(directory: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = process.env["PATH"]
      process.env["PATH"] = `${directory}${delimiter}${before}`
      return before
    }),
    () => effect,
    (before) => Effect.sync(() => (process.env["PATH"] = before))
  )

describe("what a job reads and writes", () => {
  it.live("is counted for the whole tree, also of a child that has ended, however short the job was", () =>
    Effect.gen(function*() {
      const child = "require('node:fs').writeFileSync('child.bin', Buffer.alloc(3e6))"
      const { io } = yield* usageOf(
        "io",
        `const fs = require("node:fs")
         fs.writeFileSync("own.bin", Buffer.alloc(5e6))
         fs.readFileSync("own.bin")
         require("node:child_process").execFileSync(process.execPath, ["-e", ${JSON.stringify(child)}])`
      )
      assert.ok(io !== undefined && io.writeBytes >= 8e6 && io.writeBytes < 9e6, JSON.stringify(io))
      assert.ok(io.readBytes >= 5e6, JSON.stringify(io))
    }))

  it.live("does not hold what its wrapper reads and writes", () =>
    Effect.gen(function*() {
      const { io } = yield* usageOf("nothing", "setTimeout(() => {}, 1500)")
      assert.ok(io !== undefined && io.writeBytes < 10_000 && io.readBytes < 3e6, JSON.stringify(io))
    }))

  it.live("grows over the job's life", () =>
    Effect.gen(function*() {
      const { series } = yield* usageOf(
        "series",
        "const fs = require('node:fs'); setInterval(() => fs.writeFileSync('s.bin', Buffer.alloc(1e6)), 100).unref(); setTimeout(() => {}, 1200)"
      )
      const written = series.map((one) => one.writeBytes ?? Number.NaN)
      assert.ok(written.length > 2 && written.every((bytes, i) => i === 0 || bytes >= written[i - 1]!), String(written))
      assert.ok(written.at(-1)! > 1e6, String(written))
    }))
})

describe("the GPUs of the machine", () => {
  it.live("are asked about while a job runs, with an argument array", () =>
    Effect.gen(function*() {
      const { directory } = fake(
        "two",
        `echo "$@" > ${root}/asked; echo "0, Fake, 40, 512, 1024, 70.5"; echo "1, Fake, [N/A], 1, 1024, [N/A]"`
      )
      const { gpus } = yield* withPath(directory, usageOf("gpu", "setTimeout(() => {}, 1500)"))
      assert.strictEqual(gpus?.length, 2, JSON.stringify(gpus))
      assert.ok(gpus[0]!.samples >= 1)
      assert.deepStrictEqual({ ...gpus[0], samples: 0 }, {
        index: 0,
        name: "Fake",
        samples: 0,
        meanUtilizationPercent: 40,
        peakUtilizationPercent: 40,
        peakMemoryBytes: 512 * 2 ** 20,
        totalMemoryBytes: 1024 * 2 ** 20,
        meanPowerWatts: 70.5
      })
      assert.match(readFileSync(join(root, "asked"), "utf8"), /^--query-gpu=\S+ --format=csv,noheader,nounits\n$/)
    }))

  it.live("are no metric of a machine without them, or where the program prints nonsense", () =>
    Effect.gen(function*() {
      const { directory } = fake("nonsense", "head -c 1000000 /dev/urandom")
      const usage = yield* withPath(directory, usageOf("nonsense", "setTimeout(() => {}, 1200)"))
      assert.ok(!("gpus" in usage))
    }))

  it.live("cost the job no CPU time: what the program used is not the job's", () =>
    Effect.gen(function*() {
      const { directory } = fake(
        "busy",
        "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done; echo '0, Fake, 1, 1, 1, 1'"
      )
      const { cpuSecondsSystem, cpuSecondsUser, gpus } = yield* withPath(
        directory,
        usageOf("busy", "setTimeout(() => {}, 4000)")
      )
      assert.ok(gpus !== undefined, "the program had not ended")
      assert.ok(cpuSecondsUser + cpuSecondsSystem < 0.35, `${cpuSecondsUser} + ${cpuSecondsSystem}`)
    }))

  it("are asked about one at a time, and no more after three failures", async () => {
    for (const [name, source] of [["hang", "exec sleep 600"], ["fails", "exit 9"]] as const) {
      const { program } = fake(name, source)
      let ended = 0
      let tell = (): void => undefined
      const sampler = new GpuSampler(program, () => {
        ended++
        tell()
      }, 100)
      for (let now = 0; sampler.isActive; now += 60_000) {
        const done = new Promise<void>((resolve) => {
          tell = resolve
        })
        // Asked at the first or the second of these, never twice.
        for (const later of [0, 1000, 2000]) sampler.look(now + later)
        await done
      }
      assert.strictEqual(ended, 3, name)
      assert.strictEqual(sampler.usages.all(), undefined, name)
    }
  })
})
