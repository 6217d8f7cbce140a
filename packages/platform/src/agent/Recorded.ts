/**
 * A coding agent that is asked once and replayed for ever: tests, demonstrations and debugging of a whole search without
 * paying for an agent, and with the same answers each time.
 *
 * A file a call, kept under a hash of all that determines its answer: prompt, phase, schema, whether it may write, who
 * answers, and the state of the directory where the user says what that is. It holds the answer, what it took, and the
 * changes that the agent made to files, so that a replay makes the same. A call that has no recording is a typed miss
 * that names the closest one and what differs.
 *
 * Limits of a call are not part of its key: a recorded answer stands, whatever it took. One call has one recording, so
 * an agent that is asked the same twice is recorded once; what comes later takes the place of what was there.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import {
  type AgentAnswer,
  type AgentCall,
  type AgentError,
  type AgentRequest,
  CodingAgent,
  noUsage,
  type Usage,
  type Write
} from "../CodingAgent.ts"
import { findAnswer } from "../internal/agentAnswer.ts"
import { endOf, succeeded } from "../internal/agentEnd.ts"
import { redactor } from "../internal/agentSecrets.ts"
import * as Call from "../internal/recordedCall.ts"
import * as Files from "../internal/recordedFiles.ts"
import { notFound, notRecorded, unstated, unusable } from "../internal/recordedErrors.ts"
import { environmentSecrets, refuseSecrets } from "../internal/recordedSecrets.ts"
import * as Tree from "../internal/recordedTree.ts"
import { makeOneAtATime, type OneAtATime } from "../internal/recordedTurns.ts"

export { NotRecorded, RecordingMissing, RecordingUnusable } from "../internal/recordedErrors.ts"

/** What every mode needs. */
export interface Options {
  /** Where the recordings lie. It is made where it does not exist. */
  readonly directory: string
  /** What answers: the agent, its model, and what else changes its answers. A recording of another one is not taken. */
  readonly identity: string
  /**
   * The state of a call's directory, in a few words: the commit of the tree, say, or `contentOf`. Without it the state
   * is not part of what is asked.
   */
  readonly state?:
    | ((request: { readonly directory: string; readonly phase: string }) => Effect.Effect<
      string,
      { readonly message: string }
    >)
    | undefined
  /**
   * What must not get into a recording. In prompts and texts it is replaced by `<redacted>`; a call that wrote it to a
   * file is not recorded, and fails. Variables of the environment that are named like keys are always among them.
   */
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
  /** Called once for each call when it ends, also for one that is replayed. */
  readonly record?: ((call: AgentCall) => Effect.Effect<void>) | undefined
  /** Names of files and directories whose changes are not recorded. Default: `.git`, `node_modules`, `.venv`, `__pycache__`. */
  readonly ignored?: ReadonlyArray<string> | undefined
  /** Most bytes of all files that a call changes. Default 10 million. */
  readonly changeBytes?: number | undefined
}

/** What the agent that is recorded has to be made with. */
export interface Hooks {
  readonly record: (call: AgentCall) => Effect.Effect<void>
}

/** Only what is recorded: nothing is ever asked. */
export interface Replay extends Options {
  readonly mode: "replay"
}

/**
 * `record` asks always, and records. `replay-or-record` asks where there is no recording, or only one of a failure
 * that need not happen again (a rate limit, a limit reached, an agent that was not there).
 */
export interface Recording<E, R> extends Options {
  readonly mode: "record" | "replay-or-record"
  /** The agent that answers, made with these hooks: `(hooks) => ClaudeCli.layer({ ...options, ...hooks })`. */
  readonly agent: (hooks: Hooks) => Layer.Layer<CodingAgent, E, R>
}

/**
 * The agent.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import * as fs from "node:fs/promises"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect, Schema } from "effect"
 * import * as Recorded from "@espalier/platform/agent/Recorded"
 * import * as Scripted from "@espalier/platform/agent/Scripted"
 * import { CodingAgent } from "@espalier/platform/CodingAgent"
 *
 * const directory = await fs.mkdtemp(join(tmpdir(), "recordings-"))
 * const tape = { directory, identity: "a script" }
 *
 * const ask = (prompt: string) =>
 *   Effect.flatMap(CodingAgent, (agent) =>
 *     agent.run({ prompt, schema: Schema.Struct({ workers: Schema.Int }), directory: "/tree", phase: "planning" }))
 *
 * // Once, with the agent.
 * await Effect.runPromise(ask("How many workers?").pipe(Effect.provide(Recorded.layer({
 *   ...tape,
 *   mode: "record",
 *   agent: (hooks) => Scripted.layer(["{\"workers\": 4}"], hooks)
 * }))))
 *
 * // And then for ever, without it.
 * const replay = Recorded.layer({ ...tape, mode: "replay" })
 * const { answer } = await Effect.runPromise(ask("How many workers?").pipe(Effect.provide(replay)))
 * assert.deepEqual(answer, { workers: 4 })
 *
 * const miss = await Effect.runPromise(Effect.flip(ask("How many threads?").pipe(Effect.provide(replay))))
 * assert.ok(miss instanceof Recorded.RecordingMissing)
 * assert.match(miss.differs[0] ?? "", /workers.*threads/)
 * await fs.rm(directory, { recursive: true })
 * ```
 */
export function layer(options: Replay): Layer.Layer<CodingAgent>
export function layer<E, R>(options: Recording<E, R>): Layer.Layer<CodingAgent, E, R>
export function layer<E, R>(options: Replay | Recording<E, R>): Layer.Layer<CodingAgent, E, R> {
  if (options.mode === "replay") {
    return Layer.succeed(
      CodingAgent,
      CodingAgent.of({ run: (request) => playing(deckOf(options), request, undefined) })
    )
  }
  const hooks: Hooks = { record: (call) => Effect.flatMap(Tape, (tape) => Effect.sync(() => tape?.(call))) }
  return Layer.effect(
    CodingAgent,
    Effect.map(CodingAgent, (agent) => {
      const live: Live = { agent, always: options.mode === "record", oneAtATime: makeOneAtATime() }
      return CodingAgent.of({ run: (request) => playing(deckOf(options), request, live) })
    })
  ).pipe(Layer.provide(options.agent(hooks)))
}

/**
 * A hash of all files of a directory with their paths: the exact state, for `Options.state`. It reads every file, so
 * for a tree under source control the commit is the better choice.
 */
export const contentOf = (
  directory: string,
  ignored: ReadonlyArray<string> = defaultIgnored
): Effect.Effect<string, { readonly message: string }> => Tree.contentHash(directory, ignored)

const defaultIgnored = [".git", "node_modules", ".venv", "__pycache__"]

/** Takes the record of the inner agent's call to the call that it belongs to: they run on one fiber. */
const Tape = Context.Reference<((call: AgentCall) => void) | undefined>("@espalier/platform/agent/Recorded/Tape", {
  defaultValue: () => undefined
})

interface Deck {
  readonly options: Options
  readonly redact: (text: string) => string
  readonly bounds: Tree.TreeBounds
}

const deckOf = (options: Options): Deck => ({
  options,
  redact: redactor([...options.secrets ?? [], ...environmentSecrets(process.env)]),
  bounds: { ignored: options.ignored ?? defaultIgnored, changeBytes: options.changeBytes ?? 10_000_000 }
})

interface Live {
  readonly agent: CodingAgent["Service"]
  readonly always: boolean
  readonly oneAtATime: OneAtATime
}

const playing = <A>(
  deck: Deck,
  request: AgentRequest<A>,
  live: Live | undefined
): Effect.Effect<AgentAnswer<A>, AgentError> =>
  Effect.suspend(() => {
    const { phase } = request
    let told: Told = { turns: [], usage: noUsage, costUsd: 0 }
    const tell = (call: Told) => {
      told = call
    }
    const play = Effect.gen(function*() {
      const asked = yield* askedOf(deck, request)
      const found = Effect.mapError(Files.load(deck.options.directory, asked), unusable(phase))
      if (live === undefined) {
        const there = yield* found
        if (there === undefined) return yield* missing(deck, phase, asked)
        return yield* replaying(deck, request, there.answered, asked, tell)
      }
      const ask = recording(deck, request, asked, live.agent, tell)
      if (live.always) return yield* ask
      return yield* live.oneAtATime(
        Call.keyOf(asked),
        Effect.flatMap(found, (there) =>
          there === undefined || mayNotHappenAgain(there.answered.error)
            ? ask
            : replaying(deck, request, there.answered, asked, tell))
      )
    })
    return Effect.onExit(play, (exit) => {
      const end = Exit.isFailure(exit) ? endOf(exit.cause, deck.redact) : succeeded
      return deck.options.record?.({
        phase,
        directory: request.directory,
        turns: told.turns,
        usage: end.error?.usage ?? told.usage,
        costUsd: end.error?.costUsd ?? told.costUsd,
        ...end
      }) ?? Effect.void
    })
  })

/** What is known of a call until it ends. */
type Told = Pick<AgentCall, "turns" | "usage" | "costUsd">

const mayNotHappenAgain = (error: AgentError | null): boolean => error !== null && error._tag !== "AnswerRejected"

const askedOf = (deck: Deck, request: AgentRequest<unknown>): Effect.Effect<Call.Asked, AgentError> =>
  Effect.gen(function*() {
    const { identity, state } = deck.options
    const { directory, phase, prompt, schema, write } = request
    return {
      phase,
      prompt: deck.redact(Call.marked(prompt, directory)),
      schema: Call.schemaOf(schema),
      write: write !== undefined,
      identity: deck.redact(identity),
      state: state === undefined ? null : yield* Effect.mapBoth(state({ directory, phase }), {
        onSuccess: deck.redact,
        onFailure: ({ message }) => unstated(phase, directory, deck.redact(message))
      })
    }
  })

const replaying = <A>(
  deck: Deck,
  request: AgentRequest<A>,
  answered: Call.Answered,
  asked: Call.Asked,
  tell: (call: Told) => void
): Effect.Effect<AgentAnswer<A>, AgentError> =>
  Effect.gen(function*() {
    const { directory, phase, write } = request
    const unmarked = (told: string) => Call.unmarked(told, directory)
    tell({
      ...answered,
      turns: answered.turns.map(({ prompt, text }) => ({
        prompt: unmarked(prompt),
        text: text === null ? null : unmarked(text)
      }))
    })
    const file = `${deck.options.directory}/${Call.fileNameOf(asked)}`
    const bad = (why: string) => unusable(phase)({ file, why })
    const text = unmarked(answered.text ?? "")
    const answer = answered.error === null ? yield* findAnswer(text, request.schema) : undefined
    if (answer !== undefined && Result.isFailure(answer)) {
      return yield* bad(`its answer does not fit the schema any more: ${answer.failure}`)
    }
    for (const change of answered.changes) {
      const applied = change._tag === "Written" && change.granted && write !== undefined
        ? write(change.file, change.content)
        : Tree.apply(directory, change)
      yield* Effect.mapError(applied, ({ message }) =>
        bad(`the recorded change of ${change.file} cannot be made: ${message}`))
    }
    if (answer !== undefined) {
      return { text, answer: answer.success, usage: answered.usage, costUsd: answered.costUsd }
    }
    return yield* yield* Call.mapTexts(answered.error!, unmarked)
  })

const recording = <A>(
  deck: Deck,
  request: AgentRequest<A>,
  asked: Call.Asked,
  agent: CodingAgent["Service"],
  tell: (call: Told) => void
): Effect.Effect<AgentAnswer<A>, AgentError> =>
  Effect.gen(function*() {
    const { bounds } = deck
    const { directory, phase, write } = request
    const granted = new Map<string, string>()
    const watched: Write | undefined = write &&
      ((file, content) =>
        Effect.tap(write(file, content), () =>
          Effect.sync(() => {
            // Behind those that came before it: a later write may depend on an earlier one of another file.
            granted.delete(Tree.plain(file))
            granted.set(Tree.plain(file), content)
          })))
    const broken = (used: { readonly usage: Usage; readonly costUsd: number }) => ({ message }: { message: string }) =>
      notRecorded(phase, deck.redact(message), used)

    const before = write &&
      (yield* Effect.mapError(Tree.look(directory, bounds), broken({ usage: noUsage, costUsd: 0 })))
    let call: AgentCall | undefined
    const result = yield* Effect.result(agent.run({ ...request, write: watched })).pipe(
      Effect.provideService(Tape, (ended) => {
        call = ended
        tell(ended)
      })
    )
    const ended = Result.isSuccess(result) ? result.success : result.failure
    const changes = before === undefined ? [] : yield* Effect.mapError(
      Effect.flatMap(
        Tree.look(directory, bounds),
        (after) => Tree.changesOf(directory, granted, before, after, bounds)
      ),
      broken(ended)
    )
    yield* Effect.mapError(refuseSecrets(deck.redact, changes), broken(ended))

    const told = (text: string) => deck.redact(Call.marked(text, directory))
    const text = Result.isSuccess(result) ? told(result.success.text) : null
    const answered: Call.Answered = {
      turns: (call?.turns ?? [{ prompt: request.prompt, text }]).map((turn) => ({
        prompt: told(turn.prompt),
        text: turn.text === null ? null : told(turn.text)
      })),
      text,
      error: Result.isSuccess(result) ? null : yield* Call.mapTexts(result.failure, told),
      usage: ended.usage,
      costUsd: ended.costUsd,
      changes
    }
    yield* Effect.mapError(keep(deck, asked, answered), broken(ended))
    return yield* Effect.fromResult(result)
  })

/** A failure that need not happen again does not take the place of an answer. */
const keep = (
  { options: { directory } }: Deck,
  asked: Call.Asked,
  answered: Call.Answered
): Effect.Effect<void, { readonly message: string }> =>
  Effect.gen(function*() {
    if (mayNotHappenAgain(answered.error)) {
      const there = yield* Effect.option(Files.load(directory, asked))
      if (there._tag === "Some" && there.value !== undefined && !mayNotHappenAgain(there.value.answered.error)) return
    }
    const text = yield* Call.encode({ asked, answered }, DateTime.formatIso(yield* DateTime.now))
    yield* Effect.mapError(Files.store(directory, asked, text), ({ file, why }) => ({
      message: `${file} cannot be written: ${why}`
    }))
  })

const missing = (deck: Deck, phase: string, asked: Call.Asked): Effect.Effect<never, AgentError> => {
  const { directory } = deck.options
  return Effect.flatMap(
    Effect.mapError(Files.closest(directory, asked), unusable(phase)),
    (near) => Effect.fail(notFound(phase, directory, near))
  )
}
