/**
 * Every key of `espalier.toml`: what may stand there, what stands there if nothing is written, and what it is for.
 *
 * One table for the messages about mistakes and for `docs/configuration.md`; a test compares it with the schema and
 * with the page, so that none of the three can fall behind.
 */
import { agentKeys, buildKeys, executionKeys, workspaceKeys } from "./configLayerKeys.ts"
import { below, declaredName, durationPhrase, type KeyRow, namePhrase } from "./configPhrases.ts"

/** `default` is as it would be written; "required" and "none" are said in words, without quotes. */
export interface ConfigKey {
  readonly key: string
  readonly allowed: string
  readonly default: string
  readonly description: string
}

const table: ReadonlyArray<KeyRow> = [
  ["name", `1 to 60 characters: ${namePhrase}`, "required", "What the search is called, in titles and branches"],
  ["source", "a table, [source]", "required", "The program that is studied"],
  [
    "source.repository",
    "a path, relative to this file",
    "required",
    "The directory that holds the program: a git repository, a folder in one, or a plain directory"
  ],
  ["source.ref", "a branch, tag or commit", "\"HEAD\"", "The state that the search starts from"],
  [
    "source.snapshot",
    "true or false",
    "false",
    "Start from the files as they are, uncommitted changes included, instead of refusing them"
  ],
  [
    "source.parametersFile",
    below,
    "\"parameters.json\"",
    "Where an experiment's parameters are written, as one JSON object, in its own tree"
  ],
  ...workspaceKeys,
  ["job", "a table, [job]", "required", "How an experiment is run"],
  [
    "job.argv",
    "a list of texts, the program first; no shell reads it. {workdir} stands for the run's working directory, {artifact} for what [build] made",
    "required",
    "The command"
  ],
  [
    "job.environment",
    "a table of texts; {workdir} and {artifact} are replaced",
    "{}",
    "Variables added to the environment"
  ],
  [
    "job.timeout",
    durationPhrase,
    "\"10 minutes\"",
    "A job that takes longer is stopped, and its experiment has failed"
  ],
  [
    "job.workingDirectory",
    "a path below the folder of the program, with forward slashes, without \"..\"",
    "\".\"",
    "Where the command is started"
  ],
  ...buildKeys,
  ...executionKeys,
  ...agentKeys,
  ["objective", "a table, [objective]", "required", "What is better"],
  [
    "objective.metric",
    "the name of a declared metric; if no [[metrics]] are declared at all, the key of a key=value line",
    "required",
    "The metric that is optimised; positive, for ratios are compared"
  ],
  ["objective.direction", "\"maximize\" or \"minimize\"", "required", "Whether more or less of it is better"],
  [
    "objective.unit",
    "a text",
    "the metric's unit",
    "Shown behind numbers"
  ],
  ["objective.smallestGain", "a number from 0 to 10", "0.02", "The least relative gain worth having; 0.02 is 2 %"],
  [
    "objective.level",
    "a number above 0, at most 0.5",
    "0.05",
    "Level of the test that crowns a new best; intervals have confidence 1 - level"
  ],
  [
    "objective.pairs",
    "a whole number from 2 to 1000",
    "4",
    "Measurements of challenger and best, in turns, for one confirmation"
  ],
  ["metrics", "tables, [[metrics]]", "the objective, as a key=value line", "What is read from a job's output"],
  [
    "metrics[].name",
    "letters, digits, \".\", \"-\", \"_\", \":\" and \"/\", beginning with a letter",
    "required",
    "What the metric is called"
  ],
  [
    "metrics[].from",
    "\"key-value\" (lines key=value), \"json-lines\" (one JSON object a line), \"regex\" or \"csv\" (a column of a table)",
    "\"key-value\"",
    "The form in which the job prints it"
  ],
  ["metrics[].key", "a text; only with from = \"key-value\"", "the metric's name", "The key before the ="],
  [
    "metrics[].field",
    "a text; only with from = \"json-lines\"",
    "the metric's name",
    "The field of the object; a dot goes into nested ones"
  ],
  [
    "metrics[].pattern",
    "a regular expression with a group around the number, named value or the first; only with from = \"regex\", and required there",
    "none",
    "What a line must match"
  ],
  [
    "metrics[].column",
    "the name in the table's header, or a whole number from 0; only with from = \"csv\"",
    "the metric's name",
    "The column"
  ],
  [
    "metrics[].delimiter",
    "one character; a blank stands for any run of blanks; only with from = \"csv\"",
    "\",\"",
    "What stands between the fields of a row"
  ],
  [
    "metrics[].header",
    "true or false; only with from = \"csv\"",
    "true",
    "Whether the first line that has the column is a header; without one, column is a number"
  ],
  [
    "metrics[].stream",
    "\"stdout\", \"stderr\", or \"metrics\" for the file $ESPALIER_JOB_DIR/metrics.jsonl",
    "\"stdout\"",
    "Where the job prints it"
  ],
  [
    "metrics[].files",
    "a glob of paths, such as \"out/*.csv\"; * and ? within a name, ** over directories, {a,b}; not beside stream",
    "none",
    "Files in which the job writes it, read in the order of their paths, instead of what it prints"
  ],
  [
    "metrics[].within",
    "\"tree\" for the directory that the job ran in, or \"job\" for $ESPALIER_JOB_DIR; only with files",
    "\"tree\"",
    "Where files are looked for"
  ],
  [
    "metrics[].warmup",
    "a table with values, with fraction, or with field and from",
    "none",
    "Which of the first values are left out, because the program was not warm yet"
  ],
  ["metrics[].warmup.values", "a whole number", "none", "So many"],
  [
    "metrics[].warmup.fraction",
    "a number from 0, below 1",
    "none",
    "This part of all: of 10 values and 0.25 the first 2"
  ],
  [
    "metrics[].warmup.field",
    "a text; with from",
    "none",
    "Those whose field (a step, a time) is below from: another key, JSON field, column or named group of the same line"
  ],
  ["metrics[].warmup.from", "a number; with field", "none", "The first value of the field that counts"],
  [
    "metrics[].take",
    "\"last\", \"first\", \"mean\", \"median\", \"min\", \"max\" or \"sum\"",
    "\"last\"",
    "Which value counts when it is printed more than once"
  ],
  ["metrics[].unit", "a text", "\"\"", "Shown behind numbers"],
  [
    "metrics[].direction",
    "\"maximize\" or \"minimize\"; that of the objective is objective.direction",
    "none",
    "Whether more of it is better, for whoever reads the results"
  ],
  [
    "metrics[].required",
    "true or false; the objective is always required",
    "true",
    "Whether a job that does not print it has failed"
  ],
  ["parameters", "tables, [parameters.<name>]", "none", "The parameters that a search may set"],
  ["parameters.<name>", `a table; the name of ${declaredName}`, "none", "One parameter"],
  ["parameters.<name>.type", "\"integer\", \"number\", \"boolean\" or \"choice\"", "required", "What its values are"],
  [
    "parameters.<name>.values",
    "a list without doubles, of the parameter's type; not for a boolean, and not beside min, max and step",
    "none",
    "The values it may have; for a choice required, in an order that means nothing"
  ],
  ["parameters.<name>.min", "a number; only for integer and number, with max", "none", "The least value"],
  ["parameters.<name>.max", "a number not below min", "none", "The greatest value"],
  [
    "parameters.<name>.step",
    "a number above 0; only with min and max",
    "1 for an integer; none for a number",
    "The distance of neighbouring values"
  ],
  [
    "parameters.<name>.baseline",
    "one of the allowed values",
    "required",
    "The value that the program has without any change"
  ],
  ["parameters.<name>.description", "a text", "\"\"", "What it does"],
  ["edits", "tables, [[edits]]", "none", "Alternatives in the source that a search may apply"],
  ["edits[].name", `${declaredName}; no other edit or parameter has it`, "required", "What the edit is called"],
  ["edits[].description", "a text", "\"\"", "What it does"],
  ["edits[].file", `${below}; not the parameters file`, "required", "The file that it changes"],
  ["edits[].search", "a text that is not empty", "required", "Literal text that occurs exactly once in the file"],
  ["edits[].replace", "a text other than search", "required", "What it is replaced with"],
  ["edits[].conflicts", "a list of names of other edits", "[]", "Edits that cannot be applied together with it"],
  ["seeds", "tables, [[seeds]]", "none", "What is measured first besides the baseline, which is always"],
  [
    "seeds[].name",
    `1 to 60 characters: ${namePhrase}; not "baseline", nor "e" and digits. "headspace" is shown as the ceiling`,
    "required",
    "What the seed is called"
  ],
  [
    "seeds[].arguments",
    "a list of texts; {workdir} and {artifact} are replaced",
    "[]",
    "Added to job.argv: how the seed selects another mode of the program"
  ],
  ["seeds[].description", "a text", "\"\"", "What it shows"],
  ["planner", "a table, [planner]", "{}", "Who proposes experiments"],
  ["planner.kind", "\"greedy\" or \"random\"", "\"greedy\"", "The search policy"],
  ["planner.seed", "a whole number", "1", "Of everything random: the same seed proposes the same"],
  ["planner.batch", "a whole number from 1 to 1000", "4", "Experiments that are pending at the same time"],
  [
    "planner.confirmEvery",
    "a whole number from 1 to 1000000",
    "8",
    "After how many experiments the strongest challenger is measured beside the best"
  ],
  ["limits", "a table, [limits]", "{}", "When the search stops, and how much runs at once"],
  ["limits.experiments", "a whole number from 1 to 1000000", "40", "Experiments ever proposed, seeds not counted"],
  ["limits.jobs", "a whole number from 1 to 1000000", "100", "Jobs ever launched, those of confirmations too"],
  [
    "limits.wallTime",
    durationPhrase,
    "none",
    "Time that the run is worked on; while no engine is alive it does not count"
  ],
  ["limits.patience", "a whole number from 1 to 1000000", "12", "Experiments in a row that do not become the best"],
  ["limits.target", "a number", "none", "A value of the objective that is good enough"],
  ["limits.concurrency", "a whole number from 1 to 1000", "4", "Works of the run that proceed at the same time"],
  [
    "limits.machine",
    "a whole number from 1 to 1000",
    "1",
    "Jobs that run at the same time; with 1 measurements never disturb each other"
  ],
  ["limits.repeats", "a whole number from 1 to 1000", "1", "Jobs of one experiment; its value is their median"]
]

/** All keys, in the order of the documentation. `[]` stands for each element, `<name>` for a name that is chosen. */
export const configKeys: ReadonlyArray<ConfigKey> = table.map(([key, allowed, fallback, description]) => ({
  key,
  allowed,
  default: fallback,
  description
}))

const byKey = new Map(configKeys.map((each) => [each.key, each]))

/** What is known about a key pattern. */
export const keyOf = (pattern: string): ConfigKey | undefined => byKey.get(pattern)

export type KeyPath = ReadonlyArray<string | number>

/** The pattern of a place in the file: `metrics[].name` for `["metrics", 2, "name"]`. */
export const patternOf = (path: KeyPath): string => {
  let pattern = ""
  for (const [i, part] of path.entries()) {
    if (typeof part === "number") {
      // An element of a list of texts goes by the list.
      if (byKey.has(`${pattern}[].name`)) pattern += "[]"
    } else if (i === 1 && path[0] === "parameters") pattern += ".<name>"
    else if (pattern === "job.environment" || pattern === "build.environment") continue
    else pattern += pattern === "" ? part : `.${part}`
  }
  return pattern
}

/** A place as a person writes it: `metrics[2].name`, counted from one; a name that is no bare key is quoted. */
export const writtenPath = (path: KeyPath): string =>
  path.map((part, i) =>
    typeof part === "number"
      ? `[${part + 1}]`
      : `${i === 0 ? "" : "."}${/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)}`
  ).join("")

/** The names that may stand directly below a pattern. */
export const namesBelow = (pattern: string): ReadonlyArray<string> => {
  const prefix = pattern === "" ? "" : `${pattern}.`
  return configKeys.flatMap(({ key }) => {
    if (!key.startsWith(prefix)) return []
    const rest = key.slice(prefix.length)
    return /^[A-Za-z]+$/.test(rest) ? [rest] : []
  })
}
