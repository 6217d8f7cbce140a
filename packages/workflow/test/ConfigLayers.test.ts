import { describe, it } from "@effect/vitest"
import { Duration, Result } from "effect"
import assert from "node:assert"
import * as Config from "../src/Config.ts"
import { withArtifact } from "../src/internal/configCommands.ts"
import { config, decode, smallest } from "./support/smallestConfig.ts"

describe("The layers of a configuration", () => {
  it("are chosen with their options, as the layers take them", () => {
    const { build, execution, job } = config(`${smallest.replace("[\"run\"]", "[\"podman\", \"run\", \"{artifact}\"]")}
[build]
kind = "container"
engine = "podman"
engineArguments = ["--root=/images"]
file = "docker/Dockerfile"
arguments = { BASE = "node:24" }
environment = { CACHE = "{workdir}/cache" }
[execution]
kind = "slurm"
partition = "gpu"
cpus = 8
memory = "1.5 GiB"
timeLimit = "2 hours"
options = ["--qos=low"]
`)
    assert.deepEqual(job.argv, ["podman", "run", "{artifact}"])
    assert.deepEqual(build, {
      kind: "container",
      timeout: Duration.minutes(10),
      environment: { CACHE: "{workdir}/cache" },
      image: {
        engine: "podman",
        engineArguments: ["--root=/images"],
        file: "docker/Dockerfile",
        buildArguments: { BASE: "node:24" },
        buildOptions: []
      }
    })
    assert.deepEqual(execution, {
      kind: "slurm",
      cluster: {
        resources: { partition: "gpu", cpus: 8, memoryBytes: 1.5 * 2 ** 30, timeLimitMillis: 7_200_000 },
        extraArguments: ["--qos=low"],
        pollEvery: Duration.seconds(10)
      }
    })
  })

  it("have a workspace with what may be changed in it, and for copies with what is copied", () => {
    const { workspace } = config(`${smallest}
[workspace]
kind = "copy"
editable = ["src", "lib/*.ts"]
denied = ["**/*.lock"]
ignored = ["node_modules"]
maxChange = "1 MiB"
`)
    assert.deepEqual(workspace, {
      kind: "copy",
      guard: { editable: ["src", "lib/*.ts"], denied: ["**/*.lock"], maxFileBytes: 2 ** 23, maxChangeBytes: 2 ** 20 },
      copy: { ignored: ["node_modules"], maxSourceBytes: 2 ** 31 }
    })
  })

  it("have an agent whose secret is a name", () => {
    const agent = (text: string) => config(`${smallest}[agent]\n${text}\n`).agent
    const limits = { time: Duration.minutes(20), rounds: 50 }
    assert.deepEqual(agent(`kind = "claude"`), {
      kind: "claude",
      secret: "ANTHROPIC_API_KEY",
      limits,
      recording: null,
      isSubscription: false,
      program: { commands: [] }
    })
    assert.equal(agent(`kind = "claude"\nsubscription = true`)?.secret, "CLAUDE_CODE_OAUTH_TOKEN")
    assert.equal(agent(`kind = "claude"\nsecret = "TEAM_KEY"`)?.secret, "TEAM_KEY")
    assert.deepEqual(
      agent(`kind = "codex"
model = "gpt-5-codex"
login = "codex"
price = { inputUsd = 1.25, outputUsd = 10 }
recordings = "recordings"`),
      {
        kind: "codex",
        secret: null,
        // Neither can be kept with a login: there is no default of rounds.
        limits: { time: Duration.minutes(20) },
        recording: { directory: "recordings", mode: "replay-or-record" },
        program: {
          model: "gpt-5-codex",
          login: "codex",
          network: false,
          price: { inputUsd: 1.25, outputUsd: 10 }
        }
      }
    )
    const paid = agent(`kind = "codex"\nprice = { inputUsd = 1, outputUsd = 10 }\ncostLimitUsd = 2.5`)
    assert.equal(paid?.secret, "OPENAI_API_KEY")
    assert.deepEqual(paid?.limits, { ...limits, costUsd: 2.5 })
    assert.deepEqual(
      agent(`kind = "anthropic"
model = "sonnet"
price = { inputUsd = 3, outputUsd = 15, cachedInputUsd = 0.3 }
maxTokens = 200000`),
      {
        kind: "anthropic",
        secret: "ANTHROPIC_API_KEY",
        limits,
        recording: null,
        model: {
          model: "sonnet",
          prices: { sonnet: { inputUsd: 3, outputUsd: 15, cachedInputUsd: 0.3 } },
          maxOutputTokens: 16_000,
          maxTokens: 200_000
        }
      }
    )
    assert.equal(agent(`kind = "openai-compatible"\nmodel = "m"`)?.secret, "OPENAI_API_KEY")
    const own = agent(`kind = "openai-compatible"\nmodel = "m"\nbaseUrl = "http://localhost:8080/v1"`)
    assert(own?.kind === "openai-compatible")
    assert.equal(own.secret, null)
    assert.deepEqual(own.model, {
      model: "m",
      prices: "unknown",
      baseUrl: "http://localhost:8080/v1",
      maxOutputTokens: 16_000
    })
  })

  it("never repeat what may be a secret that somebody wrote down", () => {
    for (
      const line of [`secret = "sk-ant-1234567890"`, `apiKey = "sk-ant-1234567890"`, `secrt = "sk-ant-1234567890"`]
    ) {
      for (const header of ["[agent]", "[[agent]]", "[agnet]"]) {
        const result = decode(`${smallest}${header}\nkind = "claude"\n${line}\n`)
        assert(Result.isFailure(result))
        assert(!JSON.stringify(result.failure).includes("sk-ant"))
        assert(!result.failure.message.includes("sk-ant"))
      }
    }
  })

  it("put what was built into the texts of jobs when one is launched, and not before", () => {
    const argv = `["run", "{workdir}/{artifact}", "{{artifact}}", "{{workdir}}"]`
    const raw = config(`${smallest.replace("[\"run\"]", argv)}[build]\nargv = ["make", "{{artifact}}"]\n`)
    const { build, job } = Config.substitute(raw, { workdir: "/w" })
    assert.deepEqual(job.argv, ["run", "/w/{artifact}", "{{artifact}}", "{workdir}"])
    assert.deepEqual(job.argv.map((text) => withArtifact(text, "sha256:$&")), [
      "run",
      "/w/sha256:$&",
      "{artifact}",
      "{workdir}"
    ])
    assert(build?.kind === "command")
    assert.deepEqual(build.argv, ["make", "{artifact}"])
  })
})

const mistakes: ReadonlyArray<readonly [name: string, text: string, key: string, says: RegExp]> = [
  [
    "a build without a command",
    `${smallest}[build]\noutputs = ["out"]\n`,
    "build.argv",
    /is missing[^]*the program first/
  ],
  [
    "an image and a job that does not run it",
    `${smallest}[build]\nkind = "container"\n`,
    "job.argv",
    /does not run the image[^]*\{artifact\}/
  ],
  [
    "an artifact that nothing makes",
    smallest.replace("[\"run\"]", "[\"run\", \"{artifact}\"]"),
    "job.argv",
    /there is no \[build\] that makes one/
  ],
  [
    "an artifact in the build itself",
    `${smallest}[build]\nargv = ["make", "{artifact}"]\n`,
    "build.argv[2]",
    /unknown placeholder, \{artifact\}/
  ],
  [
    "a key of another kind of build",
    `${smallest}[build]\nargv = ["make"]\nengine = "podman"\n`,
    "build.engine",
    /no meaning with kind = "command"[^]*write kind = "container"/
  ],
  [
    "options of a container that its layer refuses",
    `${smallest.replace("[\"run\"]", "[\"{artifact}\"]")}[build]\nkind = "container"\noptions = ["--tag=mine"]\n`,
    "build",
    /The build option "--tag=mine" is not possible/
  ],
  [
    "a key of Slurm for local jobs",
    `${smallest}[execution]\npartition = "gpu"\n`,
    "execution.partition",
    /no meaning with kind = "local"[^]*write kind = "slurm"/
  ],
  [
    "memory without a unit",
    `${smallest}[execution]\nkind = "slurm"\nmemory = "16"\n`,
    "execution.memory",
    /such as "512 MiB"/
  ],
  [
    "a partition that would be an option",
    `${smallest}[execution]\nkind = "slurm"\npartition = "--help"\n`,
    "execution.partition",
    /the name of a partition/
  ],
  [
    "an option of sbatch that is none",
    `${smallest}[execution]\nkind = "slurm"\noptions = ["-p"]\n`,
    "execution.options[1]",
    /each --name or --name=value/
  ],
  [
    "a secret in place of its name",
    `${smallest}[agent]\nkind = "claude"\nsecret = "sk-ant-123"\n`,
    "agent.secret",
    /not the name of an environment variable[^]*never the secret itself/
  ],
  ["an agent without a kind", `${smallest}[agent]\nmodel = "sonnet"\n`, "agent.kind", /is missing/],
  [
    "a model without a name",
    `${smallest}[agent]\nkind = "anthropic"\n`,
    "agent.model",
    /is missing[^]*required with kind = "anthropic"/
  ],
  [
    "a limit of cost where the price is not known",
    `${smallest}[agent]\nkind = "codex"\ncostLimitUsd = 1\n`,
    "agent.costLimitUsd",
    /what the model costs is not known[^]*agent\.price/
  ],
  [
    "a login and a secret",
    `${smallest}[agent]\nkind = "codex"\nlogin = "x"\nsecret = "K"\n`,
    "agent.login",
    /one of them pays/
  ],
  [
    "rounds beside a login",
    `${smallest}[agent]\nkind = "codex"\nlogin = "x"\nrounds = 5\n`,
    "agent.rounds",
    /:16 {2}agent\.rounds = 5[^]*cannot be kept with login[^]*agent\.timeLimit/
  ],
  [
    "a limit of cost beside a login",
    `${smallest}[agent]\nkind = "codex"\nlogin = "x"\ncostLimitUsd = 5\nprice = { inputUsd = 1, outputUsd = 1 }\n`,
    "agent.costLimitUsd",
    /cannot be kept with login/
  ],
  [
    "a path that only a shell understands",
    `${smallest}[agent]\nkind = "codex"\nlogin = "~/.codex"\n`,
    "agent.login",
    /No shell reads it\. Write the whole path/
  ],
  [
    "a recording nowhere",
    `${smallest}[agent]\nkind = "claude"\nrecording = "replay"\n`,
    "agent.recording",
    /no meaning without recordings/
  ],
  [
    "commands for an agent without a shell",
    `${smallest}[agent]\nkind = "anthropic"\nmodel = "m"\ncommands = ["make"]\n`,
    "agent.commands",
    /no meaning with kind = "anthropic"[^]*kind = "claude"/
  ],
  [
    "an address that is none",
    `${smallest}[agent]\nkind = "claude"\nbaseUrl = "localhost:80"\n`,
    "agent.baseUrl",
    /begins with http/
  ],
  [
    "an address with a password, which is not repeated",
    `${smallest}[agent]\nkind = "claude"\nbaseUrl = "https://user:pa55word99@host/"\n`,
    "agent.baseUrl",
    /^(?![^]*pa55)[^]*a password in it[^]*agent\.secret/
  ],
  [
    "a price below zero",
    `${smallest}[agent]\nkind = "codex"\nprice = { inputUsd = -1, outputUsd = 1 }\n`,
    "agent.price.inputUsd",
    /Allowed: a number from 0 on\./
  ],
  [
    "what is not copied, in a workspace of git",
    `${smallest}[workspace]\nkind = "git"\nignored = ["data"]\n`,
    "workspace.ignored",
    /kind = "detect" or kind = "copy"|kind = "copy" or kind = "detect"/
  ],
  [
    "an unknown kind of execution",
    `${smallest}[execution]\nkind = "locall"\n`,
    "execution.kind",
    /Did you mean "local"\?/
  ],
  [
    "a path outside the tree among what may be edited",
    `${smallest}[workspace]\neditable = ["src", "../other"]\n`,
    "workspace.editable[2]",
    /without ".."/
  ]
]

describe("A mistake in what chooses layers is shown with its key and what is allowed:", () => {
  it("all options of sbatch that its layer would refuse, each by its place in the list", () => {
    const options = `options = [\n  "--qos=low",\n  "--array=1-3",\n  "--requ",\n  "--mem=1G",\n  "--qos low"\n]`
    const result = decode(`${smallest}[execution]\nkind = "slurm"\n${options}\n`)
    assert(Result.isFailure(result), "it was accepted")
    assert.deepEqual(result.failure.problems.map(({ key, line, message }) => [key, line, message]), [
      ["execution.options[2]", 15, "is not possible: --array is not for you to give: a key stands for one job"],
      ["execution.options[3]", 15, "is not possible: --requeue is not for you to give: a job is started once"],
      ["execution.options[4]", 15, "is not possible: --mem is not for you to give: use execution.memory"],
      [
        "execution.options[5]",
        15,
        "is not possible: it has to be one long option with its value behind an equals sign, like --qos=low or --exclusive"
      ]
    ])
  })

  it.each(mistakes)("%s", (_name, text, key, says) => {
    const result = decode(text)
    assert(Result.isFailure(result), "it was accepted")
    assert.deepEqual(result.failure.problems.map((problem) => problem.key), [key])
    assert.match(result.failure.message, says)
    assert.doesNotMatch(result.failure.message, /undefined|\[object/)
  })
})
