/**
 * The keys of the sections of `espalier.toml` that choose layers, for `configKeys.ts`.
 */
import { below, durationPhrase, type KeyRow, sizePhrase } from "./configPhrases.ts"

export const workspaceKeys: ReadonlyArray<KeyRow> = [
  ["workspace", "a table, [workspace]", "{}", "Where each experiment gets a tree of the source for itself"],
  [
    "workspace.kind",
    "\"git\", \"copy\" or \"detect\"",
    "\"detect\"",
    "Git worktrees, or copies of a directory without source control; or which of them fits the source"
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
    "a list of globs below the source; not with kind = \"git\", as is the following",
    "[]",
    "What is not copied, where copies are made: what builds make, large data"
  ],
  [
    "workspace.maxSource",
    sizePhrase,
    "\"2 GiB\"",
    "The most that the source may hold: more was hardly meant to be copied"
  ]
]

export const buildKeys: ReadonlyArray<KeyRow> = [
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
  [
    "build.engineArguments",
    "a list of texts, such as \"--context=build\"",
    "[]",
    "Arguments of the engine before its command"
  ],
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
  ["build.timeout", durationPhrase, "\"10 minutes\"", "A build that takes longer is stopped, and has failed"]
]

export const executionKeys: ReadonlyArray<KeyRow> = [
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
  [
    "execution.configuration",
    "a path, relative to this file",
    "the machine's",
    "The configuration of the cluster, SLURM_CONF"
  ],
  ["execution.node", "a path", "that of the Node that runs the engine", "Node on the machines of the cluster"],
  ["execution.pollEvery", durationPhrase, "\"10 seconds\"", "How often the scheduler is asked, for all jobs at once"]
]

export const agentKeys: ReadonlyArray<KeyRow> = [
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
  [
    "agent.baseUrl",
    "an address that begins with http:// or https://, without a password in it",
    "the provider's own",
    "Where the provider is"
  ],
  [
    "agent.price",
    "a table with inputUsd and outputUsd; not with kind = \"claude\", which tells its costs itself",
    "none",
    "What the model costs, in US dollars for a million tokens; without it costs count as nothing"
  ],
  ["agent.price.inputUsd", "a number from 0 on", "required", "Of what it reads"],
  ["agent.price.outputUsd", "a number from 0 on", "required", "Of what it writes"],
  ["agent.price.cachedInputUsd", "a number from 0 on", "that of input", "Of what it reads from the provider's cache"],
  ["agent.price.cacheWriteUsd", "a number from 0 on", "that of input", "Of what is written to the provider's cache"],
  ["agent.timeLimit", durationPhrase, "\"20 minutes\"", "A call that takes longer is ended, with all that it started"],
  [
    "agent.costLimitUsd",
    "a number above 0; with price, but for kind = \"claude\"; not beside login",
    "none",
    "What one call may cost"
  ],
  [
    "agent.rounds",
    "a whole number from 1 to 100000; not beside login",
    "none with login, else 50",
    "How often one call may go back to its model"
  ],
  [
    "agent.maxTokens",
    "a whole number from 1 to 1000000000; only with kind = \"anthropic\" and \"openai-compatible\", as is the following",
    "none",
    "Tokens read and written in one call"
  ],
  ["agent.maxOutputTokens", "a whole number from 1 to 10000000", "16000", "Tokens of one reply"],
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
  ]
]
