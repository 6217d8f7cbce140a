/** Worker processes and the life of their host. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isAlive, linesOf } from "./WorkerPoolLab.ts"

const script = join(import.meta.dirname, "WorkerPoolHost.ts")

describe("a host of workers", () => {
  let directory: string
  let hosts: Array<ChildProcess>
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-host-"))
    hosts = []
  })
  afterEach(() => {
    for (const host of hosts) if (host.pid !== undefined && isAlive(host.pid)) host.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })

  const journal = () => join(directory, "journal.db")

  const start = (mode: string, isolation: string, how: string) => {
    // A group of its own: a signal to all of it is what a terminal sends on Ctrl-C.
    const host = spawn(process.execPath, ["--conditions=espalier-source", script, mode, isolation, journal(), how], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true
    })
    hosts.push(host)
    const lines = createInterface({ input: host.stdout! })[Symbol.asyncIterator]()
    const next = async (): Promise<string> => {
      const line = await lines.next()
      return line.done === true ? "(no more)" : line.value
    }
    const exit = new Promise<number | string | null>((resolve) =>
      void host.once("exit", (code, signal) => resolve(signal ?? code))
    )
    return { host, next, exit }
  }

  const workerPid = async (next: () => Promise<string>): Promise<number> => {
    for (;;) {
      const line = await next()
      if (line.startsWith("worker ")) return Number(line.slice(7))
      if (line === "(no more)") throw new Error("the host ended before its work had begun")
    }
  }

  const gone = async (pid: number): Promise<boolean> => {
    for (let tries = 0; tries < 200; tries++) {
      if (!isAlive(pid)) return true
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    return false
  }

  it("that is killed takes its workers along, also one in an endless loop, and its run goes on later", async () => {
    const first = start("run", "process", "progress and spin")
    const pid = await workerPid(first.next)
    expect(isAlive(pid)).toBe(true)
    first.host.kill("SIGKILL")
    await first.exit
    expect(await gone(pid)).toBe(true)

    const second = start("run", "process", "progress and spin")
    expect(await second.next()).toBe("attempt 1")
    const again = await workerPid(second.next)
    expect(again).not.toBe(pid)
    second.host.kill("SIGKILL")
    expect(await gone(again)).toBe(true)
  })

  for (const isolation of ["process", "thread"]) {
    it(`that gets Ctrl-C suspends its run, and tells the handler in its worker ${isolation}`, async () => {
      const { exit, host, next } = start("run", isolation, "wait")
      const pid = await workerPid(next)
      process.kill(-host.pid!, "SIGINT")
      expect(await exit).toBe(130)
      expect(await gone(pid)).toBe(true)
      expect(linesOf(`${journal()}.notes`)).toEqual(["begin", "stopped: suspend"])
    })

    it(`is not kept alive by an idle worker ${isolation} whose pool nobody closed`, async () => {
      const { exit, next } = start("leave", isolation, "where")
      expect(await next()).toBe("attempt 1")
      const end = await next()
      expect(await exit).toBe(0)
      expect(await gone(Number(end.slice("end ".length)))).toBe(true)
    })
  }
})
