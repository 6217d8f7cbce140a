import { expect, it } from "vitest"
import { type Figures, figures, make, run, start, until } from "../support/workshop.ts"

it("a second engine is told who has the run, and takes it over at once when that one is killed", async () => {
  const { records, workdir } = make({ jobMillis: 700, limits: "experiments = 3" })
  const first = start("run", workdir)
  await until("the first engine runs", () => first.stderr().includes("run started"))

  const second = await run("run", workdir)
  expect(second).toMatchObject({ code: 1, stdout: "" })
  expect(second.stderr).toMatch(
    new RegExp(
      `^espalier: The run "bench" is open for writing by espalier \\(process ${first.pid} on .+, since 20.+Z\\)`
    )
  )
  expect(second.stderr.trimEnd().split("\n")).toHaveLength(1)
  expect(first.hasEnded()).toBe(false)
  const held = await figures(workdir)
  expect(held).toMatchObject({ state: "running", owner: { owner: "espalier", pid: first.pid } })

  first.child.kill("SIGKILL")
  await first.ended
  // Beside it a command that takes no lock, as a measure of how long a start takes now.
  const third = start("run", "--json", workdir)
  const looking = figures(workdir).then(() => Date.now() - third.startedAt)
  await until("the third engine runs", () => third.stderr().includes("run resumed") || third.hasEnded())
  const takeoverMillis = Date.now() - third.startedAt
  expect(takeoverMillis - await looking).toBeLessThan(2_000)
  const ended = await third.ended
  expect(ended.code, ended.stderr).toBe(0)

  const { nodes, state } = JSON.parse(ended.stdout) as Figures
  expect(state).toBe("completed")
  expect(nodes.map(({ jobs, status }) => ({ jobs, status }))).toEqual(
    nodes.map(() => ({ jobs: 1, status: "completed" }))
  )
  expect(records().filter(({ event }) => event === "start")).toHaveLength(nodes.length)
})

it("of two engines that are started together one runs, undisturbed, and the other is told so", async () => {
  const { records, workdir } = make({ limits: "experiments = 2" })
  const both = await Promise.all([run("run", "--json", workdir), run("run", "--json", workdir)])
  const [winner, loser] = both.sort((a, b) => a.code! - b.code!)
  expect(winner!.code, winner!.stderr).toBe(0)
  expect(loser!.code, loser!.stderr).toBe(1)
  expect(loser!.stderr).toMatch(/is open for writing by espalier \(process \d+/)
  expect(JSON.parse(winner!.stdout)).toMatchObject({ state: "completed" })
  expect(records().filter(({ event }) => event === "start")).toHaveLength(3)
})
