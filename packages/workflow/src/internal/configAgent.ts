/**
 * `[agent]` in `espalier.toml`: which coding agent is asked, who pays, and what a call may take at most. A secret is
 * named here by the variable that holds it, and never written down. Which key belongs to which kind is in `configKinds.ts`.
 */
import type * as AnthropicApi from "@espalier/platform/agent/AnthropicApi"
import type * as ClaudeCli from "@espalier/platform/agent/ClaudeCli"
import type * as CodexCli from "@espalier/platform/agent/CodexCli"
import type * as OpenAiApi from "@espalier/platform/agent/OpenAiApi"
import { Price } from "@espalier/platform/agent/Prices"
import type { Limits } from "@espalier/platform/CodingAgent"
import { Schema } from "effect"
import { DurationText, or, PathText, PlainText, VariableName, wholeNumber } from "./configForms.ts"
import { present } from "./configLayers.ts"

export const agentKinds = ["claude", "codex", "anthropic", "openai-compatible"] as const

/** Without a name and a password: it is shown in errors and records. */
const isAddress = (text: string): boolean =>
  /^https?:\/\/[^\s/]/.test(text) && URL.canParse(text) && new URL(text).username + new URL(text).password === ""

const positive = Schema.Finite.check(Schema.isGreaterThan(0))

export const AgentTable = Schema.Struct({
  kind: Schema.Literals(agentKinds),
  model: Schema.optionalKey(PlainText),
  secret: Schema.optionalKey(VariableName),
  subscription: Schema.Boolean.pipe(or(false)),
  login: Schema.optionalKey(PathText),
  program: Schema.optionalKey(PlainText),
  baseUrl: Schema.optionalKey(Schema.String.check(Schema.makeFilter(isAddress))),
  price: Schema.optionalKey(Price),
  timeLimit: DurationText.pipe(or("20 minutes")),
  costLimitUsd: Schema.optionalKey(positive),
  rounds: Schema.optionalKey(wholeNumber(1, 100_000)),
  maxTokens: Schema.optionalKey(wholeNumber(1, 1_000_000_000)),
  maxOutputTokens: wholeNumber(1, 10_000_000).pipe(or(16_000)),
  commands: Schema.Array(PlainText).pipe(or([])),
  network: Schema.Boolean.pipe(or(false)),
  recordings: Schema.optionalKey(PathText),
  recording: Schema.Literals(["replay-or-record", "record", "replay"]).pipe(or("replay-or-record"))
})

/** Where calls are recorded, and what of them is asked again. */
export interface Recording {
  readonly directory: string
  readonly mode: "replay-or-record" | "record" | "replay"
}

interface Common {
  /** The environment variable that holds the secret; null where none is used. */
  readonly secret: string | null
  readonly limits: Limits
  readonly recording: Recording | null
}

/** A coding agent. `program` and `model`: as the layers take them, but for secret and limits. */
export type AgentOptions =
  & Common
  & (
    | {
      readonly kind: "claude"
      /** Whether the secret is what `claude setup-token` gives, and not a key. */
      readonly isSubscription: boolean
      readonly program: Pick<ClaudeCli.Options, "program" | "model" | "baseUrl" | "commands">
    }
    | {
      readonly kind: "codex"
      readonly program: Pick<CodexCli.Options, "program" | "model" | "login" | "baseUrl" | "price" | "network">
    }
    | {
      readonly kind: "anthropic"
      readonly model: Pick<AnthropicApi.Options, "model" | "baseUrl" | "prices" | "maxTokens" | "maxOutputTokens">
    }
    | {
      readonly kind: "openai-compatible"
      readonly model: Pick<OpenAiApi.Options, "model" | "baseUrl" | "prices" | "maxTokens" | "maxOutputTokens">
    }
  )

/** Makes the paths that are relative to the file absolute. */
export const agentWithPaths = (agent: AgentOptions, absolute: (path: string) => string): AgentOptions => {
  const { recording } = agent
  const recorded = { recording: recording === null ? null : { ...recording, directory: absolute(recording.directory) } }
  return agent.kind === "codex" && agent.program.login !== undefined
    ? { ...agent, ...recorded, program: { ...agent.program, login: absolute(agent.program.login) } }
    : { ...agent, ...recorded }
}

/** The variable that holds the secret where the configuration names none. */
const usualSecret = ({ baseUrl, kind, login, subscription }: typeof AgentTable.Type): string | null => {
  switch (kind) {
    case "claude":
      return subscription ? "CLAUDE_CODE_OAUTH_TOKEN" : "ANTHROPIC_API_KEY"
    case "anthropic":
      return "ANTHROPIC_API_KEY"
    case "codex":
      return login === undefined ? "OPENAI_API_KEY" : null
    case "openai-compatible":
      // A server of one's own mostly wants none.
      return baseUrl === undefined ? "OPENAI_API_KEY" : null
  }
}

export const agentOf = (table: typeof AgentTable.Type): AgentOptions => {
  const { baseUrl, costLimitUsd, kind, login, maxOutputTokens, maxTokens, model, price, program, recordings } = table
  const common = {
    secret: table.secret ?? usualSecret(table),
    limits: {
      time: table.timeLimit,
      // With a login of its own the program tells no rounds while it works, so no limit of them can be kept.
      ...(login === undefined ? { rounds: table.rounds ?? 50 } : {}),
      ...(costLimitUsd === undefined ? {} : { costUsd: costLimitUsd })
    },
    recording: recordings === undefined ? null : { directory: recordings, mode: table.recording }
  }
  const where = baseUrl === undefined ? {} : { baseUrl }
  const what = { ...where, ...(program === undefined ? {} : { program }), ...(model === undefined ? {} : { model }) }
  switch (kind) {
    case "claude":
      return { ...common, kind, isSubscription: table.subscription, program: { ...what, commands: table.commands } }
    case "codex":
      return {
        ...common,
        kind,
        program: {
          ...what,
          network: table.network,
          ...(login === undefined ? {} : { login }),
          ...(price === undefined ? {} : { price })
        }
      }
    case "anthropic":
    case "openai-compatible": {
      const name = present(model, "agent.model")
      return {
        ...common,
        kind,
        model: {
          ...where,
          model: name,
          prices: price === undefined ? "unknown" : { [name]: price },
          maxOutputTokens,
          ...(maxTokens === undefined ? {} : { maxTokens })
        }
      }
    }
  }
}
