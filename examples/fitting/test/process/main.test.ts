/** The program, in processes of its own: as it is started, stopped and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const main = join(import.meta.dirname, "../../main.ts")
const small = ["--points", "3000", "--starts", "4", "--chains", "2", "--warmup", "200", "--draws", "400"]

interface Ended {
  readonly code: number | string | null
  readonly output: string
  readonly errors: string
}

describe("the program", () => {
  let directory: string
  let programs: Array<ChildProcess>
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-fitting-"))
    programs = []
  })
  afterEach(() => {
    for (const program of programs) if (program.exitCode === null) program.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })

  /** Starts it; `when` something is in its output, `act` is done to it, once. */
  const run = (
    into: string,
    options: ReadonlyArray<string>,
    when?: RegExp,
    act?: (program: ChildProcess) => void
  ): Promise<Ended> => {
    const program = spawn(
      process.execPath,
      ["--conditions=espalier-source", main, join(directory, into), ...options],
      { stdio: ["pipe", "pipe", "pipe"], detached: true }
    )
    programs.push(program)
    let output = ""
    let errors = ""
    let isActedOn = false
    program.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (isActedOn || when?.test(output) !== true) return
      isActedOn = true
      act?.(program)
    })
    program.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
    return new Promise((resolve) => {
      program.on("close", (code, signal) => resolve({ code: signal ?? code, output, errors }))
    })
  }

  const tableOf = ({ output }: Ended): string => output.slice(output.indexOf("  mean ")).trim()

  it("finds the same, whether it is left alone, stopped by Ctrl-C or killed on its way", async () => {
    const alone = await run("alone", small)
    expect(alone.errors).toBe("")
    expect(alone.code).toBe(0)
    expect(tableOf(alone)).toMatch(/slowRate +0\.\d{4}/)

    // To the whole group, as a terminal does it: the workers are not in it.
    const stopped = await run("disturbed", small, /sample\/1 warmup/, ({ pid }) => process.kill(-pid!, "SIGINT"))
    expect(stopped.code).toBe(130)
    expect(stopped.output).toContain("The same command goes on with it.")
    const killed = await run("disturbed", small, /sample\/\d sampling/, ({ pid }) => process.kill(-pid!, "SIGKILL"))
    expect(killed.code).toBe("SIGKILL")
    expect(killed.output).not.toMatch(/fit\/1|mean/)
    const again = await run("disturbed", small)
    expect(again.errors).toBe("")
    expect(again.output).not.toMatch(/fit\/1/)
    expect(tableOf(again)).toBe(tableOf(alone))

    // What is found stays found.
    const later = await run("disturbed", small)
    expect(later.output).not.toMatch(/sample/)
    expect(tableOf(later)).toBe(tableOf(alone))
  }, 120_000)

  it.skipIf(process.platform !== "linux")("finds the same when its workers are killed in the middle", async () => {
    const alone = await run("alone", small)
    const killed: Array<number> = []
    const robbed = await run("robbed", small, /sample\/\d sampling/, ({ pid }) => {
      for (const worker of readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(/ +/)) {
        killed.push(Number(worker))
        process.kill(Number(worker), "SIGKILL")
      }
    })
    expect(killed.length).toBe(2)
    expect(robbed.errors).toBe("")
    expect(robbed.code).toBe(0)
    expect(tableOf(robbed)).toBe(tableOf(alone))
  }, 120_000)

  it("is cancelled for good by c", async () => {
    const endless = ["--points", "20000", "--starts", "1", "--chains", "2", "--warmup", "100000", "--draws", "1"]
    const cancelled = await run("c", endless, /sample\/1 warmup/, ({ stdin }) => void stdin!.write("c\n"))
    expect(cancelled.code).toBe(0)
    expect(cancelled.output).toContain("The analysis is cancelled: c was typed.")
    const again = await run("c", endless)
    expect(again.code).toBe(1)
    expect(again.errors).toContain("was cancelled: give another directory")
  }, 120_000)

  it("refuses options that cannot be, and says which", async () => {
    const refused = await run("x", ["--chains", "none"])
    expect(refused.code).toBe(1)
    expect(refused.errors).toContain("--chains is \"none\"; give a whole number above 0")
  })
})
