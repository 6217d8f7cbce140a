import { describe, it } from "@effect/vitest"
import { Duration, Effect, FileSystem, Layer, Path, PlatformError, Result } from "effect"
import assert from "node:assert"
import * as Config from "../src/Config.ts"
import * as SearchSpace from "../src/SearchSpace.ts"
import { config, problems, smallest } from "./support/smallestConfig.ts"

describe("A configuration", () => {
  it("gets a default for everything that is not written", () => {
    const { agent, build, edits, execution, job, limits, metrics, objective, planner, seeds, source, workspace } =
      config(
        smallest
      )
    assert.deepEqual(source, { repository: ".", ref: "HEAD", snapshot: false, parametersFile: "parameters.json" })
    assert.equal(job.workingDirectory, ".")
    assert.deepEqual(job.environment, {})
    assert.equal(Duration.toMillis(job.timeout), 600_000)
    assert.deepEqual(workspace, {
      kind: "detect",
      guard: { denied: [], maxFileBytes: 2 ** 23, maxChangeBytes: 2 ** 25 },
      copy: { ignored: [], maxSourceBytes: 2 ** 31 }
    })
    assert.equal(agent, null)
    assert.equal(build, null)
    assert.deepEqual(execution, { kind: "local" })
    assert.deepEqual(objective, {
      metric: "speed",
      direction: "maximize",
      unit: "",
      smallestGain: 0.02,
      level: 0.05,
      pairs: 4
    })
    assert.deepEqual(metrics.map(({ name }) => name), ["speed"])
    assert.deepEqual([edits, seeds], [[], []])
    assert.deepEqual(planner, { kind: "greedy", seed: 1, batch: 4, confirmEvery: 8 })
    assert.deepEqual(limits, {
      experiments: 40,
      jobs: 100,
      wallTime: null,
      patience: 12,
      target: null,
      concurrency: 4,
      machine: 1,
      repeats: 1
    })
  })

  it("can begin as the example, which is a valid search space", () => {
    const { edits, parameters } = config(Config.example)
    assert(Result.isSuccess(SearchSpace.make({ parameters, edits })))
  })

  it("allows jobs enough for the planner to propose an experiment, and no number that is named too small", () => {
    const cases = [[2, 0, 1], [4, 2, 1], [4, 2, 5], [3, 8, 4], [2, 3, 6]] as const
    for (const [pairs, seeds, repeats] of cases) {
      const limited = (jobs: number) =>
        `${smallest.replace("[parameters", `pairs = ${pairs}\n[parameters`)}${
          Array.from({ length: seeds }, (_, i) => `[[seeds]]\nname = "s${i}"\n`).join("")
        }[limits]\njobs = ${jobs}\nrepeats = ${repeats}\n`
      for (let jobs = repeats; jobs < 22 * pairs + (seeds + 2) * repeats; jobs++) {
        const spare = jobs - (seeds + 1) * repeats - (jobs >= 16 * pairs ? 3 : 2) * 2 * pairs
        const [problem] = problems(limited(jobs))
        assert.equal(problem === undefined, spare >= repeats, `${jobs} jobs`)
        const named = /Allow at least (\d+)/.exec(problem?.hint ?? "Allow at least 1000")?.[1]
        assert(Number(named) > jobs)
        assert.deepEqual(problems(limited(Number(named))), [])
      }
    }
  })

  it("implies the objective's metric only if no metric is declared at all", () => {
    assert.deepEqual(config(smallest).metrics, [{
      name: "speed",
      from: "key-value",
      key: "speed",
      place: { stream: "stdout" },
      take: "last",
      warmup: null,
      unit: "",
      direction: null,
      required: true
    }])
    const [problem] = problems(`${smallest}[[metrics]]\nname = "sped"\n`)
    assert.equal(problem?.key, "objective.metric")
    assert.equal(problem?.hint, "Did you mean \"sped\"?")
  })

  it("gives the objective its metric's unit", () => {
    assert.equal(config(`${smallest}[[metrics]]\nname = "speed"\nunit = "1/s"\n`).objective.unit, "1/s")
  })

  it("gives metrics as the rules of Evidence", () => {
    const rules = Config.metricRules(config(Config.example))
    assert.deepEqual(rules[0], {
      _tag: "KeyValue",
      name: "throughput",
      key: "throughput",
      stream: "stdout",
      take: "last",
      unit: "samples/s",
      required: true
    })
    assert.equal(rules[1]?._tag, "Regex")
    const table = `[[metrics]]
name = "speed"
from = "csv"
files = "out/*.csv"
warmup = { field = "step", from = 10 }
direction = "maximize"
`
    assert.deepEqual(Config.metricRules(config(`${smallest}${table}`)), [{
      _tag: "Csv",
      name: "speed",
      column: "speed",
      delimiter: ",",
      header: true,
      files: "out/*.csv",
      within: "tree",
      take: "last",
      warmup: { _tag: "Until", field: "step", from: 10 },
      direction: "maximize",
      required: true
    }])
    const warmups = ["{ values = 3 }", "{ fraction = 0.5 }"].map((warmup) =>
      config(`${smallest}[[metrics]]\nname = "speed"\nwarmup = ${warmup}\n`).metrics[0]?.warmup
    )
    assert.deepEqual(warmups, [{ _tag: "Values", count: 3 }, { _tag: "Fraction", fraction: 0.5 }])
  })

  it("allows a baseline anywhere between the bounds of a number without a step", () => {
    const text = `${smallest}[parameters.rate]\ntype = "number"\nmin = 0.0\nmax = 1.0\nbaseline = 0.37\n`
    assert.equal(config(text).parameters[1]?.baseline, 0.37)
  })

  it("puts the working directory into commands, environments and arguments of seeds, and nowhere else", () => {
    const argv = `["run", "{workdir}/a", "{{workdir}}", '{"a":{"b":1}}', "{}"]`
    const text = `${smallest.replace("[\"run\"]", argv)}
[build]
argv = ["make", "OUT={workdir}"]
environment = { CACHE = "{workdir}/cache" }
[[seeds]]
name = "headspace"
arguments = ["--cache={workdir}"]
description = "{workdir}"
`
    // A dollar sign in the path is no pattern of String.replace.
    const { build, job, seeds } = Config.substitute(config(text), { workdir: "/runs/$1" })
    assert.deepEqual(job.argv, ["run", "/runs/$1/a", "{workdir}", "{\"a\":{\"b\":1}}", "{}"])
    assert(build?.kind === "command")
    assert.deepEqual(build.argv, ["make", "OUT=/runs/$1"])
    assert.deepEqual(build.environment, { CACHE: "/runs/$1/cache" })
    assert.deepEqual(seeds[0], { name: "headspace", arguments: ["--cache=/runs/$1"], description: "{workdir}" })
  })
})

describe("Loading a configuration", () => {
  const load = (file: string, contents: Record<string, string>) =>
    Config.load(file).pipe(Effect.provide(Layer.mergeAll(
      Path.layer,
      FileSystem.layerNoop({
        readFileString: (path) =>
          contents[path] === undefined
            ? Effect.fail(
              PlatformError.systemError({ module: "FileSystem", method: "readFileString", _tag: "NotFound" })
            )
            : Effect.succeed(contents[path])
      })
    )))

  it.effect("makes the repository absolute, from the file's own folder", () =>
    Effect.gen(function*() {
      const { source } = yield* load("/srv/search/espalier.toml", {
        "/srv/search/espalier.toml": smallest.replace("\".\"", "\"../pipeline\"")
      })
      assert.equal(source.repository, "/srv/pipeline")
    }))

  it.effect("says which file is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(load("/nowhere/espalier.toml", {}))
      assert(error._tag === "ConfigUnreadable")
      assert.match(error.message, /There is no \/nowhere\/espalier\.toml/)
    }))

  it.effect("names the file in a problem", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(load("/a/espalier.toml", { "/a/espalier.toml": `${smallest}x = 1` }))
      assert.match(error.message, /^\/a\/espalier\.toml:13 /m)
    }))
})
