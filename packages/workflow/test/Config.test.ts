import { describe, it } from "@effect/vitest"
import { Duration, Effect, FileSystem, Layer, Path, PlatformError, Result, Schema, SchemaAST } from "effect"
import fc from "fast-check"
import assert from "node:assert"
import * as fs from "node:fs"
import { stringify, type TomlTable } from "smol-toml"
import * as Config from "../src/Config.ts"
import { lineFinder } from "../src/internal/configLines.ts"
import { ConfigFile } from "../src/internal/configSchema.ts"
import * as SearchSpace from "../src/SearchSpace.ts"

const decode = (text: string) => Effect.runSync(Effect.result(Config.fromString(text)))

const config = (text: string): Config.Config => Result.getOrThrow(decode(text))

const problems = (text: string): ReadonlyArray<Config.Problem> => {
  const result = decode(text)
  return Result.isFailure(result) ? result.failure.problems : []
}

const smallest = `name = "small"
[source]
repository = "."
[job]
argv = ["run"]
[objective]
metric = "speed"
direction = "maximize"
[parameters.workers]
type = "integer"
values = [1, 2, 4]
baseline = 1
`

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

/** What is written, which key it is about, and what is said of it. Each is appended to a valid file, or replaces a part. */
const mistakes: ReadonlyArray<readonly [name: string, text: string, key: string, says: RegExp]> = [
  ["a name with a blank", smallest.replace("\"small\"", "\"so small\""), "name", /Allowed: 1 to 60 characters/],
  ["an unknown table", `${smallest}[limit]\njobs = 3\n`, "limit", /Did you mean "limits"\?/],
  [
    "a key in another table's style",
    `${smallest}[limits]\nwall_time = "1 minute"\n`,
    "limits.wall_time",
    /Did you mean "wallTime"\?/
  ],
  [
    "a key of another table",
    `${smallest}[limits]\nargv = ["x"]\n`,
    "limits.argv",
    /It belongs to job\.argv or build\.argv/
  ],
  [
    "a key that is missing",
    smallest.replace("direction = \"maximize\"\n", ""),
    "objective.direction",
    /is missing[^]*"minimize"/
  ],
  ["a table that is missing", smallest.replace("[job]\nargv = [\"run\"]\n", ""), "job", /is missing[^]*\[job\]/],
  ["a command as one text", smallest.replace("[\"run\"]", "\"run fast\""), "job.argv", /Write \["run","fast"\]/],
  ["a command without a program", smallest.replace("[\"run\"]", "[]"), "job.argv", /list of texts, the program first/],
  [
    "a duration without a unit",
    smallest.replace("[objective]", "timeout = 60\n[objective]"),
    "job.timeout",
    /Did you mean "60 seconds"\?/
  ],
  [
    "a duration with a short unit",
    smallest.replace("[objective]", "timeout = \"5m\"\n[objective]"),
    "job.timeout",
    /Did you mean "5 minutes"\?/
  ],
  [
    "a duration of nothing",
    smallest.replace("[objective]", "timeout = \"0 seconds\"\n[objective]"),
    "job.timeout",
    /above zero/
  ],
  ["a duration without an end", `${smallest}[limits]\nwallTime = "Infinity"\n`, "limits.wallTime", /above zero/],
  [
    "a number as a variable",
    smallest.replace("[objective]", "environment = { N = 3 }\n[objective]"),
    "job.environment.N",
    /Write "3"/
  ],
  [
    "a reserved variable",
    smallest.replace("[objective]", "environment = { ESPALIER_JOB_DIR = \"x\" }\n[objective]"),
    "job.environment.ESPALIER_JOB_DIR",
    /reserved/
  ],
  [
    "a variable that is no name",
    smallest.replace("[objective]", "environment = { \"A-B\" = \"x\" }\n[objective]"),
    "job.environment.A-B",
    /is not the name of a variable/
  ],
  [
    "an unknown placeholder",
    smallest.replace("[\"run\"]", "[\"run\", \"{workdri}\"]"),
    "job.argv[2]",
    /Did you mean \{workdir\}\?/
  ],
  [
    "a placeholder that nobody meant",
    smallest.replace("[\"run\"]", "[\"run\", \"{x}\"]"),
    "job.argv[2]",
    /write \{\{x\}\}/
  ],
  [
    "a ref that is an option",
    smallest.replace("[job]", "ref = \"--force\"\n[job]"),
    "source.ref",
    /a branch, tag or commit/
  ],
  [
    "a parameters file outside the tree",
    smallest.replace("[job]", "parametersFile = \"../x.json\"\n[job]"),
    "source.parametersFile",
    /without ".."/
  ],
  [
    "a parameters file inside .git",
    smallest.replace("[job]", "parametersFile = \".git/config\"\n[job]"),
    "source.parametersFile",
    /below the repository/
  ],
  [
    "a direction that is nearly right",
    smallest.replace("\"maximize\"", "\"maximise\""),
    "objective.direction",
    /Did you mean "maximize"\?/
  ],
  [
    "a level of one",
    smallest.replace("[parameters", "level = 1.0\n[parameters"),
    "objective.level",
    /above 0, at most 0\.5/
  ],
  ["a level of zero", smallest.replace("[parameters", "level = 0\n[parameters"), "objective.level", /above 0/],
  ["one pair", smallest.replace("[parameters", "pairs = 1\n[parameters"), "objective.pairs", /from 2 to 1000/],
  [
    "a gain that is no number",
    smallest.replace("[parameters", "smallestGain = nan\n[parameters"),
    "objective.smallestGain",
    /= nan/
  ],
  [
    "a metric's key in the wrong form",
    `${smallest}[[metrics]]\nname = "speed"\nfield = "x"\n`,
    "metrics[1].field",
    /no meaning with from = "key-value"/
  ],
  [
    "a metric's key that no line can hold",
    `${smallest}[[metrics]]\nname = "speed"\nkey = "of the run"\n`,
    "metrics[1].key",
    /:15 {2}metrics\[1\]\.key = "of the run"[^]*Allowed: letters, digits, [^]*beginning with a letter or "_"/
  ],
  [
    "a warm-up until a key that no line can hold",
    `${smallest}[[metrics]]\nname = "speed"\nwarmup = { field = "1st step", from = 3 }\n`,
    "metrics[1].warmup.field",
    /:15 {2}metrics\[1\]\.warmup\.field = "1st step"[^]*Allowed: letters, digits/
  ],
  [
    "a pattern that is missing",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "regex"\n`,
    "metrics[1].pattern",
    /is missing/
  ],
  [
    "a pattern that is broken",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "regex"\npattern = "(a"\n`,
    "metrics[1].pattern",
    /not a regular expression/
  ],
  [
    "a pattern without a group",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "regex"\npattern = "a.*"\n`,
    "metrics[1].pattern",
    /has no group/
  ],
  [
    "a metric in files and in a stream",
    `${smallest}[[metrics]]\nname = "speed"\nfiles = "*.csv"\nstream = "stdout"\n`,
    "metrics[1].stream",
    /cannot stand beside files/
  ],
  [
    "a directory of no files",
    `${smallest}[[metrics]]\nname = "speed"\nwithin = "job"\n`,
    "metrics[1].within",
    /no meaning without files/
  ],
  [
    "a table without a header whose column has a name",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "csv"\nheader = false\ncolumn = "v"\n`,
    "metrics[1].column",
    /Write the number of the column/
  ],
  [
    "a delimiter of two characters",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "csv"\ndelimiter = "||"\n`,
    "metrics[1].delimiter",
    /one character/
  ],
  [
    "a warm-up that is said twice",
    `${smallest}[[metrics]]\nname = "speed"\nwarmup = { values = 1, fraction = 0.1 }\n`,
    "metrics[1].warmup",
    /Write one of/
  ],
  [
    "a warm-up until nobody knows where",
    `${smallest}[[metrics]]\nname = "speed"\nwarmup = { field = "step" }\n`,
    "metrics[1].warmup.from",
    /belong together/
  ],
  [
    "a warm-up of everything",
    `${smallest}[[metrics]]\nname = "speed"\nwarmup = { fraction = 1 }\n`,
    "metrics[1].warmup.fraction",
    /below 1/
  ],
  [
    "an objective whose metric points the other way",
    `${smallest}[[metrics]]\nname = "speed"\ndirection = "minimize"\n`,
    "metrics[1].direction",
    /differs from objective\.direction/
  ],
  [
    "a metric twice",
    `${smallest}[[metrics]]\nname = "speed"\n[[metrics]]\nname = "speed"\n`,
    "metrics[2].name",
    /is the name of metrics\[1\] already/
  ],
  [
    "an objective that is not required",
    `${smallest}[[metrics]]\nname = "speed"\nrequired = false\n`,
    "metrics[1].required",
    /cannot be false/
  ],
  [
    "two units for the objective",
    `${smallest.replace("[parameters", "unit = \"Hz\"\n[parameters")}[[metrics]]\nname = "speed"\nunit = "1/s"\n`,
    "objective.unit",
    /differs from the unit/
  ],
  [
    "a parameter's name with a blank",
    `${smallest}[parameters."a b"]\ntype = "boolean"\nbaseline = true\n`,
    "parameters.\"a b\"",
    /not allowed as a name/
  ],
  [
    "an unknown type",
    smallest.replace("\"integer\"", "\"int\""),
    "parameters.workers.type",
    /Did you mean "integer"\?/
  ],
  [
    "a baseline that is not allowed",
    smallest.replace("baseline = 1", "baseline = 3"),
    "parameters.workers.baseline",
    /= 3[^]*Allowed: 1, 2, 4\./
  ],
  [
    "a baseline between the steps",
    `${smallest}[parameters.b]\ntype = "integer"\nmin = 0\nmax = 8\nstep = 4\nbaseline = 2\n`,
    "parameters.b.baseline",
    /0 to 8 in steps of 4/
  ],
  [
    "a baseline that is nearly a choice",
    `${smallest}[parameters.c]\ntype = "choice"\nvalues = ["fast", "slow"]\nbaseline = "fsat"\n`,
    "parameters.c.baseline",
    /Did you mean "fast"\?/
  ],
  [
    "a quoted boolean",
    `${smallest}[parameters.d]\ntype = "boolean"\nbaseline = "true"\n`,
    "parameters.d.baseline",
    /Write it without quotes/
  ],
  ["values and a range", `${smallest}min = 1\n`, "parameters.workers.min", /cannot stand beside values/],
  [
    "a range without an end",
    `${smallest}[parameters.b]\ntype = "number"\nmin = 1\nbaseline = 1\n`,
    "parameters.b.max",
    /is missing/
  ],
  [
    "a range that is empty",
    `${smallest}[parameters.b]\ntype = "number"\nmin = 2\nmax = 1\nbaseline = 1\n`,
    "parameters.b.max",
    /is below min, 2/
  ],
  [
    "a step of zero",
    `${smallest}[parameters.b]\ntype = "number"\nmin = 0\nmax = 1\nstep = 0\nbaseline = 0\n`,
    "parameters.b.step",
    /is not above 0/
  ],
  [
    "a fraction in an integer's range",
    `${smallest}[parameters.b]\ntype = "integer"\nmin = 0.5\nmax = 1\nbaseline = 1\n`,
    "parameters.b.min",
    /is no whole number/
  ],
  [
    "a fraction among integers",
    smallest.replace("[1, 2, 4]", "[1, 2.5]"),
    "parameters.workers.values[2]",
    /does not fit/
  ],
  ["a value twice", smallest.replace("[1, 2, 4]", "[1, 2, 2]"), "parameters.workers.values[3]", /listed twice/],
  ["no values", smallest.replace("[1, 2, 4]", "[]"), "parameters.workers.values", /is empty/],
  [
    "a choice without values",
    `${smallest}[parameters.c]\ntype = "choice"\nbaseline = "x"\n`,
    "parameters.c.values",
    /is missing/
  ],
  [
    "a boolean with values",
    `${smallest}[parameters.d]\ntype = "boolean"\nvalues = [true]\nbaseline = true\n`,
    "parameters.d.values",
    /no meaning/
  ],
  ["nothing to search", smallest.slice(0, smallest.indexOf("[parameters")), "parameters", /nothing to search/],
  [
    "an edit that searches nothing",
    `${smallest}[[edits]]\nname = "a"\nfile = "f"\nsearch = ""\nreplace = "x"\n`,
    "edits[1].search",
    /is not empty/
  ],
  [
    "an edit that changes nothing",
    `${smallest}[[edits]]\nname = "a"\nfile = "f"\nsearch = "x"\nreplace = "x"\n`,
    "edits[1].replace",
    /changes nothing/
  ],
  [
    "an edit outside the tree",
    `${smallest}[[edits]]\nname = "a"\nfile = "/etc/passwd"\nsearch = "x"\nreplace = "y"\n`,
    "edits[1].file",
    /below the repository/
  ],
  [
    "an edit of the parameters file",
    `${smallest}[[edits]]\nname = "a"\nfile = "parameters.json"\nsearch = "x"\nreplace = "y"\n`,
    "edits[1].file",
    /Declare a parameter instead/
  ],
  [
    "an edit with a parameter's name",
    `${smallest}[[edits]]\nname = "workers"\nfile = "f"\nsearch = "x"\nreplace = "y"\n`,
    "edits[1].name",
    /name of a parameter/
  ],
  [
    "a conflict with an unknown edit",
    `${smallest}[[edits]]\nname = "pooled"\nfile = "f"\nsearch = "x"\nreplace = "y"\n[[edits]]\nname = "b"\nfile = "f"\nsearch = "x"\nreplace = "y"\nconflicts = ["poled"]\n`,
    "edits[2].conflicts[1]",
    /Did you mean "pooled"\?/
  ],
  [
    "a conflict with itself",
    `${smallest}[[edits]]\nname = "a"\nfile = "f"\nsearch = "x"\nreplace = "y"\nconflicts = ["a"]\n`,
    "edits[1].conflicts[1]",
    /is the edit itself/
  ],
  ["a seed called baseline", `${smallest}[[seeds]]\nname = "baseline"\n`, "seeds[1].name", /reserved/],
  [
    "a seed twice",
    `${smallest}[[seeds]]\nname = "a"\n[[seeds]]\nname = "a"\n`,
    "seeds[2].name",
    /is the name of seeds\[1\] already/
  ],
  [
    "a seed that is called as an experiment",
    `${smallest}[[seeds]]\nname = "e001"\n`,
    "seeds[1].name",
    /the form of an experiment's id/
  ],
  ["an unknown planner", `${smallest}[planner]\nkind = "gredy"\n`, "planner.kind", /Did you mean "greedy"\?/],
  ["a batch of none", `${smallest}[planner]\nbatch = 0\n`, "planner.batch", /from 1 to 1000/],
  ["a quoted number", `${smallest}[limits]\njobs = "9"\n`, "limits.jobs", /Write it without quotes/],
  ["a fraction of a job", `${smallest}[limits]\njobs = 1.5\n`, "limits.jobs", /a whole number/],
  [
    "fewer jobs than the baseline takes",
    `${smallest}[limits]\njobs = 2\nrepeats = 3\n`,
    "limits.jobs",
    /does not suffice for a single experiment: 3 are for the baseline.* 3 for an experiment, 16 .*[^]*at least 22/
  ],
  [
    "no limit where the default does not suffice",
    smallest.replace("[parameters", "pairs = 30\n[parameters"),
    "limits.jobs",
    /limits\.jobs = 100[^]*at least 122/
  ]
]

describe("A mistake in a configuration is shown with its key and what is allowed:", () => {
  it.each(mistakes)("%s", (_name, text, key, says) => {
    const result = decode(text)
    assert(Result.isFailure(result), "it was accepted")
    assert.deepEqual(result.failure.problems.map((problem) => problem.key), [key])
    assert.match(result.failure.message, says)
    assert.doesNotMatch(result.failure.message, /undefined|\[object/)
  })

  it("everything that is wrong, in the order of the file, each with its line", () => {
    const text = smallest.replace("\"maximize\"", "\"up\"").replace("baseline = 1", "baseline = 9") +
      "[limits]\njosb = 3\n"
    assert.deepEqual(problems(text).map(({ key, line, value }) => [line, key, value]), [
      [8, "objective.direction", "\"up\""],
      [12, "parameters.workers.baseline", "9"],
      [14, "limits.josb", "3"]
    ])
  })

  it("a missing key with the line of its table", () => {
    assert.equal(problems(smallest.replace("direction = \"maximize\"\n", ""))[0]?.line, 6)
  })

  it("a mistake in the syntax with line, column and the text around it", () => {
    const [problem] = problems(`${smallest}[limits]\njobs = = 3\n`)
    assert.equal(problem?.line, 14)
    assert.match(problem?.message ?? "", /not TOML[^]*column 8[^]*jobs = = 3/)
  })

  it("the documentation's own example of it", () => {
    const page = fs.readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8")
    const toml = /```toml\n([^]*?)```/.exec(page)?.[1] ?? ""
    assert.deepEqual(problems(toml), [])
    const wrong = decode(
      toml.replace("\"60 seconds\"", "60").replace("\"maximize\"\n", "\"maximise\"\nsmallest_gain = 0.05\n")
    )
    assert(Result.isFailure(wrong))
    assert(page.includes(wrong.failure.message))
  })
})

describe("Whatever is written,", () => {
  const anything = fc.dictionary(
    fc.oneof(fc.constantFrom(...ConfigFileKeys()), fc.string({ maxLength: 6 })),
    fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.string(),
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(
          fc.oneof(fc.constantFrom("name", "type", "argv", "values", "metric"), fc.string()),
          tie("value"),
          {
            maxKeys: 4
          }
        )
      )
    })).value
  )

  it("a table is accepted or answered with problems, and never a crash", () => {
    fc.assert(
      fc.property(anything, (table) => {
        const result = decode(stringify(table as TomlTable))
        assert(Result.isSuccess(result) || result.failure.problems.length > 0)
        if (Result.isFailure(result)) assert(result.failure.message.length > 0)
      }),
      { numRuns: 150, seed: 11 }
    )
  })

  it("a valid file that lost some lines is accepted or answered with problems", () => {
    const lines = Config.example.split("\n")
    fc.assert(
      fc.property(fc.subarray(lines), (kept) => {
        const result = decode(kept.join("\n"))
        assert(Result.isSuccess(result) || result.failure.problems.length > 0)
      }),
      { numRuns: 150, seed: 12 }
    )
  })
})

function ConfigFileKeys(): ReadonlyArray<string> {
  return Object.keys(ConfigFile.fields)
}

describe("The line of a key", () => {
  it("is found past texts that look like keys, lists over several lines, and comments", () => {
    const lineOf = lineFinder([
      "# name = 1",
      "a.b = \"\"\"",
      "[fake]",
      "name = 2 \\\"\"\"",
      "\"\"\" # ]",
      "list = [",
      "  \"x = 1\", # ]",
      "  'y'",
      "]",
      "[[metrics]]",
      "name = '''",
      "[[metrics]]'''",
      "[[metrics]] # second",
      "\"quoted key\" = { in = \"line\" }",
      "[metrics.inner]",
      "deep = 1"
    ].join("\r\n"))
    assert.equal(lineOf(["name"]), null)
    assert.equal(lineOf(["a", "b"]), 2)
    assert.equal(lineOf(["list", 1]), 6)
    assert.equal(lineOf(["metrics", 0, "name"]), 11)
    assert.equal(lineOf(["metrics", 1]), 13)
    assert.equal(lineOf(["metrics", 1, "quoted key", "in"]), 14)
    assert.equal(lineOf(["metrics", 1, "inner", "deep"]), 16)
    assert.equal(lineOf(["metrics", 1, "missing"]), 13)
  })

  it("is found for every key of any file that the serializer writes", () => {
    const name = fc.stringMatching(/^[a-z]{1,4}$/)
    const table = fc.dictionary(
      name,
      fc.dictionary(name, fc.oneof(fc.string(), fc.integer(), fc.array(fc.string())), {
        minKeys: 1
      })
    )
    fc.assert(
      fc.property(table, (value) => {
        const text = stringify(value as TomlTable)
        const lines = text.split("\n")
        const lineOf = lineFinder(text)
        for (const [section, entries] of Object.entries(value)) {
          for (const key of Object.keys(entries)) {
            const line = lineOf([section, key])
            assert(line !== null && lines[line - 1]?.startsWith(`${key} =`))
            assert.equal(lines.lastIndexOf(`[${section}]`, line - 1), (lineOf([section]) ?? 0) - 1)
          }
        }
      }),
      { numRuns: 100, seed: 13 }
    )
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

describe("The documentation of the keys", () => {
  it("holds every key with what is allowed, the default and what it is for, and no other", () => {
    const page = fs.readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8")
    const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;")
    const rows = page.split("\n").filter((line) => line.startsWith("| `"))
    assert.deepEqual(
      rows.toSorted(),
      Config.keys.map(({ allowed, default: fallback, description, key }) =>
        `| \`${key}\` | ${cell(allowed)} | ${cell(fallback)} | ${cell(description)} |`
      ).toSorted()
    )
  })

  it("has the keys of the schema", () => {
    const keysOf = (ast: SchemaAST.AST, path: string): ReadonlyArray<string> => {
      if (SchemaAST.isArrays(ast)) return ast.rest.flatMap((each) => keysOf(each, `${path}[]`))
      if (!SchemaAST.isObjects(ast)) return []
      return [
        ...ast.propertySignatures.flatMap(({ name, type }) => {
          const key = path === "" ? String(name) : `${path}.${String(name)}`
          return [key, ...keysOf(type, key)]
        }),
        ...ast.indexSignatures.filter(({ type }) => SchemaAST.isObjects(type)).flatMap(({ type }) => [
          `${path}.<name>`,
          ...keysOf(type, `${path}.<name>`)
        ])
      ]
    }
    assert.deepEqual(
      Config.keys.map(({ key }) => key).toSorted(),
      keysOf(Schema.toEncoded(ConfigFile).ast, "").toSorted()
    )
  })

  it("tells the defaults that are applied", () => {
    const decoded = Result.getOrThrow(
      Schema.decodeUnknownResult(ConfigFile)({
        name: "x",
        source: { repository: "." },
        job: { argv: ["x"] },
        build: { argv: ["x"] },
        agent: { kind: "claude" },
        objective: { metric: "x", direction: "maximize" },
        metrics: [{ name: "x" }],
        parameters: { x: { type: "boolean", baseline: true } },
        edits: [{ name: "x", file: "x", search: "x", replace: "y" }],
        seeds: [{ name: "x" }]
      })
    )
    const encoded: unknown = Schema.encodeSync(ConfigFile)(decoded)
    for (const { default: fallback, key } of Config.keys) {
      if (!/^(\d|"|true|false|\[\]$)/.test(fallback) || key === "parameters.<name>.step") continue
      let at: unknown = encoded
      for (const part of key.replaceAll("[]", ".0").replace("<name>", "x").split(".")) {
        at = Reflect.get(Object(at), part)
      }
      const expected: unknown = JSON.parse(fallback)
      const isDuration = typeof expected === "string" && /^\d+ (seconds|minutes)$/.test(expected)
      const written = isDuration ? `${Duration.toMillis(expected as Duration.Input)} millis` : expected
      assert.deepEqual(at, written, key)
    }
  })
})
