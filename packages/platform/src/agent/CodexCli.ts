/**
 * OpenAI's Codex program as a coding agent: `codex exec`, one process a turn.
 *
 * The prompt goes to its standard input; its home is a fresh directory that is removed. What it does, it does in a
 * shell, and that shell is in the program's own sandbox: `read-only`, or, where the call grants `write` and is no repair,
 * `workspace-write`: the directory of the call and nothing else, no network (tried with the real program; see
 * docs/coding-agent.md). It needs a system that lets it make that sandbox.
 *
 * The program tells no price. Give `price` for the model; without it costs are zero, and a call with a limit of cost is
 * refused instead of running without one. Checked with version 0.171.0.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { CodingAgent, make, type MakeOptions, type Turn, type TurnError } from "../CodingAgent.ts"
import { runCliTurn } from "../internal/agentCli.ts"
import { optionRefused } from "../internal/agentFailure.ts"
import { type AgentHome, type Environment, secretNames, secretsAmong } from "../internal/agentHome.ts"
import { limitsImpossible } from "../internal/agentLimits.ts"
import { optionsRefused } from "../internal/agentOptions.ts"
import { codexArguments, sessionsIn } from "../internal/codexArguments.ts"
import * as Events from "../internal/codexEvents.ts"
import { followSession } from "../internal/codexSession.ts"
import type { Price } from "./Prices.ts"

/** How the program is found, what it may do, and who pays. */
export interface Options extends Pick<MakeOptions, "record" | "limits" | "answerCharacters" | "secrets"> {
  /** Default `codex`, from the PATH. */
  readonly program?: string | undefined
  /** A name that the provider knows. Default: the program's own choice. */
  readonly model?: string | undefined
  /** The key of an account that pays by use. Not used with `login`. */
  readonly apiKey?: Redacted.Redacted | undefined
  /**
   * Where `codex login` left what it needs: a directory such as `~/.codex`. Its settings are not read and no session is left
   * there. What a call uses is then known only when it ends well, and a call with a limit of rounds or cost is refused.
   */
  readonly login?: string | undefined
  /** Where the provider's API is, for a call with a key. Default `https://api.openai.com/v1`. */
  readonly baseUrl?: string | undefined
  /** What the model costs. */
  readonly price?: Price | undefined
  /** Whether shells of a call that may write reach the network. Default false. */
  readonly network?: boolean | undefined
  /**
   * Variables for the program beside those that it gets anyway (the way to programs, language, certificates). Secret ones
   * are `Redacted`, and are not handed on to its shells. They win over the layer's own.
   */
  readonly environment?: Environment | undefined
  /** Arguments for the program, after those of the layer. */
  readonly arguments?: ReadonlyArray<string> | undefined
  /** How often the program asks its provider again by itself. Default 2. With a login of its own it decides itself. */
  readonly retries?: number | undefined
  /** How long the program has to end when it is asked to, before it is killed. Default 3 seconds. */
  readonly grace?: Duration.Input | undefined
}

const keyVariable = "CODEX_API_KEY"

const environmentOf = (options: Options, home: AgentHome): ReadonlyArray<Environment> => [
  {
    CODEX_HOME: options.login ?? home.config,
    // The program would take a key instead of its login.
    ...(options.apiKey === undefined || options.login !== undefined ? {} : { [keyVariable]: options.apiKey })
  },
  options.environment ?? {}
]

/**
 * The agent. Whether the program is there shows at the first call; `requirements/Agent` looks beforehand.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect, Redacted, Schema } from "effect"
 * import * as CodexCli from "@espalier/platform/agent/CodexCli"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * const agent = CodexCli.layer({
 *   program: "/no/such/codex",
 *   model: "gpt-5-codex",
 *   apiKey: Redacted.make("sk-..."),
 *   price: { inputUsd: 1.25, cachedInputUsd: 0.125, outputUsd: 10 },
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

const refused = (error: TurnError): Effect.Effect<never, TurnError> => Effect.fail(error)

const service = (options: Options): CodingAgent["Service"] => {
  const { apiKey, login, price } = options
  const secrets = [
    ...(options.secrets ?? []),
    ...(apiKey === undefined ? [] : [apiKey]),
    ...secretsAmong(options.environment ?? {})
  ]
  const hidden = [keyVariable, ...secretNames(options.environment ?? {})]
  const turn = ({ directory, limits: { costUsd, rounds }, prompt, repair, report, write }: Turn) => {
    const wrong = optionsRefused(options)
    if (wrong !== undefined) return refused(optionRefused(wrong))
    const limits: Events.CodexLimits = { costUsd, rounds, price }
    const isLimited = (rounds ?? costUsd) !== undefined
    if (login !== undefined && isLimited) {
      return refused(limitsImpossible(
        "limits of rounds and cost cannot be kept with a login of its own: limit the time, or give `apiKey`"
      ))
    }
    if (costUsd !== undefined && price === undefined) {
      return refused(limitsImpossible(
        `a limit of ${costUsd} US$ cannot be kept where the price of the model is not known: give \`price\``
      ))
    }
    return runCliTurn({
      argv: () =>
        codexArguments({
          program: options.program ?? "codex",
          model: options.model,
          mayWrite: write !== undefined && !repair,
          mayUseNetwork: options.network ?? false,
          provider: login !== undefined ? undefined : { baseUrl: options.baseUrl ?? openAi, keyVariable },
          retries: options.retries ?? 2,
          hidden,
          extra: options.arguments ?? []
        }),
      environment: (home) => environmentOf(options, home),
      prompt,
      directory,
      report,
      graceMillis: Duration.toMillis(Duration.fromInputUnsafe(options.grace ?? "3 seconds")),
      answerCharacters: options.answerCharacters,
      install: "Install it (npm install --global @openai/codex), or say where it is",
      observe: login !== undefined ?
        undefined :
        (home, change) =>
          followSession(sessionsIn(home), {
            onAppeared: () => change(Events.appear),
            onTokens: (tokens) => change((state) => Events.spend(state, tokens, limits)),
            onLost: (detail) => {
              if (isLimited) change((state) => Events.lose(state, detail))
            }
          }).pipe(
            Effect.map((look) => ({ isCompleted }: Events.CodexState) => look(isCompleted)),
            Effect.catch((detail) =>
              isLimited
                ? Effect.fail(
                  limitsImpossible(
                    `limits of rounds and cost cannot be kept where its session cannot be read: ${detail}`
                  )
                )
                : Effect.succeed(() => undefined)
            )
          ),
      reading: {
        initial: Events.initial,
        step: Events.step,
        isOver: (state) => state.isOver,
        used: (state) => Events.used(state, price),
        conclude: (state, ended) => Events.conclude(state, ended, limits)
      }
    })
  }
  return make({ ...options, secrets, turn })
}

const openAi = "https://api.openai.com/v1"
