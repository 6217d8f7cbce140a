/**
 * A coding agent that follows a script: for tests, examples and dry runs. It answers with the texts
 * it is given and changes the files it is told to, by the writes that the caller grants. All that
 * makes an agent's answer usable (finding its JSON, decoding, repairing, counting) is the real thing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import {
  type AgentCall,
  CodingAgent,
  make,
  type MakeOptions,
  type Turn,
  type TurnError,
  type TurnResult,
  type Usage
} from "../CodingAgent.ts"

/** One turn of a script. A plain string is a `text` and nothing more. */
export interface Response {
  readonly text: string
  /** Files to write before the text is given. Needs a caller that grants writing. */
  readonly edits?: ReadonlyArray<{ readonly file: string; readonly content: string }> | undefined
  /** What is left out counts as zero. */
  readonly usage?: Partial<Omit<Usage, "turns">> | undefined
  readonly costUsd?: number | undefined
}

/** What the agent does on one turn: a response, or a failure to answer. */
export type Answer = string | Response | TurnError

/** The answers in order, or a function of the turn and its number, counted from 0. */
export type Script =
  | ReadonlyArray<Answer>
  | ((turn: Turn, index: number) => Answer | Effect.Effect<Answer, TurnError>)

/** A call, and when it ended, in milliseconds since the epoch. */
export interface RecordedCall extends AgentCall {
  readonly endedAt: number
}

/** The calls that ended, in order, those included that were given up, each with its prompts, texts, usage and cost. */
export class Calls extends Context.Service<Calls, {
  readonly all: Effect.Effect<ReadonlyArray<RecordedCall>>
}>()("@espalier/platform/agent/Scripted/Calls") {}

/**
 * The agent, and the record of its calls.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect, Schema } from "effect"
 * import * as Scripted from "@espalier/platform/agent/Scripted"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 * import * as Memory from "@espalier/platform/workspace/Memory"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const program = Effect.gen(function*() {
 *   const workspace = yield* Workspace
 *   const tree = yield* workspace.open({ run: "search", node: "first", base: "HEAD" })
 *   const agent = yield* CodingAgent
 *   yield* agent.run({
 *     prompt: "Make main.ts faster, and say what you did.",
 *     schema: Schema.Struct({ summary: Schema.String }),
 *     directory: tree.path,
 *     phase: "code_change",
 *     write: (file, content) => workspace.write(tree, file, content)
 *   })
 *   const calls = yield* Scripted.Calls
 *   assert.equal((yield* calls.all)[0]?.costUsd, 0.02)
 *   return yield* workspace.read(tree, "main.ts")
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Memory.layer({ files: { "main.ts": "slow()" } })),
 *   Effect.provide(Scripted.layer([{
 *     text: "{\"summary\": \"It was slow.\"}",
 *     edits: [{ file: "main.ts", content: "fast()" }],
 *     costUsd: 0.02
 *   }]))
 * )
 *
 * assert.equal(await Effect.runPromise(program), "fast()")
 * ```
 */
export const layer = (
  script: Script,
  options: Pick<MakeOptions, "record" | "limits" | "secrets" | "answerCharacters"> = {}
): Layer.Layer<CodingAgent | Calls> =>
  Layer.effectContext(Effect.gen(function*() {
    const taken = yield* Ref.make(0)
    const calls = yield* Ref.make<ReadonlyArray<RecordedCall>>([])
    const agent = make({
      ...options,
      turn: (turn) =>
        Effect.gen(function*() {
          const index = yield* Ref.getAndUpdate(taken, (count) => count + 1)
          const answer = yield* answerOf(script, turn, index)
          if (typeof answer === "string") return yield* perform({ text: answer }, turn)
          if ("_tag" in answer) return yield* Effect.fail(answer)
          return yield* perform(answer, turn)
        }),
      record: (call) =>
        Clock.currentTimeMillis.pipe(
          Effect.flatMap((endedAt) => Ref.update(calls, (all) => [...all, { ...call, endedAt }])),
          Effect.andThen(options.record?.(call) ?? Effect.void)
        )
    })
    return Context.make(CodingAgent, agent).pipe(Context.add(Calls, Calls.of({ all: Ref.get(calls) })))
  }))

const unavailable = (detail: string) => Effect.fail<TurnError>({ _tag: "Unavailable", detail })

const answerOf = (script: Script, turn: Turn, index: number): Effect.Effect<Answer, TurnError> => {
  if (typeof script === "function") {
    const answer = script(turn, index)
    return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
  }
  const answer = script[index]
  return answer === undefined
    ? unavailable(`its script has ${script.length} answers, and this is turn ${index + 1}. Add one to the script`)
    : Effect.succeed(answer)
}

const perform = (response: Response, turn: Turn): Effect.Effect<TurnResult, TurnError> =>
  Effect.gen(function*() {
    const edits = response.edits ?? []
    if (edits.length > 0 && turn.write === undefined) {
      return yield* unavailable("its script changes files, and this call may not. Give the call a `write`")
    }
    for (const { content, file } of edits) {
      yield* Effect.catch(turn.write!(file, content), (error) => unavailable(error.message))
    }
    return {
      text: response.text,
      usage: { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, ...response.usage },
      costUsd: response.costUsd ?? 0
    }
  })
