/**
 * A coding agent: asked in words, it changes files in a directory and answers in data.
 *
 * What it answers is untrusted. The JSON in its text is decoded by the caller's schema; when that
 * fails the agent gets one repair turn, with its answer and the decode error in hand; after that the
 * call has failed, typed. Calls are stateless: the prompt holds all that is needed. Every turn
 * counts, also those of calls that fail: errors carry what was used.
 *
 * `make` turns anything that answers a prompt with text into this service, and enforces there, for every
 * agent alike, what can be enforced from outside: the time and cost of a call, the length of an answer, and
 * that no secret is in what is told or recorded. Layers: `agent/ClaudeCli` and `agent/CodexCli` (programs with hands of
 * their own), `agent/LanguageModel` (any model behind an interface of Effect), `agent/Recorded`, `agent/Scripted`;
 * `CodingAgentSuite` in `@espalier/platform/testing` binds them all.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import {
  addUsage,
  type AgentError,
  AnswerRejected,
  type LimitName,
  noUsage,
  type UnavailableReason,
  type Usage
} from "./agent/AgentError.ts"
import { harmless } from "./evidence/LogText.ts"
import { findAnswer } from "./internal/agentAnswer.ts"
import { endOf, succeeded } from "./internal/agentEnd.ts"
import { turnFailed } from "./internal/agentFailure.ts"
import { limitsImpossible, limitsRefused, narrowed } from "./internal/agentLimits.ts"
import { repairPrompt } from "./internal/agentPrompt.ts"
import { redactor } from "./internal/agentSecrets.ts"

export {
  addUsage,
  AgentError,
  AgentLimitReached,
  AgentRateLimited,
  AgentUnavailable,
  AnswerRejected,
  LimitName,
  noUsage,
  UnavailableReason,
  Usage
} from "./agent/AgentError.ts"

/** What a call may take at most. What is left out is not limited. */
export interface Limits {
  /** Of the whole call, its repair included. The agent is then ended, with all that it started. */
  readonly time?: Duration.Input | undefined
  /**
   * US dollars of the whole call, its repair included. As hard as the agent makes it: one round is paid before its
   * price is known, so a call may cost more by the price of one round.
   */
  readonly costUsd?: number | undefined
  /** How often the agent may go back to its model in one turn: agents that use tools do so many times. */
  readonly rounds?: number | undefined
}

/**
 * Where an agent may change files. An agent that has no hands of its own does it by this: `Workspace.write` on the
 * experiment's tree, which keeps it inside of that tree. One that has hands changes them itself, and only
 * where this is given. Its failure is its message.
 */
export type Write = (file: string, content: string) => Effect.Effect<void, { readonly message: string }>

/** What an agent is asked. */
export interface AgentRequest<A> {
  /** Everything it needs to know. */
  readonly prompt: string
  /** What its answer must decode to. Services are not allowed, so an answer means the same everywhere. */
  readonly schema: Schema.Decoder<A>
  /** Absolute path of the directory that it works in. */
  readonly directory: string
  /** What the call is for, in records and messages: `planning`, `code_change`... */
  readonly phase: string
  /** Given where it may change files. */
  readonly write?: Write | undefined
  /** Narrower than those of the agent; where both say something, the smaller counts. */
  readonly limits?: Limits | undefined
}

/** What an agent answered, and what that took. */
export interface AgentAnswer<A> {
  /** The answer as it came, of the last turn. */
  readonly text: string
  readonly answer: A
  readonly usage: Usage
  /** In US dollars. Zero where the agent does not say. */
  readonly costUsd: number
}

/** What a turn took. */
export interface Used {
  readonly usage: Omit<Usage, "turns">
  /** In US dollars. Zero where the agent does not say. */
  readonly costUsd: number
}

/** One prompt, as the agent itself gets it. */
export interface Turn {
  readonly prompt: string
  readonly directory: string
  readonly phase: string
  readonly write: Write | undefined
  /** True for the second turn, which asks to mend the answer of the first. */
  readonly repair: boolean
  /**
   * What is left of the limits for this turn. The time is kept by `make`, which interrupts the turn; cost and rounds
   * are the agent's to keep.
   */
  readonly limits: { readonly costUsd: number | undefined; readonly rounds: number | undefined }
  /** Tells what the turn has used until now, so that this is not lost where the turn is cut off. */
  readonly report: (used: Used) => void
}

/** What came of one prompt. */
export interface TurnResult extends Used {
  readonly text: string
}

/** Why one prompt brought no text, and what it used all the same (else what was last reported counts). */
export type TurnError =
  & (
    | {
      readonly _tag: "RateLimited"
      readonly retryAfterMillis: number | null
      readonly overloaded?: boolean | undefined
      readonly detail: string
    }
    | { readonly _tag: "LimitReached"; readonly limit: LimitName; readonly detail: string }
    | {
      readonly _tag: "Unavailable"
      /** Default `failed`. */
      readonly reason?: UnavailableReason | undefined
      readonly detail: string
      /** What to do about it, where that is not what the reason alone says. A sentence without its full stop. */
      readonly remedy?: string | undefined
    }
  )
  & { readonly used?: Used | undefined }

/** One call of an agent, for the record: how it went and what it used. */
export interface AgentCall {
  readonly phase: string
  readonly directory: string
  /** The prompts and the texts of its turns, in order. A turn that brought no text has null. */
  readonly turns: ReadonlyArray<{ readonly prompt: string; readonly text: string | null }>
  readonly usage: Usage
  readonly costUsd: number
  /** Null where the call succeeded, where it was interrupted, and where it died of a defect. */
  readonly error: AgentError | null
  /** True where the caller gave the call up. What it had used until then is known as far as it was reported. */
  readonly interrupted: boolean
  /**
   * What the call died of, in words: a mistake in what was given to it, such as a `write` that throws. Null where it ended
   * in another way. It may have been interrupted as well.
   */
  readonly defect: string | null
}

/**
 * A coding agent.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect, Schema } from "effect"
 * import * as Scripted from "@espalier/platform/agent/Scripted"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * const Proposal = Schema.Struct({ workers: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const agent = yield* CodingAgent
 *   return yield* agent.run({
 *     prompt: "How many workers should the pipeline have?",
 *     schema: Proposal,
 *     directory: "/tree",
 *     phase: "planning"
 *   })
 * }).pipe(Effect.provide(Scripted.layer([
 *   "I think four would do.", // no JSON: the agent is asked once more
 *   "Here it is: {\"workers\": 4}"
 * ])))
 *
 * const { answer, usage } = await Effect.runPromise(program)
 * assert.deepEqual(answer, { workers: 4 })
 * assert.equal(usage.turns, 2)
 * ```
 */
export class CodingAgent extends Context.Service<CodingAgent, {
  /** Asks, decodes the answer, and asks once more where it does not decode. */
  run<A>(request: AgentRequest<A>): Effect.Effect<AgentAnswer<A>, AgentError>
}>()("@espalier/platform/CodingAgent") {}

/** Most characters of an answer that are read, where nothing else is said. */
const answerCharacters = 1_000_000

/** What `make` takes. */
export interface MakeOptions {
  /** Answers one prompt. It is interrupted at the time limit; nothing that it started may then be left. */
  readonly turn: (turn: Turn) => Effect.Effect<TurnResult, TurnError>
  /** Called once for each call when it ends: also for one that fails, is interrupted or dies, with all that it used. */
  readonly record?: ((call: AgentCall) => Effect.Effect<void>) | undefined
  /** Of every call. */
  readonly limits?: Limits | undefined
  /** Most characters of an answer; a longer one is `AgentLimitReached`. Default a million. */
  readonly answerCharacters?: number | undefined
  /** What must not be in any prompt, answer, error or record: it is replaced by `<redacted>`. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
}

/** The service, from something that answers one prompt with text. */
export const make = (options: MakeOptions): CodingAgent["Service"] => {
  const record = options.record ?? (() => Effect.void)
  const redact = redactor(options.secrets ?? [])
  /** For messages, which end in terminals. Looked through twice: control characters may stand in a secret, or part it. */
  const shown = (text: string): string => redact(harmless(redact(text)))
  const longest = options.answerCharacters ?? answerCharacters
  return CodingAgent.of({
    run: <A>(request: AgentRequest<A>) =>
      Effect.suspend(() => {
        const { directory, phase, write } = request
        const limits = narrowed(options.limits ?? {}, request.limits ?? {})
        const turns: Array<AgentCall["turns"][number]> = []
        let settled = { usage: noUsage, costUsd: 0 }
        /** The turn that is going on, and what it has reported. */
        let open: { readonly prompt: string; used: Used } | undefined

        const close = (text: string | null, used: Used) => {
          if (open === undefined) return
          turns.push({ prompt: open.prompt, text })
          settled = {
            usage: addUsage(settled.usage, { ...used.usage, turns: 1 }),
            costUsd: settled.costUsd + used.costUsd
          }
          open = undefined
        }
        const fail = (error: TurnError) =>
          Effect.suspend(() => {
            close(null, error.used ?? open?.used ?? nothingUsed)
            return Effect.fail(turnFailed({ ...error, detail: shown(error.detail) }, { phase, ...settled }))
          })

        const ask = (words: string, repair: boolean) =>
          Effect.suspend(() => {
            const costUsd = limits.costUsd === undefined ? undefined : limits.costUsd - settled.costUsd
            if (costUsd !== undefined && costUsd <= 0) {
              return fail({ _tag: "LimitReached", limit: "cost", detail: `of ${limits.costUsd} US$ nothing is left` })
            }
            const turn = { prompt: redact(words), used: nothingUsed }
            open = turn
            return options.turn({
              prompt: turn.prompt,
              repair,
              directory,
              phase,
              write,
              limits: { costUsd, rounds: limits.rounds },
              report: (used) => {
                turn.used = used
              }
            }).pipe(
              Effect.catch(fail),
              Effect.flatMap(({ text: raw, ...used }) => {
                if (raw.length > longest) {
                  const detail = `its answer has ${raw.length} characters, and at most ${longest} are read`
                  return fail({ _tag: "LimitReached", limit: "answer", detail, used })
                }
                const text = redact(raw)
                close(text, used)
                return Effect.succeed(text)
              })
            )
          })

        const call = Effect.gen(function*() {
          const wrong = limitsRefused(options.limits ?? {}) ?? limitsRefused(request.limits ?? {})
          if (wrong !== undefined) return yield* fail(limitsImpossible(wrong))
          const first = yield* ask(request.prompt, false)
          const decoded = yield* findAnswer(first, request.schema)
          if (Result.isSuccess(decoded)) return { text: first, answer: decoded.success, ...settled }
          const second = yield* ask(repairPrompt(request.prompt, first, decoded.failure), true)
          const repaired = yield* findAnswer(second, request.schema)
          if (Result.isSuccess(repaired)) return { text: second, answer: repaired.success, ...settled }
          const issue = shown(repaired.failure)
          return yield* new AnswerRejected({
            phase,
            ...settled,
            issue,
            text: second,
            message: `The agent's answer in phase ${phase} does not fit its schema, also after one repair: ` +
              `${issue}. Look at the prompt and the answer; a clearer prompt or another model may help`
          })
        })

        const { time } = limits
        const limited = time === undefined ? call : Effect.timeoutOrElse(call, {
          duration: time,
          orElse: () =>
            fail({ _tag: "LimitReached", limit: "time", detail: `it took longer than ${Duration.format(time)}` })
        })
        return Effect.onExit(limited, (exit) => {
          if (Exit.isSuccess(exit)) {
            return record({ phase, directory, turns, ...settled, ...succeeded })
          }
          close(null, open?.used ?? nothingUsed)
          return record({ phase, directory, turns, ...settled, ...endOf(exit.cause, redact) })
        })
      })
  })
}

const nothingUsed: Used = { usage: { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }, costUsd: 0 }
