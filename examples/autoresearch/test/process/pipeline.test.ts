import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ensureDataset, type Specification } from "../../dataset.ts"
import { type Configuration, materialise, readSpace, type Space } from "../../space.ts"

const example = join(import.meta.dirname, "../..")
const TINY: Specification = { seed: 7, records: 256, recordsPerShard: 128, width: 40, height: 36 }

let directory: string
let space: Space
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "espalier-pipeline-"))
  space = await readSpace(join(example, "espalier.toml"))
  await ensureDataset(join(directory, "data"), TINY)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** Runs the pipeline with these changes, for as short a time as says anything. */
const run = async (changes: Partial<Configuration> = {}, args: ReadonlyArray<string> = [], data = "data") => {
  const tree = await mkdtemp(join(directory, "tree-"))
  const baseline = Object.fromEntries(space.parameters.map(({ baseline, name }) => [name, baseline]))
  await materialise(join(example, "pipeline"), tree, space, {
    parameters: { ...baseline, ...changes.parameters },
    edits: changes.edits ?? []
  })
  const child = spawn(process.execPath, ["src/main.ts", "--warmup", "0.02", "--seconds", "0.05", ...args], {
    cwd: tree,
    env: { ...process.env, DATASET_DIR: join(directory, data) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
  const code = await new Promise<number | null>((settle, reject) => child.on("close", settle).on("error", reject))
  const metrics = Object.fromEntries(stdout.trim().split("\n").map((line) => line.split("=", 2)))
  return { code, stderr, metrics: metrics as Record<string, string> }
}

describe("the pipeline", () => {
  it("prints every declared metric, a checksum and the hash of what ran", async () => {
    const { code, metrics, stderr } = await run()
    expect(stderr).toBe("")
    expect(code).toBe(0)
    for (
      const name of ["throughput", "step_time_ms", "time_to_first_batch_ms", "peak_memory_mib", "samples", "steps"]
    ) {
      expect(Number(metrics[name]), name).toBeGreaterThan(0)
    }
    expect(Number(metrics["data_ready_percent"])).toBeGreaterThanOrEqual(0)
    expect(Number(metrics["loss"])).toBeGreaterThan(0)
    expect(metrics["verified_samples"]).toBe("256")
    expect(metrics["code_hash"]).toMatch(/^[0-9a-f]{64}$/)
  })

  it("computes the same samples on workers, whatever the way of handing them over", async () => {
    const { metrics: { checksum, code_hash } } = await run()
    for (const handOff of ["clone", "transfer", "shared"]) {
      const { code, metrics } = await run({
        parameters: { workers: 2, handOff, prefetchBatches: 4, recordsPerRead: 16 }
      })
      expect(code).toBe(0)
      expect(metrics["checksum"]).toBe(checksum)
      expect(metrics["code_hash"]).not.toBe(code_hash)
    }
  })

  it("finds every batch ready when the batches are cached", async () => {
    const { code, metrics } = await run({}, ["--headspace"])
    expect(code).toBe(0)
    expect(metrics["data_ready_percent"]).toBe("100")
    expect(metrics["verified_samples"]).toBe("256")
  })

  it("ends at once, with the reason in one line, when a parameter is wrong", async () => {
    const { code, metrics, stderr } = await run({ parameters: { workers: 99 } })
    expect(code).toBe(1)
    expect(stderr).toBe("error: parameter workers is 99: it must be a whole number from 0 to 8\n")
    expect(metrics).not.toHaveProperty("throughput")
  })

  it("says what is missing when there is no dataset", async () => {
    const { code, stderr } = await run({}, [], "nowhere")
    expect(code).toBe(1)
    expect(stderr).toBe(`error: there is no dataset in ${join(directory, "nowhere")}: make it first\n`)
  })
})

describe("edits that go wrong", () => {
  it("crash when the edit does not fit the data", async () => {
    const { code, stderr } = await run({ edits: ["inflate-raw"] })
    expect(code).toBe(1)
    expect(stderr).toMatch(/Error: (invalid|incorrect)/)
  })

  it("crash when a tensor is used again after it was transferred", async () => {
    const { code, stderr } = await run({ parameters: { workers: 1, handOff: "transfer" }, edits: ["reuse-tensor"] })
    expect(code).toBe(1)
    expect(stderr).toContain("detached ArrayBuffer")
  })

  it("are found out when batches overwrite one another, and are right when each is copied", async () => {
    const inPlace = await run({ parameters: { workers: 0, prefetchBatches: 4 }, edits: ["reuse-tensor"] })
    expect(inPlace.code).toBe(1)
    expect(inPlace.stderr).toContain("wrong sample")
    const copied = await run({ parameters: { workers: 1, handOff: "clone" }, edits: ["reuse-tensor"] })
    expect(copied.code).toBe(0)
  })
})
