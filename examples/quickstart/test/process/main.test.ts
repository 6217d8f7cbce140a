import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const here = import.meta.dirname
const main = join(here, "../../main.ts")
const killed = join(here, "killed.ts")

describe("the quickstart", () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-quickstart-"))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const run = (file: string, names: ReadonlyArray<string>, killAt = "") =>
    spawnSync(process.execPath, ["--conditions=espalier-source", file, directory, ...names], {
      encoding: "utf8",
      env: { ...process.env, KILL_AT: killAt }
    })
  const outbox = () =>
    existsSync(join(directory, "outbox"))
      ? readdirSync(join(directory, "outbox")).map((name) => readFileSync(join(directory, "outbox", name), "utf8"))
      : []

  it("welcomes everybody, and nobody again", () => {
    const first = run(main, ["Ada", "Bob"])
    expect(first.stderr).toBe("")
    expect(first.stdout).toBe("Welcome, Ada!\nWelcome, Bob!\n")
    rmSync(join(directory, "outbox"), { recursive: true })
    const second = run(main, ["Bob", "Cy"])
    expect(second.stdout).toBe("Welcome, Bob!\nWelcome, Cy!\n")
    expect(outbox()).toEqual(["Welcome, Cy!\n"])
  })

  for (const [point, delivered] of [["step.recorded write", 0], ["step.done deliver", 1]] as const) {
    it(`that is killed at "${point}" goes on from there, and delivers once`, () => {
      const first = run(killed, ["Ada"], point)
      expect(first.signal).toBe("SIGKILL")
      expect(outbox()).toHaveLength(delivered)
      const second = run(main, ["Ada"])
      expect(second.stderr).toBe("")
      expect(second.stdout).toBe("Welcome, Ada!\n")
      expect(outbox()).toEqual(["Welcome, Ada!\n"])
    })
  }
})
