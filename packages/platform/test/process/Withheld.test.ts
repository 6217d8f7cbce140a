/** What a layer is told to withhold does not reach its jobs and builds, nor the processes that look after these. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { Artifacts } from "../../src/Artifacts.ts"
import * as Command from "../../src/artifacts/Command.ts"
import * as ContainerImage from "../../src/artifacts/ContainerImage.ts"
import { Execution, type JobRequest } from "../../src/Execution.ts"
import * as LocalProcess from "../../src/execution/LocalProcess.ts"
import * as Slurm from "../../src/execution/Slurm.ts"
import { codeOf } from "../../src/internal/files.ts"
import { installFakeSlurm } from "./support/fakeSlurm.ts"

const root = fs.realpathSync(fs.mkdtempSync(Path.join(tmpdir(), "espalier-withheld-")))
const withheld = ["TEAM_WORD", "NODE_DEBUG"]
const value = "open-sesame-4711"
const before = process.env["NODE_DEBUG"]

beforeAll(() => {
  process.env["TEAM_WORD"] = value
  process.env["NEIGHBOUR"] = "of-the-engine"
  process.env["NODE_DEBUG"] = `nothing-${value}`
})
afterAll(() => {
  delete process.env["TEAM_WORD"]
  delete process.env["NEIGHBOUR"]
  if (before === undefined) delete process.env["NODE_DEBUG"]
  else process.env["NODE_DEBUG"] = before
  fs.rmSync(root, { recursive: true, force: true })
})

/** Prints its environment, and that of whatever started it. */
const script = `
  console.log(JSON.stringify(process.env))
  console.log(require("node:fs").readFileSync("/proc/" + process.ppid + "/environ", "latin1"))
`
const request = (key: string, environment: Record<string, string> = {}): JobRequest => ({
  key,
  argv: [process.execPath, "-e", script],
  directory: root,
  environment
})

/**
 * All that lies below a directory. The wrapper may still be ending, and Node's compile cache then gives files that it has just
 * written their names: what is listed and gone is read under its other name, by listing again.
 */
const textsBelow = (directory: string): string => {
  for (;;) {
    try {
      return fs.readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => fs.readFileSync(Path.join(entry.parentPath, entry.name), "latin1"))
        .join("\n")
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error
    }
  }
}

const ran = (key: string, environment?: Record<string, string>) =>
  Effect.gen(function*() {
    const execution = yield* Execution
    const job = yield* execution.launch(request(key, environment))
    yield* execution.await(job.id)
    return fs.readFileSync(Path.join(job.directory, "stdout.log"), "utf8")
  })

describe("what is withheld", () => {
  it.live("is in no file of a local job that prints its environment, and the rest is there", () =>
    Effect.gen(function*() {
      const directory = Path.join(root, "local")
      const layer = LocalProcess.layer({ directory, withheld })
      const printed = yield* Effect.provide(ran("local"), layer)
      assert.include(printed, "of-the-engine")
      assert.notInclude(textsBelow(directory), value)
      // Without the option it is there: this test can fail.
      assert.include(yield* Effect.provide(ran("open"), LocalProcess.layer({ directory })), value)
    }))

  it.live("is given to a job that asks for a variable of that name itself", () =>
    Effect.gen(function*() {
      const layer = LocalProcess.layer({ directory: Path.join(root, "own"), withheld })
      const printed = yield* Effect.provide(ran("own", { TEAM_WORD: "the-job's-own" }), layer)
      assert.include(printed, "\"TEAM_WORD\":\"the-job's-own\"")
      assert.notInclude(printed, value)
    }))

  it.live("is not in the environment that sbatch hands on, nor in what the job prints", () =>
    Effect.gen(function*() {
      const directory = Path.join(root, "slurm")
      const programs = installFakeSlurm(directory, {})
      const seen = Path.join(directory, "environment")
      const sbatch = Path.join(directory, "sbatch-seen")
      fs.writeFileSync(sbatch, `#!/bin/sh\nenv > '${seen}'\nexec '${programs.sbatch}' "$@"\n`, { mode: 0o755 })
      const layer = Slurm.layer({
        directory: Path.join(directory, "jobs"),
        programs: { ...programs, sbatch },
        pollEvery: "50 millis",
        fileDelay: "300 millis",
        withheld
      })
      const printed = yield* Effect.provide(ran("slurm"), layer)
      const environment = fs.readFileSync(seen, "utf8")
      assert.include(environment, "NEIGHBOUR=of-the-engine")
      assert.include(printed, "of-the-engine")
      assert.notInclude(textsBelow(directory), value)
    }))

  it.live("is not in the log of a build that prints its environment, unless the build has its own", () =>
    Effect.gen(function*() {
      const build = (log: string, options: Partial<Command.Options>) =>
        Effect.gen(function*() {
          const artifacts = yield* Artifacts
          yield* artifacts.build({ tree: root, commit: "c0ffee", log: Path.join(root, "logs", log) })
          return fs.readFileSync(Path.join(root, "logs", log), "utf8")
        }).pipe(Effect.provide(Command.layer({ argv: [process.execPath, "-e", script], ...options })))
      const printed = yield* build("build.log", { withheld })
      assert.include(printed, "of-the-engine")
      assert.notInclude(printed, value)
      assert.include(
        yield* build("own.log", { withheld, environment: { TEAM_WORD: "the-build's-own" } }),
        "\"TEAM_WORD\":\"the-build's-own\""
      )
      assert.include(yield* build("open.log", {}), value)
    }))

  it.live("is kept from a container engine, whatever it is asked", () =>
    Effect.gen(function*() {
      const directory = Path.join(root, "engine")
      const tree = Path.join(directory, "tree")
      fs.mkdirSync(tree, { recursive: true })
      fs.writeFileSync(Path.join(tree, "Dockerfile"), "FROM scratch\n")
      const program = Path.join(directory, "docker")
      const seen = Path.join(directory, "environment")
      const noImage = "case \"$*\" in *inspect*) exit 1;; esac"
      fs.writeFileSync(program, `#!/bin/sh\necho "# $*" >> '${seen}'\nenv >> '${seen}'\n${noImage}\n`, { mode: 0o755 })
      const artifacts = yield* Effect.provide(Artifacts, ContainerImage.layer({ engine: "docker", program, withheld }))
      // An engine that keeps no image.
      const error = yield* Effect.flip(
        artifacts.build({ tree, commit: "c0ffee", log: Path.join(directory, "build.log") })
      )
      assert.strictEqual(error.failure, "nothing-built")
      const environment = fs.readFileSync(seen, "utf8")
      assert.match(environment, /^# build /m)
      assert.include(environment, "NEIGHBOUR=of-the-engine")
      assert.notInclude(environment, value)
    }))
})
