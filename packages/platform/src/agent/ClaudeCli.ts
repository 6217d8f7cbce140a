/**
 * Claude's own program as a coding agent: `claude --print`, one process a turn.
 *
 * The prompt goes to its standard input; no session is kept; its home is a fresh directory that is removed. Of its tools
 * it gets those that are named here, and of them only the reading ones in a call that does not grant `write`, and in a
 * repair. Its file tools stay inside the directory of the call (`--restricted`; tried with the real program, symbolic
 * links included). A shell, where you give it one, does not: see docs/coding-agent.md.
 *
 * Checked with version 2.1.332. One that does not know `--restricted` does not start.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { CodingAgent, make, type MakeOptions, type Turn, type TurnError, type TurnResult } from "../CodingAgent.ts"
import { runCliTurn } from "../internal/agentCli.ts"
import { optionRefused } from "../internal/agentFailure.ts"
import { type AgentHome, type Environment, secretsAmong } from "../internal/agentHome.ts"
import { optionsRefused } from "../internal/agentOptions.ts"
import { claudeArguments, claudeInput } from "../internal/claudeArguments.ts"
import * as Events from "../internal/claudeEvents.ts"

/** How the program is found, what it may do, and who pays. */
export interface Options extends Pick<MakeOptions, "record" | "limits" | "answerCharacters" | "secrets"> {
  /** Default `claude`, from the PATH. */
  readonly program?: string | undefined
  /** A name or alias that the program knows. Default: the program's own choice. */
  readonly model?: string | undefined
  /** The key of an account that pays by use: `ANTHROPIC_API_KEY`. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** What `claude setup-token` gives for a subscription: `CLAUDE_CODE_OAUTH_TOKEN`. */
  readonly oauthToken?: Redacted.Redacted | undefined
  /** Where the provider, or a gateway to it, is. Default: the program's own. */
  readonly baseUrl?: string | undefined
  /** Tools of every call. Default `Read`, `Grep`, `Glob`. */
  readonly readTools?: ReadonlyArray<string> | undefined
  /** Tools of calls that may write, besides. Default `Edit`, `Write`. */
  readonly writeTools?: ReadonlyArray<string> | undefined
  /**
   * Shell commands that calls which may write can run, as the program's permission rules say them: `npm test`,
   * `cargo bench *`. Default none: then the program has no shell. What is allowed here is not held by anything.
   */
  readonly commands?: ReadonlyArray<string> | undefined
  /**
   * Variables for the program beside those that it gets anyway (the way to programs, language, certificates). Secret ones
   * are `Redacted`. They win over the layer's own.
   */
  readonly environment?: Environment | undefined
  /** Arguments for the program, after those of the layer. */
  readonly arguments?: ReadonlyArray<string> | undefined
  /** How often the program asks its provider again by itself. Default 2. */
  readonly retries?: number | undefined
  /** A provider that asks for a longer pause ends the call as `AgentRateLimited`. Default 10 seconds. */
  readonly longestPause?: Duration.Input | undefined
  /** How long the program has to end when it is asked to, before it is killed. Default 3 seconds. */
  readonly grace?: Duration.Input | undefined
}

/** What the program must not do behind the back of its user: report, update, look around. */
const quiet = {
  DISABLE_TELEMETRY: "1",
  DISABLE_ERROR_REPORTING: "1",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_BUG_COMMAND: "1",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1"
}

const environmentOf = (options: Options, home: AgentHome): ReadonlyArray<Environment> => {
  const { apiKey, baseUrl, oauthToken } = options
  return [
    quiet,
    {
      CLAUDE_CONFIG_DIR: home.config,
      CLAUDE_CODE_MAX_RETRIES: String(options.retries ?? 2),
      ...(apiKey === undefined ? {} : { ANTHROPIC_API_KEY: apiKey }),
      ...(oauthToken === undefined ? {} : { CLAUDE_CODE_OAUTH_TOKEN: oauthToken }),
      ...(baseUrl === undefined ? {} : { ANTHROPIC_BASE_URL: baseUrl })
    },
    options.environment ?? {}
  ]
}

/**
 * The agent. Whether the program is there shows at the first call; `requirements/Agent` looks beforehand.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect, Redacted, Schema } from "effect"
 * import * as ClaudeCli from "@espalier/platform/agent/ClaudeCli"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * const agent = ClaudeCli.layer({
 *   program: "/no/such/claude",
 *   model: "sonnet",
 *   apiKey: Redacted.make("sk-ant-..."),
 *   limits: { time: "10 minutes", costUsd: 2, rounds: 50 }
 * })
 *
 * const program = Effect.flatMap(CodingAgent, (agent) =>
 *   agent.run({
 *     prompt: "How many workers should the pipeline have? Answer as {\"workers\": number}.",
 *     schema: Schema.Struct({ workers: Schema.Int }),
 *     directory: process.cwd(),
 *     phase: "planning"
 *   })
 * ).pipe(Effect.provide(agent))
 *
 * const error = await Effect.runPromise(Effect.flip(program))
 * assert.equal(error._tag === "AgentUnavailable" && error.reason, "not-installed")
 * ```
 */
export const layer = (options: Options): Layer.Layer<CodingAgent> => Layer.sync(CodingAgent, () => service(options))

const service = (options: Options): CodingAgent["Service"] => {
  const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))
  const secrets = [
    ...(options.secrets ?? []),
    ...[options.apiKey, options.oauthToken].filter((secret) => secret !== undefined),
    ...secretsAmong(options.environment ?? {})
  ]
  const wrong = optionsRefused(options)
  const turn = ({ directory, limits, prompt, repair, report, write }: Turn): Effect.Effect<TurnResult, TurnError> =>
    wrong !== undefined ? Effect.fail(optionRefused(wrong)) : runCliTurn({
      argv: () =>
        claudeArguments({
          program: options.program ?? "claude",
          model: options.model,
          mayWrite: write !== undefined && !repair,
          readTools: options.readTools ?? ["Read", "Grep", "Glob"],
          writeTools: options.writeTools ?? ["Edit", "Write"],
          commands: options.commands ?? [],
          rounds: limits.rounds,
          costUsd: limits.costUsd,
          extra: options.arguments ?? []
        }),
      environment: (home) => environmentOf(options, home),
      prompt: claudeInput(prompt),
      directory,
      report,
      graceMillis: millis(options.grace ?? "3 seconds"),
      // It then ends its work in order, and says what it has cost.
      politeSignal: "SIGINT",
      answerCharacters: options.answerCharacters,
      install: "Install it (npm install --global @anthropic-ai/claude-code), or say where it is",
      reading: {
        initial: Events.initial,
        step: (state, line) => Events.step(state, line, millis(options.longestPause ?? "10 seconds")),
        isOver: (state) => state.pause !== undefined,
        used: Events.used,
        conclude: (state, ended, nowMillis) => Events.conclude(state, ended, nowMillis, limits.costUsd)
      }
    })
  return make({ ...options, secrets, turn })
}
