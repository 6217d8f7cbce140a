/**
 * The coding agents that `espalier.toml` can choose: how each is made of its options, around it the recordings where calls are
 * recorded, and what that needs of the machine.
 */
import * as AnthropicApi from "@espalier/platform/agent/AnthropicApi"
import * as ClaudeCli from "@espalier/platform/agent/ClaudeCli"
import * as CodexCli from "@espalier/platform/agent/CodexCli"
import type { OptionsInvalid } from "@espalier/platform/agent/LanguageModel"
import * as OpenAiApi from "@espalier/platform/agent/OpenAiApi"
import * as Recorded from "@espalier/platform/agent/Recorded"
import { type AgentCall, CodingAgent, make } from "@espalier/platform/CodingAgent"
import * as Requirements from "@espalier/platform/Requirements"
import * as Agent from "@espalier/platform/requirements/Agent"
import { Effect, Layer, Redacted, Schema } from "effect"
import * as Workdir from "../Workdir.ts"
import { keepCalls } from "./agentCalls.ts"
import type { AgentOptions } from "./configAgent.ts"
import type { Choices, Place } from "./layerChoices.ts"

/** A secret that a layer needs is not in the environment. */
export class SecretMissing extends Schema.TaggedError<SecretMissing>()("SecretMissing", {
  variable: Schema.String,
  message: Schema.String
}) {}

/** What is in the environment under this name. */
const valueOf = (variable: string | null): Redacted.Redacted | undefined => {
  const value = variable === null ? "" : process.env[variable]?.trim() ?? ""
  return value === "" ? undefined : Redacted.make(value)
}

/** Read when the layer is made; null where none is used. */
const secretOf = (variable: string | null): Effect.Effect<Redacted.Redacted | undefined, SecretMissing> =>
  Effect.suspend(() => {
    if (variable === null) return Effect.undefined
    const value = valueOf(variable)
    return value === undefined
      ? Effect.fail(
        new SecretMissing({
          variable,
          message: `The environment variable ${variable}, which the agent needs, is not set. ` +
            `Set it before espalier is started, or name another one in agent.secret`
        })
      )
      : Effect.succeed(value)
  })

type Made = Layer.Layer<CodingAgent, OptionsInvalid | SecretMissing>

const live = (
  options: AgentOptions,
  secret: Redacted.Redacted | undefined,
  hooks: Recorded.Hooks
): Layer.Layer<CodingAgent, OptionsInvalid> => {
  const common = { limits: options.limits, ...hooks }
  switch (options.kind) {
    case "claude":
      return ClaudeCli.layer({
        ...common,
        ...options.program,
        ...(options.isSubscription ? { oauthToken: secret } : { apiKey: secret })
      })
    case "codex":
      return CodexCli.layer({ ...common, ...options.program, apiKey: secret })
    case "anthropic":
      return AnthropicApi.layer({ ...common, ...options.model, apiKey: secret ?? noSecret })
    case "openai-compatible":
      return OpenAiApi.layer({ ...common, ...options.model, apiKey: secret ?? noSecret })
  }
}

/** What a server is told that wants no secret. */
const noSecret = Redacted.make("none")

const modelOf = (options: AgentOptions): string =>
  options.kind === "claude" || options.kind === "codex"
    ? options.program.model ?? "of the program's choice"
    : options.model.model

/** The agent, with its recordings. Each call is kept below the working directory. */
const agentLayer = (options: AgentOptions, { workdir }: Place): Made => {
  const { recording } = options
  const keep = keepCalls(Workdir.agent(workdir))
  if (recording === null) {
    const record = (call: AgentCall) => keep(call, { asked: true })
    return Layer.unwrap(Effect.map(secretOf(options.secret), (secret) => live(options, secret, { record })))
  }
  /** The turns of calls that the agent itself answered. */
  const asked = new WeakSet<AgentCall["turns"]>()
  const tapeOf = (secret: Redacted.Redacted | undefined) => ({
    secrets: secret === undefined ? [] : [secret],
    record: (call: AgentCall) => keep(call, { asked: asked.has(call.turns) }),
    directory: recording.directory,
    identity: `${options.kind}, model ${modelOf(options)}`,
    // The same question about other files has another answer.
    state: ({ directory }: { readonly directory: string }) => Recorded.contentOf(directory)
  })
  const { mode } = recording
  // A replay needs no secret. Where there is one, it was taken out of the prompts that are looked for.
  if (mode === "replay") return Layer.suspend(() => Recorded.layer({ ...tapeOf(valueOf(options.secret)), mode }))
  return Layer.unwrap(Effect.map(secretOf(options.secret), (secret) =>
    Recorded.layer({
      ...tapeOf(secret),
      mode,
      agent: (hooks) =>
        live(options, secret, {
          record: (call) => {
            asked.add(call.turns)
            return hooks.record(call)
          }
        })
    })))
}

/** What the agents' own programs take for a key, whichever variable the configuration names. */
const usualKeys: Readonly<Record<AgentOptions["kind"], ReadonlyArray<string>>> = {
  claude: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
  codex: ["OPENAI_API_KEY", "CODEX_API_KEY"],
  anthropic: [],
  "openai-compatible": []
}

/** The variables of the engine that are no business of jobs and builds, which may print what they are given. */
export const withheldFor = (agent: AgentOptions | null): ReadonlyArray<string> =>
  agent === null ? [] : [...new Set([...agent.secret === null ? [] : [agent.secret], ...usualKeys[agent.kind]])]

/** Where the configuration has no agent: it answers no call, and says why. */
const noAgent: Layer.Layer<CodingAgent> = Layer.sync(CodingAgent, () =>
  make({
    turn: () =>
      Effect.fail({
        _tag: "Unavailable",
        reason: "not-installed",
        detail: "no agent is chosen. Add a section [agent] to espalier.toml"
      })
  }))

/** What an agent needs: its program and its secret, or nothing but the recordings that it is replayed from. */
const agentRequirements = (options: AgentOptions): ReadonlyArray<Requirements.Requirement> => {
  if (options.recording?.mode === "replay") return [Agent.recordings(options.recording.directory)]
  return [
    ...(options.kind === "claude" ? [Agent.claude(options.program.program)] : []),
    ...(options.kind === "codex" ? [Agent.codex(options.program.program)] : []),
    ...(options.kind === "codex" && options.program.login !== undefined
      ? [Agent.codexLogin(options.program.login)]
      : []),
    ...(options.secret === null ? [] : [Requirements.secret(options.secret)])
  ]
}

const plain = { limits: {}, recording: null }

/** By kind; without a section there is none. */
export const agents: Choices<AgentOptions | { readonly kind: "none" }, CodingAgent, OptionsInvalid | SecretMissing> = {
  none: {
    module: null,
    about: "without a section `[agent]`: a call fails, and says why",
    layer: () => noAgent,
    requirements: () => [],
    examples: [{ kind: "none" }]
  },
  claude: {
    module: "agent/ClaudeCli",
    about: "Claude's own program, one process for each turn",
    layer: agentLayer,
    requirements: agentRequirements,
    examples: [{ ...plain, kind: "claude", secret: "ANTHROPIC_API_KEY", isSubscription: false, program: {} }]
  },
  codex: {
    module: "agent/CodexCli",
    about: "OpenAI's own program, one process for each turn, its shell in its own sandbox",
    layer: agentLayer,
    requirements: agentRequirements,
    examples: [{ ...plain, kind: "codex", secret: "OPENAI_API_KEY", program: {} }]
  },
  anthropic: {
    module: "agent/AnthropicApi",
    about: "a model over HTTP, with guarded hands on files and no shell",
    layer: agentLayer,
    requirements: agentRequirements,
    examples: [{ ...plain, kind: "anthropic", secret: "ANTHROPIC_API_KEY", model: { model: "", prices: "unknown" } }]
  },
  "openai-compatible": {
    module: "agent/OpenAiApi",
    about: "the same for OpenAI, and for any server that speaks its protocol, also one of your own",
    layer: agentLayer,
    requirements: agentRequirements,
    examples: [
      { ...plain, kind: "openai-compatible", secret: "OPENAI_API_KEY", model: { model: "", prices: "unknown" } }
    ]
  }
}
