// A search on a real cluster of one node, as somebody who has one would begin it: the doctor first, then the run.
import { afterAll, beforeAll, expect, it } from "vitest"
import { startSlurm, type TestSlurm } from "../../../platform/test/real/support/slurm.ts"
import { complete, make, run } from "../support/workshop.ts"

let slurm: TestSlurm

beforeAll(async () => {
  slurm = await startSlurm()
}, 300_000)

afterAll(() => slurm.stop())

const onCluster = (more = "partition = \"main\"") =>
  make({
    jobMillis: 500,
    limits: "experiments = 2\nmachine = 3",
    source: `[execution]
kind = "slurm"
configuration = "${slurm.configuration}"
memory = "512 MiB"
cpus = 1
pollEvery = "1 second"
${more}`
  })

it("what the cluster has is told, and that there is no accounting", async () => {
  const { workdir } = onCluster()
  const ended = await run("doctor", workdir)
  expect(ended.code, ended.stdout).toBe(0)
  for (const name of ["sbatch", "squeue", "scontrol", "scancel"]) {
    expect(ended.stdout).toMatch(new RegExp(`^ok +${name} +2\\d\\.\\d+`, "m"))
  }
  expect(ended.stdout).toMatch(/^ok +Slurm's controller +.*is UP/m)
  expect(ended.stdout).toMatch(/^ok +Slurm's partition "main" +it is UP/m)
  expect(ended.stdout).toMatch(/^warning +Slurm's accounting /m)
})

it("a partition that the cluster does not have is told before anything is recorded", async () => {
  const ended = await run("run", onCluster("partition = \"mian\"").workdir)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toMatch(/One thing that this run needs is missing\. Nothing was started\./)
  expect(ended.stderr).toMatch(
    /Slurm's partition "mian" \(execution "slurm"\): .*not found.*Correct execution\.partition/i
  )
})

it("an option of sbatch that the layer gives itself is refused with its line", async () => {
  const ended = await run("run", onCluster("options = [\"--requeue\"]").workdir)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toMatch(
    /espalier\.toml:\d+ {2}execution\.options\[1\] = "--requeue"\n.*--requeue is not for you to give: a job is started once/
  )
  expect(ended.stderr).not.toMatch(/\n\s+at /)
})

it("its experiments run as jobs of the cluster, and a search comes to its end", async () => {
  const { records, workdir } = onCluster()
  const { figures } = await complete("run", workdir)
  expect(figures.state).toBe("completed")
  for (const { changes, status, value } of figures.nodes) {
    expect(status).toBe("completed")
    expect(value).toBe(100 + Number(changes.parameters["width"] ?? 1))
  }
  expect(records().filter(({ event }) => event === "end")).toHaveLength(3)
  expect(slurm.run("scontrol", "--oneliner", "show", "job").match(/JobName=espalier-/g)).toHaveLength(3)
})
