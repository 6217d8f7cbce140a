/**
 * Every key of `espalier.toml`: what may stand there, what stands there if nothing is written, and what it is for.
 *
 * One table for the messages about mistakes and for `docs/configuration.md`; a test compares it with the schema and
 * with the page, so that none of the three can fall behind.
 */
import { agentKeys, buildKeys, executionKeys, workspaceKeys } from "./configLayerKeys.ts"
import * as Key from "./configPhrases.ts"

/** `default` is as it would be written; "required" and "none" are said in words, without quotes. */
export interface ConfigKey {
  readonly key: string
  readonly allowed: string
  readonly default: string
  readonly description: string
}

const direction = Key.oneOf("maximize", "minimize")
const theName = "the metric's name"

const table: ReadonlyArray<Key.Row> = [
  Key.form(`1 to 60 characters: ${Key.namePhrase}`)(
    "name",
    "required",
    "What the search is called, in titles and branches"
  ),
  Key.section("source", "required", "The program that is studied"),
  Key.pathFromFile(
    "source.repository",
    "required",
    "The directory that holds the program: a git repository, a folder in one, or a plain directory"
  ),
  Key.form("a branch, tag or commit")("source.ref", "\"HEAD\"", "The state that the search starts from"),
  Key.flag(
    "source.snapshot",
    "false",
    "Start from the files as they are, uncommitted changes included, instead of refusing them"
  ),
  Key.pathBelow(
    "source.parametersFile",
    "\"parameters.json\"",
    "Where an experiment's parameters are written, as one JSON object, in its own tree"
  ),
  ...workspaceKeys,
  Key.section("job", "required", "How an experiment is run"),
  Key.argv("{workdir} stands for the run's working directory, {artifact} for what [build] made")(
    "job.argv",
    "required",
    "The command"
  ),
  Key.textTable("job.environment", "{}", "Variables added to the environment", "{workdir} and {artifact} are replaced"),
  Key.duration("job.timeout", "\"10 minutes\"", "A job that takes longer is stopped, and its experiment has failed"),
  Key.form("a path below the folder of the program, with forward slashes, without \"..\"")(
    "job.workingDirectory",
    "\".\"",
    "Where the command is started"
  ),
  ...buildKeys,
  ...executionKeys,
  ...agentKeys,
  Key.section("objective", "required", "What is better"),
  Key.form("the name of a declared metric; if no [[metrics]] are declared at all, the key of a key=value line")(
    "objective.metric",
    "required",
    "The metric that is optimised; positive, for ratios are compared"
  ),
  direction("objective.direction", "required", "Whether more or less of it is better"),
  Key.text("objective.unit", "the metric's unit", "Shown behind numbers"),
  Key.form("a number from 0 to 10")(
    "objective.smallestGain",
    "0.02",
    "The least relative gain worth having; 0.02 is 2 %"
  ),
  Key.form("a number above 0, at most 0.5")(
    "objective.level",
    "0.05",
    "Level of the test that crowns a new best; intervals have confidence 1 - level"
  ),
  Key.wholeNumber(2, 1000)(
    "objective.pairs",
    "4",
    "Measurements of challenger and best, in turns, for one confirmation"
  ),
  Key.tables("metrics", "the objective, as a key=value line", "What is read from a job's output"),
  Key.form(Key.metricName)(
    "metrics[].name",
    "required",
    "What the metric is called"
  ),
  Key.form(
    "\"key-value\" (lines key=value), \"json-lines\" (one JSON object a line), \"regex\" or \"csv\" (a column of a table)"
  )(
    "metrics[].from",
    "\"key-value\"",
    "The form in which the job prints it"
  ),
  Key.form(Key.metricKey)("metrics[].key", theName, "The key before the =", Key.onlyWith("from", "key-value")),
  Key.text(
    "metrics[].field",
    theName,
    "The field of the object; a dot goes into nested ones",
    Key.onlyWith("from", "json-lines")
  ),
  Key.form("a regular expression with a group around the number, named value or the first")(
    "metrics[].pattern",
    "none",
    "What a line must match",
    `${Key.onlyWith("from", "regex")}, and required there`
  ),
  Key.form("the name in the table's header, or a whole number from 0")(
    "metrics[].column",
    theName,
    "The column",
    Key.onlyWith("from", "csv")
  ),
  Key.form("one character; a blank stands for any run of blanks")(
    "metrics[].delimiter",
    "\",\"",
    "What stands between the fields of a row",
    Key.onlyWith("from", "csv")
  ),
  Key.flag(
    "metrics[].header",
    "true",
    "Whether the first line that has the column is a header; without one, column is a number",
    Key.onlyWith("from", "csv")
  ),
  Key.form("\"stdout\", \"stderr\", or \"metrics\" for the file $ESPALIER_JOB_DIR/metrics.jsonl")(
    "metrics[].stream",
    "\"stdout\"",
    "Where the job prints it"
  ),
  Key.form("a glob of paths, such as \"out/*.csv\"; * and ? within a name, ** over directories, {a,b}")(
    "metrics[].files",
    "none",
    "Files in which the job writes it, read in the order of their paths, instead of what it prints",
    "not beside stream"
  ),
  Key.form("\"tree\" for the directory that the job ran in, or \"job\" for $ESPALIER_JOB_DIR")(
    "metrics[].within",
    "\"tree\"",
    "Where files are looked for",
    "only with files"
  ),
  Key.form("a table with values, with fraction, or with field and from")(
    "metrics[].warmup",
    "none",
    "Which of the first values are left out, because the program was not warm yet"
  ),
  Key.form("a whole number")("metrics[].warmup.values", "none", "So many"),
  Key.form("a number from 0, below 1")(
    "metrics[].warmup.fraction",
    "none",
    "This part of all: of 10 values and 0.25 the first 2"
  ),
  Key.text(
    "metrics[].warmup.field",
    "none",
    "Those whose field (a step, a time) is below from: another key, JSON field, column or named group of the same line",
    "with from"
  ),
  Key.number("metrics[].warmup.from", "none", "The first value of the field that counts", "with field"),
  Key.oneOf("last", "first", "mean", "median", "min", "max", "sum")(
    "metrics[].take",
    "\"last\"",
    "Which value counts when it is printed more than once"
  ),
  Key.text("metrics[].unit", "\"\"", "Shown behind numbers"),
  direction(
    "metrics[].direction",
    "none",
    "Whether more of it is better, for whoever reads the results",
    "that of the objective is objective.direction"
  ),
  Key.flag(
    "metrics[].required",
    "true",
    "Whether a job that does not print it has failed",
    "the objective is always required"
  ),
  ["parameters", "tables, [parameters.<name>]", "none", "The parameters that a search may set"],
  ["parameters.<name>", `a table; the name of ${Key.declaredName}`, "none", "One parameter"],
  Key.oneOf("integer", "number", "boolean", "choice")("parameters.<name>.type", "required", "What its values are"),
  Key.form("a list without doubles, of the parameter's type; not for a boolean, and not beside min, max and step")(
    "parameters.<name>.values",
    "none",
    "The values it may have; for a choice required, in an order that means nothing"
  ),
  Key.number("parameters.<name>.min", "none", "The least value", "only for integer and number, with max"),
  Key.form("a number not below min")("parameters.<name>.max", "none", "The greatest value"),
  Key.form("a number above 0")(
    "parameters.<name>.step",
    "1 for an integer; none for a number",
    "The distance of neighbouring values",
    "only with min and max"
  ),
  Key.form("one of the allowed values")(
    "parameters.<name>.baseline",
    "required",
    "The value that the program has without any change"
  ),
  Key.text("parameters.<name>.description", "\"\"", "What it does"),
  Key.tables("edits", "none", "Alternatives in the source that a search may apply"),
  Key.form(Key.declaredName)(
    "edits[].name",
    "required",
    "What the edit is called",
    "no other edit or parameter has it"
  ),
  Key.text("edits[].description", "\"\"", "What it does"),
  Key.pathBelow("edits[].file", "required", "The file that it changes", "not the parameters file"),
  Key.form("a text that is not empty")(
    "edits[].search",
    "required",
    "Literal text that occurs exactly once in the file"
  ),
  Key.form("a text other than search")("edits[].replace", "required", "What it is replaced with"),
  Key.form("a list of names of other edits")(
    "edits[].conflicts",
    "[]",
    "Edits that cannot be applied together with it"
  ),
  Key.tables("seeds", "none", "What is measured first besides the baseline, which is always"),
  Key.form(`1 to 60 characters: ${Key.namePhrase}`)(
    "seeds[].name",
    "required",
    "What the seed is called",
    "not \"baseline\", nor \"e\" and digits. \"headspace\" is shown as the ceiling"
  ),
  Key.texts(
    "seeds[].arguments",
    "[]",
    "Added to job.argv: how the seed selects another mode of the program",
    "{workdir} and {artifact} are replaced"
  ),
  Key.text("seeds[].description", "\"\"", "What it shows"),
  Key.section("planner", "{}", "Who proposes experiments"),
  Key.oneOf("greedy", "random")("planner.kind", "\"greedy\"", "The search policy"),
  Key.form("a whole number")("planner.seed", "1", "Of everything random: the same seed proposes the same"),
  Key.wholeNumber(1, 1000)("planner.batch", "4", "Experiments that are pending at the same time"),
  Key.wholeNumber(1, 1_000_000)(
    "planner.confirmEvery",
    "8",
    "After how many experiments the strongest challenger is measured beside the best"
  ),
  Key.section("limits", "{}", "When the search stops, and how much runs at once"),
  Key.wholeNumber(1, 1_000_000)("limits.experiments", "40", "Experiments ever proposed, seeds not counted"),
  Key.wholeNumber(1, 1_000_000)("limits.jobs", "100", "Jobs ever launched, those of confirmations too"),
  Key.duration("limits.wallTime", "none", "Time that the run is worked on; while no engine is alive it does not count"),
  Key.wholeNumber(1, 1_000_000)("limits.patience", "12", "Experiments in a row that do not become the best"),
  Key.number("limits.target", "none", "A value of the objective that is good enough"),
  Key.wholeNumber(1, 1000)("limits.concurrency", "4", "Works of the run that proceed at the same time"),
  Key.wholeNumber(1, 1000)(
    "limits.machine",
    "1",
    "Jobs that run at the same time; with 1 measurements never disturb each other"
  ),
  Key.wholeNumber(1, 1000)("limits.repeats", "1", "Jobs of one experiment; its value is their median")
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
