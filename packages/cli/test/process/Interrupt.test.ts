import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import {
  complete,
  configuration,
  type Figures,
  figures,
  make,
  type OwnRecord,
  run,
  start,
  type Started,
  until,
  width,
  type Workshop
} from "../support/workshop.ts"

/** What a terminal does with Ctrl-C: the signal goes to every process of the foreground group. */
const pressCtrlC = ({ pid }: Started): void => void process.kill(-pid, "SIGINT")

const starts = (records: ReadonlyArray<OwnRecord>) => records.filter(({ event }) => event === "start")
const ends = (records: ReadonlyArray<OwnRecord>) => records.filter(({ event }) => event === "end")

/** Every job ran once, every experiment is there once, and none has failed or was tried again. */
const expectExactAccounts = ({ nodes, jobs, state }: Figures, { records }: Workshop): void => {
  const begun = starts(records()).map((record) => record.directory)
  expect(new Set(begun).size).toBe(begun.length)
  expect(ends(records()).map((record) => record.directory).sort()).toEqual([...begun].sort())
  expect(state).toBe("completed")
  expect(jobs).toBe(begun.length)
  const numbers = nodes.filter(({ id }) => id !== "baseline").map(({ id }) => Number(id.slice(1))).sort((a, b) => a - b)
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  expect(nodes.map(({ order }) => order)).toEqual(nodes.map((_, index) => index + 1))
  for (const node of nodes) {
    expect(node, node.id).toMatchObject({ status: "completed", failure: null, jobs: 1 })
    expect(node.value, node.id).toBe(100 + Number(node.changes.parameters["width"] ?? 1))
  }
}

describe("Ctrl-C", () => {
  it("suspends within five seconds, leaves the job running, and the same command goes on from there", async () => {
    const workshop = make({ jobMillis: 1_000, limits: "experiments = 3" })
    const { records, workdir } = workshop

    const first = start("run", workdir)
    await until("an experiment's job runs after the baseline", () => starts(records()).length === 2)
    const pressedAt = Date.now()
    pressCtrlC(first)
    const ended = await first.ended
    expect(ended.code).toBe(130)
    expect(Date.now() - pressedAt).toBeLessThan(5_000)
    expect(ended.stderr).toMatch(/Suspending: jobs that run go on, and nothing is lost\. The same command goes on/)
    expect(ended.stdout).toBe("")
    const { directory } = starts(records())[1]!
    const wasRunning = !ends(records()).some((record) => record.directory === directory)

    // Nobody is there; the job goes on and ends.
    const suspended = await figures(workdir)
    expect(suspended).toMatchObject({ state: "suspended", owner: null })
    await until("the job ends by itself", () => ends(records()).length === 2)
    const unwatched = ends(records())[1]!
    expect(wasRunning).toBe(true)

    // Results of another job could not be compared with what was measured.
    workshop.configure(configuration({ jobMillis: 1, limits: "experiments = 3" }))
    const refused = await run("run", workdir)
    expect(refused).toMatchObject({ code: 1, stdout: "" })
    expect(refused.stderr).toMatch(
      /^espalier: The run in .* began with another configuration: its .*job.*\. Put espalier\.toml back/
    )
    // Limits may change.
    workshop.configure(configuration({ jobMillis: 1_000, limits: "experiments = 4" }))

    const second = await complete("run", workdir)
    expect(second.stderr).toContain("run resumed")
    // What was told in the first session is not told again.
    expect(second.stderr).not.toContain("run started")
    expect(second.stderr).not.toContain("baseline:")
    expect(second.stderr).toMatch(new RegExp(`${unwatched.experiment}: 10\\d `))
    expectExactAccounts(second.figures, workshop)
    expect(second.figures.nodes).toHaveLength(5)
  })

  it("may come at any moment, again and again: no attempt is spent, nothing is lost and nothing is doubled", async () => {
    const workshop = make({ jobMillis: 300, limits: "experiments = 6\nmachine = 2" })
    const { workdir } = workshop
    const moments: ReadonlyArray<readonly [string, (engine: Started) => boolean]> = [
      ["the run has started", ({ stderr }) => stderr().includes("run started")],
      ["it goes on", ({ stderr }) => stderr().includes("run resumed")],
      ["an experiment ended, and others are being prepared", ({ stderr }) => /baseline: \d/.test(stderr())],
      ["two jobs began", ({ stderr }) => stderr().split("job started").length > 2]
    ]
    for (const [moment, isNow] of moments) {
      const engine = start("run", workdir)
      await until(moment, () => isNow(engine) || engine.hasEnded())
      pressCtrlC(engine)
      const { code, stderr } = await engine.ended
      expect(code, stderr).toBe(130)
      expect(stderr).not.toMatch(/tried again|failed/)
    }
    expectExactAccounts((await complete("resume", workdir)).figures, workshop)
  })
})

describe("other ways to be stopped", () => {
  it("SIGTERM and a closed terminal suspend as Ctrl-C does", async () => {
    const workshop = make({ jobMillis: 500, limits: "experiments = 2" })
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      const engine = start("run", workshop.workdir)
      await until("a job runs", () => engine.stderr().includes("job started") || engine.stderr().includes("resumed"))
      engine.child.kill(signal)
      expect(await engine.ended).toMatchObject({
        code: 130,
        signal: null,
        stderr: expect.stringContaining("Suspending")
      })
    }
    expect((await figures(workshop.workdir)).state).toBe("suspended")
    expectExactAccounts((await complete("run", workshop.workdir)).figures, workshop)
  })

  it("a build that does not heed the end costs two seconds; a second Ctrl-C does not wait for it", async () => {
    const stubborn = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("building")`
    const { workdir } = make({ more: `${width}[build]\nargv = ["node", "-e", ${JSON.stringify(stubborn)}]` })
    const log = join(workdir, "builds", "baseline.log")
    const begin = async (): Promise<Started> => {
      rmSync(log, { force: true })
      const engine = start("run", workdir)
      await until("the build runs", () => existsSync(log) && readFileSync(log, "utf8").includes("building"))
      pressCtrlC(engine)
      return engine
    }
    const patient = await begin()
    const pressedAt = Date.now()
    const suspended = await patient.ended
    expect(suspended.code, suspended.stderr).toBe(130)
    expect(Date.now() - pressedAt).toBeLessThan(5_000)

    const hasty = await begin()
    await until("it says that it suspends", () => hasty.stderr().includes("Suspending"))
    // Only after a while is another Ctrl-C another wish.
    const again = setInterval(() => pressCtrlC(hasty), 200)
    const ended = await hasty.ended
    clearInterval(again)
    expect(ended.code, ended.stderr).toBe(130)
    expect(ended.stderr).toMatch(
      /Ended at once\. The journal holds what was done; the same command goes on from there\./
    )
    expect((await figures(workdir)).state).toBe("interrupted")
  })

  it("goes on to the end when nobody reads what it prints any more", async () => {
    const workshop = make({ limits: "experiments = 2" })
    const engine = start("run", workshop.workdir)
    await until("it prints", () => engine.stderr().includes("run started"))
    engine.child.stdout!.destroy()
    engine.child.stderr!.destroy()
    expect((await engine.ended).code).toBe(0)
    expectExactAccounts(await figures(workshop.workdir), workshop)
  })
})
