import { existsSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { commandLine, figures, follow, make, until } from "../support/workshop.ts"
import { terminal } from "../support/terminal.ts"

// From util-linux: runs a command in a pseudo-terminal. Where it is not there, the tests of the screen say the same.
const script = "/usr/bin/script"

const quoted = (words: ReadonlyArray<string>): string =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")

/** Starts the command in a terminal of 100 columns and 30 rows; what it is typed comes by `type`. */
const inTerminal = (...args: ReadonlyArray<string>) => {
  const started = follow(
    [script, "-qec", `stty cols 100 rows 30; ${quoted(commandLine(...args))}`, "/dev/null"],
    "pipe"
  )
  return { ...started, type: (text: string) => void started.child.stdin!.write(text) }
}

/** What is on the screen after some output. */
const screenAfter = (output: string): ReadonlyArray<string> => {
  const shown = terminal(100, 30)
  shown.write(output)
  return shown.lines()
}

describe.runIf(existsSync(script))("in a terminal", () => {
  it("a live picture shows what runs, what waits and why, the best and the time that is left; then it is gone", async () => {
    const { workdir } = make({ jobMillis: 500, limits: "experiments = 4" })
    const { code, stdout } = await inTerminal("run", workdir).ended
    expect(code, stdout).toBe(0)
    expect(stdout).toMatch(/baseline +\d.* job 1 runs/)
    expect(stdout).toMatch(/e00\d +\d.* waits for machine: needs 1, 0 free/)
    expect(stdout).toMatch(/best {6}101 by the baseline/)
    expect(stdout).toMatch(/bench {2}running {2}\d.*up to .* left at this pace/)
    const screen = screenAfter(stdout).join("\n")
    expect(screen).toMatch(/^run started\nbaseline: job started\nbaseline: 101\n/)
    expect(screen).toMatch(/\nrun completed\nBaseline +101\n/)
    expect(screen).not.toMatch(/plateau|slots/)
  })

  it("Ctrl-C on its keyboard leaves one line in place of the picture", async () => {
    const { workdir } = make({ jobMillis: 500 })
    const engine = inTerminal("run", workdir)
    await until("the picture is there", () => /job 1 runs/.test(engine.stdout()))
    const pressedAt = Date.now()
    engine.type("\u0003")
    const { code, stdout } = await engine.ended
    expect(code).toBe(130)
    expect(Date.now() - pressedAt).toBeLessThan(5_000)
    expect(screenAfter(stdout).filter((line) => line !== "")).toEqual([
      "run started",
      "baseline: job started",
      "Suspending: jobs that run go on, and nothing is lost. The same command goes on from here."
    ])
    expect((await figures(workdir)).state).toBe("suspended")
  })
})
