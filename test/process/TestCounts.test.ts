import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { root } from "../../scripts/sources.ts"

describe("the counts of .ci/run", () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-counts-"))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const write = (
    name: string,
    files: ReadonlyArray<{ status: string; tests: ReadonlyArray<string> }>,
    exit?: number
  ) => {
    const file = join(directory, name)
    const testResults = files.map(({ status, tests }, index) => ({
      name: `${index}.test.ts`,
      status,
      message: "could not load\nat line 1",
      assertionResults: tests.map((result) => ({ status: result }))
    }))
    writeFileSync(file, JSON.stringify({ testResults }))
    if (exit !== undefined) writeFileSync(`${file}.exit`, `${exit}\n`)
    return file
  }
  const count = (...args: ReadonlyArray<string>) => {
    try {
      return {
        output: execFileSync(process.execPath, [join(root, "scripts/test-counts.mjs"), ...args]).toString(),
        exit: 0
      }
    } catch (error) {
      const { status, stdout } = error as { status: number; stdout: Buffer }
      return { output: stdout.toString(), exit: status }
    }
  }

  it("are summed over all reports, in one line of a fixed form", () => {
    const one = write("one.json", [{ status: "passed", tests: ["passed", "passed", "skipped"] }], 0)
    const two = write("two.json", [{ status: "failed", tests: ["passed", "failed"] }], 1)
    expect(count("--total", one, two)).toEqual({ output: "3 passed, 1 failed\n", exit: 1 })
    expect(count("--total", one)).toEqual({ output: "2 passed, 0 failed\n", exit: 0 })
  })

  it("say how many were skipped", () => {
    const file = write("skipped.json", [{ status: "passed", tests: ["passed", "skipped", "todo"] }])
    expect(count(file)).toEqual({ output: "1 passed, 0 failed, 2 skipped\n", exit: 0 })
  })

  it("take a file that did not load for a failure", () => {
    const file = write("load.json", [{ status: "failed", tests: [] }, { status: "passed", tests: ["passed"] }], 1)
    expect(count(file)).toEqual({
      output: "0.test.ts failed outside its tests: could not load\n1 passed, 1 failed\n",
      exit: 1
    })
  })

  it("take a report that is missing or cut off for a failure", () => {
    expect(count("--total", join(directory, "none.json"))).toEqual({ output: "0 passed, 1 failed\n", exit: 1 })
    writeFileSync(join(directory, "cut.json"), "{\"testResults\":[")
    expect(count("--total", join(directory, "cut.json"))).toEqual({ output: "0 passed, 1 failed\n", exit: 1 })
  })

  it("take a run that failed though every test passed for a failure", () => {
    const file = write("late.json", [{ status: "passed", tests: ["passed"] }], 1)
    expect(count("--total", file)).toEqual({ output: "1 passed, 1 failed\n", exit: 1 })
  })
})
