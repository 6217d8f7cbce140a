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
import { CodingAgent, make } from "@espalier/platform/CodingAgent"
import * as Requirements from "@espalier/platform/Requirements"
import * as Agent from "@espalier/platform/requirements/Agent"
import { Effect, Layer, Redacted, Schema } from "effect"
import type { AgentOptions } from "./configAgent.ts"
import type { Choices } from "./layerChoices.ts"

/** A secret that a layer needs is not in the environment. */
export class SecretMissing extends Schema.TaggedError<SecretMissing>()("SecretMissing", {
  variable: Schema.String,
  message: Schema.String
}) {}

/** Read when the layer is made; null where none is used. */
const secretOf = (variable: string | null): Effect.Effect<Redacted.Redacted | undefined, SecretMissing> =>
  Effect.suspend(() => {
    if (variable === null) return Effect.undefined
    const value = process.env[variable]?.trim() ?? ""
    return value === ""
      ? Effect.fail(
        new SecretMissing({
          variable,
          message: `The environment variable ${variable}, which the agent needs, is not set. ` +
            `Set it before espalier is started, or name another one in agent.secret`
        })
      )
      : Effect.succeed(Redacted.make(value))
  })

/** What an agent is made of beyond its options. */
type Hooks = Partial<Recorded.Hooks>

type Made = Layer.Layer<CodingAgent, OptionsInvalid | SecretMissing>

const withSecret = (
  options: AgentOptions,
  layer: (secret: Redacted.Redacted | undefined) => Layer.Layer<CodingAgent, OptionsInvalid>
): Made => Layer.unwrap(Effect.map(secretOf(options.secret), layer))

const live = (options: AgentOptions, hooks: Hooks): Made => {
  const common = { limits: options.limits, ...hooks }
  switch (options.kind) {
    case "claude":
      return withSecret(options, (secret) =>
        ClaudeCli.layer({
          ...common,
          ...options.program,
          ...(options.isSubscription ? { oauthToken: secret } : { apiKey: secret })
        }))
    case "codex":
      return withSecret(options, (apiKey) => CodexCli.layer({ ...common, ...options.program, apiKey }))
    case "anthropic":
      return withSecret(
        options,
        (secret) => AnthropicApi.layer({ ...common, ...options.model, apiKey: secret ?? noSecret })
      )
    case "openai-compatible":
      return withSecret(
        options,
        (secret) => OpenAiApi.layer({ ...common, ...options.model, apiKey: secret ?? noSecret })
      )
  }
}

/** What a server is told that wants no secret. */
const noSecret = Redacted.make("none")

const modelOf = (options: AgentOptions): string =>
  options.kind === "claude" || options.kind === "codex"
    ? options.program.model ?? "of the program's choice"
    : options.model.model

/** The agent, with its recordings. */
const agentLayer = (options: AgentOptions): Made => {
  const { recording } = options
  if (recording === null) return live(options, {})
  const tape = {
    directory: recording.directory,
    identity: `${options.kind}, model ${modelOf(options)}`,
    // The same question about other files has another answer.
    state: ({ directory }: { readonly directory: string }) => Recorded.contentOf(directory)
  }
  return recording.mode === "replay"
    ? Recorded.layer({ ...tape, mode: recording.mode })
    : Recorded.layer({ ...tape, mode: recording.mode, agent: (hooks) => live(options, hooks) })
}

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
