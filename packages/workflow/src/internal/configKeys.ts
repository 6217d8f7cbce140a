/**
 * Every key of `espalier.toml`: what may stand there, what stands there if nothing is written, and what it is for.
 *
 * One table for the messages about mistakes and for `docs/configuration.md`; a test compares it with the schema and
 * with the page, so that none of the three can fall behind.
 */

/** `default` is as it would be written; "required" and "none" are said in words, without quotes. */
export interface ConfigKey {
  readonly key: string
  readonly allowed: string
  readonly default: string
  readonly description: string
}

const namePhrase = "letters, digits, \"-\" and \"_\", beginning with a letter"
const declaredName = "letters, digits, \".\", \"-\" and \"_\", beginning with a letter"
const durationPhrase = "a text with a unit above zero, such as \"60 seconds\", \"5 minutes\" or \"1.5 hours\""
const sizePhrase = "a text with a unit, such as \"512 MiB\" or \"16 GiB\""
const below = "a path below the repository, with forward slashes, without \"..\""

const table: ReadonlyArray<readonly [key: string, allowed: string, fallback: string, description: string]> = [
  ["name", `1 to 60 characters: ${namePhrase}`, "required", "What the search is called, in titles and branches"],
  ["source", "a table, [source]", "required", "The program that is studied"],
  [
    "source.repository",
    "a path, relative to this file",
    "required",
    "The git repository, or a folder in it, that holds the program"
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
  ["workspace", "a table, [workspace]", "{}", "Where each experiment gets a tree of the source for itself"],
  [
    "workspace.kind",
    "\"git\" or \"copy\"",
    "\"git\"",
    "Git worktrees, or copies of a directory without source control"
  ],
  [
    "workspace.editable",
    "a list of globs below the source, such as \"src\" or \"lib/*.ts\", without \"..\"; a name without wildcards stands for all below it",
    "everything",
    "What experiments may change. The parameters file is always among it"
  ],
  [
    "workspace.denied",
    "a list of globs below the source",
    "[]",
    "What they may not change even so, and all below it. Git's own data never"
  ],
  ["workspace.maxFile", sizePhrase, "\"8 MiB\"", "The largest file that a change may leave"],
  ["workspace.maxChange", sizePhrase, "\"32 MiB\"", "The most that the files of one change may hold together"],
  [
    "workspace.ignored",
    "a list of globs below the source; only with kind = \"copy\", as is the following",
    "[]",
    "What is not copied: what builds make, large data"
  ],
  [
    "workspace.maxSource",
    sizePhrase,
    "\"2 GiB\"",
    "The most that the source may hold: more was hardly meant to be copied"
  ],
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
  ["build", "a table, [build]", "none", "What is made once for each experiment before its jobs; without it nothing is"],
  [
    "build.kind",
    "\"command\" or \"container\"",
    "\"command\"",
    "How it is made: by a command that runs in the tree, or as an image of the tree"
  ],
  [
    "build.argv",
    "a list of texts, the program first; no shell reads it. {workdir} is replaced; required with kind = \"command\"",
    "none",
    "The command"
  ],
  ["build.environment", "a table of texts; {workdir} is replaced", "{}", "Variables added to the environment"],
  [
    "build.outputs",
    `a list of paths, each ${below}`,
    "none",
    "Files and directories that the command makes and the job needs. With it what was made of a commit is kept, and not made again"
  ],
  [
    "build.engine",
    "\"docker\" or \"podman\"; only with kind = \"container\", as are the following",
    "\"docker\"",
    "What builds the image"
  ],
  ["build.program", "a text", "the engine's name", "Its program, by name or path"],
  ["build.file", below, "the one that the engine takes by itself", "The Dockerfile or Containerfile"],
  ["build.context", below, "the tree", "What is sent to the engine"],
  ["build.target", "the name of a stage", "the last", "The stage that is built"],
  [
    "build.arguments",
    "a table of texts",
    "{}",
    "Values of the file's ARGs. They can be read from the image: no place for secrets"
  ],
  ["build.options", "a list of texts, each --name or --name=value", "[]", "More options of the engine's build"],
  ["build.repository", "the name of an image, without a tag", "localhost/espalier", "What the images are called"],
  ["build.timeout", durationPhrase, "\"10 minutes\"", "A build that takes longer is stopped, and has failed"],
  ["execution", "a table, [execution]", "{}", "Where jobs run"],
  ["execution.kind", "\"local\" or \"slurm\"", "\"local\"", "Processes of this machine, or jobs of a Slurm cluster"],
  [
    "execution.partition",
    "the name of a partition, or several with commas; only with kind = \"slurm\", as are the following",
    "the cluster's",
    "The queue that jobs are sent to"
  ],
  ["execution.account", "a text", "the user's", "Whom the time is charged to"],
  ["execution.nodes", "a whole number from 1 to 1000000", "the cluster's", "Machines of one job"],
  ["execution.cpus", "a whole number from 1 to 1000000", "the cluster's", "Processors of one job"],
  ["execution.memory", sizePhrase, "the cluster's", "Memory on each machine"],
  ["execution.gpus", "a whole number from 1 to 1000000", "none", "GPUs of one job"],
  [
    "execution.gres",
    "a text, such as \"gpu:a100:2\"",
    "none",
    "Other devices, as the cluster's administrator named them"
  ],
  [
    "execution.timeLimit",
    durationPhrase,
    "a little more than job.timeout",
    "How long the scheduler lets a job run"
  ],
  [
    "execution.options",
    "a list of texts, each --name or --name=value",
    "[]",
    "More options of sbatch, such as \"--qos=low\" or \"--exclusive\""
  ],
  ["execution.configuration", "a path", "the machine's", "The configuration of the cluster, SLURM_CONF"],
  ["execution.node", "a path", "that of the Node that runs the engine", "Node on the machines of the cluster"],
  ["execution.pollEvery", durationPhrase, "\"10 seconds\"", "How often the scheduler is asked, for all jobs at once"],
  ["agent", "a table, [agent]", "none", "The coding agent that can be asked; without it none is"],
  [
    "agent.kind",
    "\"claude\" or \"codex\" (their own programs), \"anthropic\" or \"openai-compatible\" (a model over HTTP)",
    "required",
    "Who is asked"
  ],
  [
    "agent.model",
    "a text; required with kind = \"anthropic\" and \"openai-compatible\"",
    "the program's own choice",
    "The model, by the provider's name"
  ],
  [
    "agent.secret",
    "the name of an environment variable, in capitals; never the secret itself",
    "ANTHROPIC_API_KEY or OPENAI_API_KEY, by kind; none with login, or with kind = \"openai-compatible\" and baseUrl",
    "The variable that holds the key"
  ],
  [
    "agent.subscription",
    "true or false; only with kind = \"claude\"",
    "false",
    "The secret is what \"claude setup-token\" gives, by default in CLAUDE_CODE_OAUTH_TOKEN"
  ],
  [
    "agent.login",
    "a path, relative to this file; only with kind = \"codex\", and not beside secret",
    "none",
    "Where \"codex login\" left its login"
  ],
  [
    "agent.program",
    "a text; only with kind = \"claude\" and \"codex\"",
    "the kind's name",
    "The program, by name or path"
  ],
  ["agent.baseUrl", "an address that begins with http:// or https://", "the provider's own", "Where the provider is"],
  [
    "agent.price",
    "a table with inputUsd and outputUsd; not with kind = \"claude\", which tells its costs itself",
    "none",
    "What the model costs, in US dollars for a million tokens; without it costs count as nothing"
  ],
  ["agent.price.inputUsd", "a number", "required", "Of what it reads"],
  ["agent.price.outputUsd", "a number", "required", "Of what it writes"],
  ["agent.price.cachedInputUsd", "a number", "that of input", "Of what it reads from the provider's cache"],
  ["agent.price.cacheWriteUsd", "a number", "that of input", "Of what is written to the provider's cache"],
  ["agent.timeLimit", durationPhrase, "\"20 minutes\"", "A call that takes longer is ended, with all that it started"],
  [
    "agent.costLimitUsd",
    "a number above 0; with price, but for kind = \"claude\"",
    "none",
    "What one call may cost"
  ],
  ["agent.rounds", "a whole number from 1 to 100000", "50", "How often one call may go back to its model"],
  [
    "agent.maxTokens",
    "a whole number; only with kind = \"anthropic\" and \"openai-compatible\", as is the following",
    "none",
    "Tokens read and written in one call"
  ],
  ["agent.maxOutputTokens", "a whole number", "16000", "Tokens of one reply"],
  [
    "agent.commands",
    "a list of texts, such as \"npm test\"; only with kind = \"claude\"",
    "[]",
    "Shell commands that calls which may write can run; nothing holds what these do"
  ],
  [
    "agent.network",
    "true or false; only with kind = \"codex\"",
    "false",
    "Whether shells of calls that may write reach the network"
  ],
  ["agent.recordings", "a path, relative to this file", "none", "Where calls are recorded, to be replayed"],
  [
    "agent.recording",
    "\"replay-or-record\", \"record\" (asks always) or \"replay\" (asks never); with recordings",
    "\"replay-or-record\"",
    "What is asked, and what is replayed"
  ],
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
