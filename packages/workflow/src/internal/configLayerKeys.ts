/**
 * The keys of the sections of `espalier.toml` that choose layers, for `configKeys.ts`.
 */
import * as Key from "./configPhrases.ts"

const globs = Key.form("a list of globs below the source")

export const workspaceKeys: ReadonlyArray<Key.Row> = [
  Key.section("workspace", "{}", "Where each experiment gets a tree of the source for itself"),
  Key.oneOf("git", "copy", "detect")(
    "workspace.kind",
    "\"detect\"",
    "Git worktrees, or copies of a directory without source control; or which of them fits the source"
  ),
  Key.form("a list of globs below the source, such as \"src\" or \"lib/*.ts\", without \"..\"")(
    "workspace.editable",
    "everything",
    "What experiments may change. The parameters file is always among it",
    "a name without wildcards stands for all below it"
  ),
  globs(
    "workspace.denied",
    "[]",
    "What they may not change even so, and all below it. Git's own data never"
  ),
  Key.size("workspace.maxFile", "\"8 MiB\"", "The largest file that a change may leave"),
  Key.size("workspace.maxChange", "\"32 MiB\"", "The most that the files of one change may hold together"),
  globs(
    "workspace.ignored",
    "[]",
    "What is not copied, where copies are made: what builds make, large data",
    "not with kind = \"git\", as is the following"
  ),
  Key.size("workspace.maxSource", "\"2 GiB\"", "The most that the source may hold: more was hardly meant to be copied")
]

export const buildKeys: ReadonlyArray<Key.Row> = [
  Key.section("build", "none", "What is made once for each experiment before its jobs; without it nothing is"),
  Key.oneOf("command", "container")(
    "build.kind",
    "\"command\"",
    "How it is made: by a command that runs in the tree, or as an image of the tree"
  ),
  Key.argv("{workdir} is replaced")("build.argv", "none", "The command", "required with kind = \"command\""),
  Key.textTable("build.environment", "{}", "Variables added to the environment", "{workdir} is replaced"),
  Key.form(`a list of paths, each ${Key.below}`)(
    "build.outputs",
    "none",
    "Files and directories that the command makes and the job needs. With it what was made of a commit is kept, and not made again"
  ),
  Key.oneOf("docker", "podman")(
    "build.engine",
    "\"docker\"",
    "What builds the image",
    `${Key.onlyWith("kind", "container")}, as are the following`
  ),
  Key.text("build.program", "the engine's name", "Its program, by name or path"),
  Key.form("a list of texts, such as \"--context=build\"")(
    "build.engineArguments",
    "[]",
    "Arguments of the engine before its command"
  ),
  Key.pathBelow("build.file", "the one that the engine takes by itself", "The Dockerfile or Containerfile"),
  Key.pathBelow("build.context", "the tree", "What is sent to the engine"),
  Key.form("the name of a stage")("build.target", "the last", "The stage that is built"),
  Key.textTable(
    "build.arguments",
    "{}",
    "Values of the file's ARGs. They can be read from the image: no place for secrets"
  ),
  Key.optionTexts("build.options", "[]", "More options of the engine's build"),
  Key.form("the name of an image, without a tag")(
    "build.repository",
    "localhost/espalier",
    "What the images are called"
  ),
  Key.duration("build.timeout", "\"10 minutes\"", "A build that takes longer is stopped, and has failed")
]

const countOfJob = Key.wholeNumber(1, 1_000_000)

export const executionKeys: ReadonlyArray<Key.Row> = [
  Key.section("execution", "{}", "Where jobs run"),
  Key.oneOf("local", "slurm")(
    "execution.kind",
    "\"local\"",
    "Processes of this machine, or jobs of a Slurm cluster"
  ),
  Key.form("the name of a partition, or several with commas")(
    "execution.partition",
    "the cluster's",
    "The queue that jobs are sent to",
    `${Key.onlyWith("kind", "slurm")}, as are the following`
  ),
  Key.text("execution.account", "the user's", "Whom the time is charged to"),
  countOfJob("execution.nodes", "the cluster's", "Machines of one job"),
  countOfJob("execution.cpus", "the cluster's", "Processors of one job"),
  Key.size("execution.memory", "the cluster's", "Memory on each machine"),
  countOfJob("execution.gpus", "none", "GPUs of one job"),
  Key.form("a text, such as \"gpu:a100:2\"")(
    "execution.gres",
    "none",
    "Other devices, as the cluster's administrator named them"
  ),
  Key.duration("execution.timeLimit", "a little more than job.timeout", "How long the scheduler lets a job run"),
  Key.optionTexts("execution.options", "[]", "More options of sbatch, such as \"--qos=low\" or \"--exclusive\""),
  Key.pathFromFile("execution.configuration", "the machine's", "The configuration of the cluster, SLURM_CONF"),
  Key.form("a path")("execution.node", "that of the Node that runs the engine", "Node on the machines of the cluster"),
  Key.duration("execution.pollEvery", "\"10 seconds\"", "How often the scheduler is asked, for all jobs at once")
]

const usd = Key.form("a number from 0 on")

export const agentKeys: ReadonlyArray<Key.Row> = [
  Key.section("agent", "none", "The coding agent that can be asked; without it none is"),
  Key.form("\"claude\" or \"codex\" (their own programs), \"anthropic\" or \"openai-compatible\" (a model over HTTP)")(
    "agent.kind",
    "required",
    "Who is asked"
  ),
  Key.text(
    "agent.model",
    "the program's own choice",
    "The model, by the provider's name",
    "required with kind = \"anthropic\" and \"openai-compatible\""
  ),
  Key.form("the name of an environment variable, in capitals; never the secret itself")(
    "agent.secret",
    "ANTHROPIC_API_KEY or OPENAI_API_KEY, by kind; none with login, or with kind = \"openai-compatible\" and baseUrl",
    "The variable that holds the key"
  ),
  Key.flag(
    "agent.subscription",
    "false",
    "The secret is what \"claude setup-token\" gives, by default in CLAUDE_CODE_OAUTH_TOKEN",
    Key.onlyWith("kind", "claude")
  ),
  Key.pathFromFile(
    "agent.login",
    "none",
    "Where \"codex login\" left its login",
    `${Key.onlyWith("kind", "codex")}, and not beside secret`
  ),
  Key.text("agent.program", "the kind's name", "The program, by name or path", Key.onlyWith("kind", "claude", "codex")),
  Key.form("an address that begins with http:// or https://, without a password in it")(
    "agent.baseUrl",
    "the provider's own",
    "Where the provider is"
  ),
  Key.form("a table with inputUsd and outputUsd; not with kind = \"claude\", which tells its costs itself")(
    "agent.price",
    "none",
    "What the model costs, in US dollars for a million tokens; without it costs count as nothing"
  ),
  usd("agent.price.inputUsd", "required", "Of what it reads"),
  usd("agent.price.outputUsd", "required", "Of what it writes"),
  usd("agent.price.cachedInputUsd", "that of input", "Of what it reads from the provider's cache"),
  usd("agent.price.cacheWriteUsd", "that of input", "Of what is written to the provider's cache"),
  Key.duration("agent.timeLimit", "\"20 minutes\"", "A call that takes longer is ended, with all that it started"),
  Key.form("a number above 0; with price, but for kind = \"claude\"; not beside login")(
    "agent.costLimitUsd",
    "none",
    "What one call may cost"
  ),
  Key.wholeNumber(1, 100_000)(
    "agent.rounds",
    "none with login, else 50",
    "How often one call may go back to its model",
    "not beside login"
  ),
  Key.wholeNumber(1, 1_000_000_000)(
    "agent.maxTokens",
    "none",
    "Tokens read and written in one call",
    `${Key.onlyWith("kind", "anthropic", "openai-compatible")}, as is the following`
  ),
  Key.wholeNumber(1, 10_000_000)("agent.maxOutputTokens", "16000", "Tokens of one reply"),
  Key.form("a list of texts, such as \"npm test\"")(
    "agent.commands",
    "[]",
    "Shell commands that calls which may write can run; nothing holds what these do",
    Key.onlyWith("kind", "claude")
  ),
  Key.flag(
    "agent.network",
    "false",
    "Whether shells of calls that may write reach the network",
    Key.onlyWith("kind", "codex")
  ),
  Key.pathFromFile("agent.recordings", "none", "Where calls are recorded, to be replayed"),
  Key.form("\"replay-or-record\", \"record\" (asks always) or \"replay\" (asks never)")(
    "agent.recording",
    "\"replay-or-record\"",
    "What is asked, and what is replayed",
    "with recordings"
  )
]
