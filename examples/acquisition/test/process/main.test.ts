import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const here = import.meta.dirname
const main = join(here, "../../main.ts")
const killed = join(here, "killed.ts")

describe("the acquisition", () => {
  let directory: string
  let child: ChildProcess | undefined
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-acquisition-"))
  })
  afterEach(() => {
    child?.kill("SIGKILL")
    child = undefined
    rmSync(directory, { recursive: true, force: true })
  })

  const argv = (file: string, more: ReadonlyArray<string>) => ["--conditions=espalier-source", file, directory, ...more]

  const run = (...more: ReadonlyArray<string>) =>
    spawnSync(process.execPath, argv(main, more), { encoding: "utf8", timeout: 50_000 })

  /** The program, until it has printed a line that says so; then something is done to it. */
  const begun = (isReached: (line: string) => boolean, ...more: ReadonlyArray<string>) => {
    const started = spawn(process.execPath, argv(main, more), { stdio: ["ignore", "pipe", "pipe"] })
    child = started
    let output = ""
    const reached = new Promise<void>((resolve, reject) => {
      started.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text
        if (output.split("\n").some(isReached)) resolve()
      })
      started.on("exit", () => reject(new Error(`it ended too early: ${output}`)))
    })
    const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) =>
      started.on("close", (code, signal) => resolve({ code, signal }))
    )
    return { started, reached, ended, output: () => output }
  }

  const table = () =>
    readFileSync(join(directory, "events.tsv"), "utf8").trimEnd().split("\n").slice(1).map((line) => {
      const [id = "", planned, startedAt, lag, state = ""] = line.split("\t")
      return { id, planned: Number(planned), startedAt: Number(startedAt), lag: Number(lag), state }
    })

  const hasSome = (line: string) => {
    const match = /running: (\d+) of 80/.exec(line)
    return match !== null && Number(match[1]) >= 4
  }

  it("that is killed in the middle goes on, by the clock of its first start, and can be extended when it is over", async () => {
    // The plan is shorter than the real one, so that the test is.
    const first = begun(hasSome, "--period", "250")
    await first.reached
    first.started.kill("SIGKILL")
    expect(await first.ended).toEqual({ code: null, signal: "SIGKILL" })

    const second = run("--period", "250")
    expect([second.stderr, second.status]).toEqual(["", 0])
    expect(second.stdout).toContain("completed: 80 of 80 events")
    expect(second.stdout).toContain("The plan is completed.")
    const events = table()
    expect(events).toHaveLength(80)
    // Only a pulse that was under way may be in doubt; everything else is done, once.
    const doubtful = events.filter(({ state }) => state !== "done")
    expect(doubtful.length).toBeLessThanOrEqual(1)
    expect(doubtful.every(({ id, state }) => id.startsWith("stimulate") && state === "failed")).toBe(true)
    expect(events.map(({ planned }) => planned)).toEqual(
      Array.from({ length: 32 }, (_, round) => Array.from({ length: round % 4 === 0 ? 4 : 2 }, () => round / 4)).flat()
    )
    expect(events.every(({ lag, planned, startedAt }) => Math.abs(startedAt - planned - lag) < 0.002 && lag >= 0)).toBe(
      true
    )

    const third = run("--period", "250", "--more", "2")
    expect([third.stderr, third.status]).toEqual(["", 0])
    expect(third.stdout).toContain("6 events more")
    expect(table().slice(80).map(({ id, state }) => [id, state])).toEqual([
      ["image/A/32", "done"],
      ["image/B/32", "done"],
      ["stimulate/A/32", "done"],
      ["stimulate/B/32", "done"],
      ["image/A/33", "done"],
      ["image/B/33", "done"]
    ])
  })

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`that gets ${signal} suspends: nothing is settled by it, the exit code is 130, and the table is written`, async () => {
      const first = begun(hasSome)
      await first.reached
      first.started.kill(signal)
      expect(await first.ended).toEqual({ code: 130, signal: null })
      expect(first.output()).toContain("The plan was suspended. The same command goes on with it.")
      const states = new Set(table().map(({ state }) => state))
      expect(states.has("done") && states.has("to come")).toBe(true)
      expect(states.has("failed") || states.has("cancelled")).toBe(false)
    })
  }

  it("that nobody reads any more goes on", async () => {
    const first = begun(hasSome, "--period", "100")
    await first.reached
    first.started.stdout.destroy()
    expect((await first.ended).code).toBe(0)
    expect(table().every(({ state }) => state === "done")).toBe(true)
  })

  it("says in one line that another process has the plan open", async () => {
    const first = begun(hasSome)
    await first.reached
    const second = run()
    expect(second.status).toBe(1)
    expect(second.stderr).toMatch(new RegExp(`^.*plan.*${first.started.pid}.*\\n$`))
  })

  it("says in one line what is wrong with an argument", () => {
    const { status, stderr } = run("--period", "soon")
    expect([status, stderr]).toEqual([1, "--period is \"soon\"; give a whole number above 0\n"])
  })

  it("whose process dies between the decision to pulse and its record does not pulse again, and says so", () => {
    const first = spawnSync(process.execPath, argv(killed, []), {
      env: { ...process.env, KILL_AT: "step.recorded arm" },
      timeout: 50_000
    })
    expect(first.signal).toBe("SIGKILL")
    const second = run("--period", "600")
    expect(second.status).toBe(0)
    expect(table().filter(({ id }) => id.startsWith("stimulate")).map(({ id, state }) => [id, state])).toEqual([
      ["stimulate/A/00", "failed"],
      ["stimulate/B/00", "done"]
    ])
  })

  it("whose process dies after a pulse was recorded does not pulse again, and is sure of it", () => {
    const first = spawnSync(process.execPath, argv(killed, []), {
      env: { ...process.env, KILL_AT: "step.recorded pulse" },
      timeout: 50_000
    })
    expect(first.signal).toBe("SIGKILL")
    expect(run("--period", "600").status).toBe(0)
    expect(table().filter(({ state }) => state !== "done")).toEqual([])
  })
})
