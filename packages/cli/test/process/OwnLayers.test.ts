import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { configuration, type Figures, figures, follow, make, run, until } from "../support/workshop.ts"

const program = join(import.meta.dirname, "../support/ownLayers.ts")

/** The program of somebody who has an execution layer of their own. */
const own = (token: string | undefined, ...args: ReadonlyArray<string>) =>
  follow([
    "/usr/bin/env",
    ...(token === undefined ? ["-u", "CLUSTER_TOKEN"] : [`CLUSTER_TOKEN=${token}`]),
    process.execPath,
    "--conditions=espalier-source",
    program,
    ...args
  ])

it("a program with an execution of its own runs the jobs there, and no process of the other kind", async () => {
  const { records, workdir } = make({ jobMillis: 1, limits: "experiments = 1", job: "argv = [\"no-such-program\"]" })
  const ended = await own("open-sesame", "run", "--json", workdir).ended
  expect(ended.code, ended.stderr).toBe(0)
  const { nodes, state } = JSON.parse(ended.stdout) as Figures
  expect(state).toBe("completed")
  expect(nodes.map(({ value }) => value)).toEqual([7, 7])
  expect(records()).toEqual([])
  expect(ended.stdout + ended.stderr).not.toContain("sesame")
})

it("what its layers need is asked for by name, and nothing that they stand in for", async () => {
  const { workdir } = make({ job: "argv = [\"no-such-program\"]" })
  const ended = await own(undefined, "doctor", workdir).ended
  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/^missing +\$CLUSTER_TOKEN +it is not set +\[needed by layers of your own\]/m)
  expect(ended.stdout).not.toMatch(/no-such-program/)
  const refused = await own(undefined, "run", workdir).ended
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/Nothing was started\.\n {2}\$CLUSTER_TOKEN \(layers of your own\): it is not set/)
})

it("layers that cannot be made are the program's fault, and not told as one of espalier", async () => {
  const { workdir } = make({ jobMillis: 1 })
  const script = join(workdir, "broken.ts")
  const start = JSON.stringify(join(import.meta.dirname, "../../src/Program.ts"))
  writeFileSync(
    script,
    `import { start } from ${start}\nstart(process.argv.slice(2), { layers: () => { throw new Error("it broke") } })\n`
  )
  for (const command of ["run", "doctor"]) {
    const ended = await follow([process.execPath, "--conditions=espalier-source", script, command, workdir]).ended
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(
      /^espalier: The layers of this program's own could not be made: [^]*it broke[^]*broken\.ts/
    )
    expect(ended.stderr).not.toMatch(/fault in espalier/)
  }
})

it("a layer that dies while it is built is the fault of the program that gives it, told by its path", async () => {
  const { workdir } = make({ jobMillis: 1 })
  const script = join(import.meta.dirname, "../support/dyingLayer.ts")
  const ended = await follow([process.execPath, "--conditions=espalier-source", script, "run", workdir]).ended
  expect(ended.code).toBe(1)
  expect(ended.stderr).toMatch(
    /^espalier: The layers of this program's own could not be made: that of `execution` died [^]*dyingLayer\.ts\)\.\nTypeError: no such socket\n +at dial/m
  )
  expect(ended.stderr).not.toMatch(/fault in espalier/)
})

it("a run that began on layers of one's own is not gone on with on others, nor the other way round", async () => {
  const { configure, workdir } = make({ jobMillis: 600_000, limits: "experiments = 1" })
  const first = own("x", "run", workdir)
  await until("a job has started", () => /baseline: job started/.test(first.stderr()))
  first.child.kill("SIGINT")
  expect((await first.ended).code).toBe(130)
  const refused = await run("run", workdir)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(
    /^espalier: The run in .* began with layers of its own for execution, and this program has no layers of its own, so .* Go on with the program that began it/
  )
  // What only looks may look.
  expect((await figures(workdir)).state).toBe("suspended")
  // And with both changed, it is the configuration that is told.
  configure(configuration({ jobMillis: 1 }))
  expect((await run("run", workdir)).stderr).toMatch(/began with another configuration/)
})
