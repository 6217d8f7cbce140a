/** Mistakes in a configuration: each is shown with its key, its line, and what is allowed. */
import { describe, it } from "@effect/vitest"
import { Result } from "effect"
import assert from "node:assert"
import * as fs from "node:fs"
import { decode, problems, smallest } from "./support/smallestConfig.ts"

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
    /:15 {2}metrics\[1\]\.warmup\.field = "1st step"[^]*no key of a line: those begin with a letter/
  ],
  [
    "a warm-up until a group that the pattern lacks",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "regex"\npattern = "([0-9]+)"\nwarmup = { field = "step", from = 3 }\n`,
    "metrics[1].warmup.field",
    /:17 {2}metrics\[1\]\.warmup\.field = "step"[^]*no group of that name: write \(\?<step>\.\.\.\)/
  ],
  [
    "files that lead out of their directory",
    `${smallest}[[metrics]]\nname = "speed"\nfiles = "../*.csv"\n`,
    "metrics[1].files",
    /:15 {2}metrics\[1\]\.files = "\.\.\/\*\.csv"[^]*must not leave the directory/
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
    /no regular expression/
  ],
  [
    "a pattern without a group",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "regex"\npattern = "a.*"\n`,
    "metrics[1].pattern",
    /\.pattern = "a\.\*"[^]*without a group/
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
    /\.column = "v"[^]*give the column's number/
  ],
  [
    "a table without a header whose column would have the metric's name",
    `${smallest}[[metrics]]\nname = "speed"\nfrom = "csv"\nheader = false\n`,
    "metrics[1].column",
    /:13 {2}metrics\[1\]\.column\n[^]*give the column's number/
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
