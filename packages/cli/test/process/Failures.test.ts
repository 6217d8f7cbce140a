import { describe, expect, it } from "vitest"
import { complete, type Ended, make, run, width } from "../support/workshop.ts"

const expectReadable = ({ stderr }: Ended): void => {
  expect(stderr).not.toMatch(/\n\s+at |_tag|FiberFailure/)
  expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
}

describe("an experiment that fails does not stop the others:", () => {
  it("no metric, a crash at the start, no end, a signal, an edit that does not apply", async () => {
    const { workdir } = make({
      limits: "experiments = 12\njobs = 30\npatience = 20\nmachine = 2",
      job: "argv = [\"node\", \"main.mjs\"]\ntimeout = \"1 second\"",
      more: `[parameters.mode]
type = "choice"
values = ["plain", "silent", "crash", "endless", "killed"]
baseline = "plain"

[[edits]]
name = "impossible"
file = "main.mjs"
search = "this text is nowhere in the program"
replace = ""`
    })
    const ended = await complete("run", workdir)
    expectReadable(ended)
    const { nodes, state } = ended.figures
    expect(state).toBe("completed")
    const kinds = new Map(nodes.map(({ changes, failure, status }) => [
      [changes.parameters["mode"] ?? "plain", ...changes.edits].join("+"),
      status === "completed" ? "completed" : failure
    ]))
    expect(kinds.get("plain")).toBe("completed")
    expect(kinds.get("silent")).toMatchObject({
      kind: "metrics_collection_failed",
      message: expect.stringMatching(/throughput/)
    })
    expect(kinds.get("crash")).toMatchObject({
      kind: "job_startup_failed",
      message: expect.stringMatching(/exit(?:ed)?.*code 1.*the shards are out of order/)
    })
    expect(kinds.get("endless")).toMatchObject({ kind: "job_failed", message: expect.stringMatching(/tim/) })
    expect(kinds.get("killed")).toMatchObject({ kind: "job_failed", message: expect.stringMatching(/SIGKILL/) })
    expect(kinds.get("plain+impossible")).toMatchObject({
      kind: "code_change_failed",
      message: expect.stringMatching(/impossible.*main\.mjs/)
    })
    // Each was tried once: none of these is better the second time.
    for (const node of nodes) expect(node.failure?.attempt ?? 1, node.id).toBe(1)
    expect(ended.stderr).toMatch(
      /e\d+: failed, job_startup_failed in job: .*the shards are out of order.*\[mode=crash\]/
    )
  })
})

describe("a baseline that fails ends the run with one clear sentence:", () => {
  it("a build command that fails", async () => {
    const { workdir } = make({
      more: `${width}[build]\nargv = ["node", "-e", "console.error('no such header: shards.h'); process.exit(2)"]`
    })
    const ended = await run("run", workdir)
    expect(ended.code).toBe(1)
    expectReadable(ended)
    expect(ended.stderr).toMatch(/^espalier: .*build_failed: .*exit code 2.*no such header: shards\.h/m)
  })

  it("a job whose program does not exist", async () => {
    const { workdir } = make({ job: "argv = [\"no-such-program\", \"main.mjs\"]" })
    const ended = await run("run", workdir, "--json")
    expect(ended.code).toBe(1)
    expectReadable(ended)
    expect(ended.stderr).toMatch(
      /^espalier: .*launch_failed: .*"no-such-program" cannot be run: there is no such file/m
    )
    expect(JSON.parse(ended.stdout)).toMatchObject({ state: "completed", best: null })
  })
})
