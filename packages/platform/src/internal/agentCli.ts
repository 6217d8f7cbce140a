/**
 * One turn of an agent that is a program: its private home, its environment, its process, and what comes of its output
 * in the end. What is the same for all such programs.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { TurnError, TurnResult, Used } from "../CodingAgent.ts"
import type { Line } from "../evidence/LogText.ts"
import { optionRefused } from "./agentFailure.ts"
import { agentEnvironment, type AgentHome, agentHome, type Environment, environmentRefused } from "./agentHome.ts"
import { type AgentEnded, runAgentProcess } from "./agentProcess.ts"

/** How long a line may be that holds an answer: JSON can make six bytes of a character, and there is more in a line. */
const lineBytesFor = (answerCharacters = 1_000_000): number => 8 * answerCharacters + 1_000_000

/** What a program prints, folded. */
export interface Reading<State> {
  readonly initial: State
  readonly step: (state: State, line: Line) => State
  /** Whether it has gone on for long enough. */
  readonly isOver: (state: State) => boolean
  readonly used: (state: State) => Used
  readonly conclude: (state: State, ended: AgentEnded, nowMillis: number) => TurnResult | TurnError
}

/** What one turn of a program takes. */
export interface CliTurn<State> {
  /** The program and its arguments. */
  readonly argv: (home: AgentHome) => readonly [string, ...ReadonlyArray<string>]
  /** Variables beside those that are handed on; the later win. */
  readonly environment: (home: AgentHome) => ReadonlyArray<Environment>
  readonly prompt: string
  readonly directory: string
  readonly reading: Reading<State>
  /**
   * Another source than the output, for as long as the scope is open: it changes the state as it learns. The result is
   * called with the state when a line has been read, so that it may look. It fails where the program must not run without it.
   */
  readonly observe?:
    | ((home: AgentHome, change: (change: (state: State) => State) => void) => Effect.Effect<
      (state: State) => void,
      TurnError,
      Scope.Scope
    >)
    | undefined
  readonly report: (used: Used) => void
  readonly graceMillis: number
  readonly politeSignal?: NodeJS.Signals | undefined
  /** Most characters of an answer; undefined means the same as for `make`. */
  readonly answerCharacters: number | undefined
  /** What to do where the program is not there. */
  readonly install: string
}

/** All that is read is an object that tells its type. There may be millions of other lines: to decode one costs the most. */
const mayBeEvent = (text: string): boolean => text.includes("\"type\"") && text.trimEnd().endsWith("}")

const unavailable = (
  detail: string,
  reason: "not-installed" | "failed" | "unauthorized"
): TurnError => ({
  _tag: "Unavailable",
  reason,
  detail
})

const isFailure = (outcome: TurnResult | TurnError): outcome is TurnError => "_tag" in outcome

/** Runs the program once. */
export const runCliTurn = <State>(turn: CliTurn<State>): Effect.Effect<TurnResult, TurnError> =>
  Effect.gen(function*() {
    const { reading } = turn
    const home = yield* Effect.mapError(agentHome, (detail) => unavailable(detail, "failed"))
    const environment = turn.environment(home)
    const refused = environmentRefused(...environment)
    if (refused !== undefined) {
      const { detail, reason } = refused
      return yield* Effect.fail(reason === "refused" ? optionRefused(detail) : unavailable(detail, reason))
    }
    let state = reading.initial
    let stop: () => void = () => undefined
    const change = (next: (state: State) => State): boolean => {
      const changed = next(state)
      if (changed !== state) turn.report(reading.used(changed))
      state = changed
      return reading.isOver(state)
    }
    const observed = turn.observe?.(home, (next) => {
      if (change(next)) stop()
    })
    const look = observed && (yield* observed)
    const ended = yield* runAgentProcess({
      argv: turn.argv(home),
      directory: turn.directory,
      environment: agentEnvironment(process.env, home, ...environment),
      stdin: turn.prompt,
      lineBytes: lineBytesFor(turn.answerCharacters),
      graceMillis: turn.graceMillis,
      politeSignal: turn.politeSignal,
      remove: home.root,
      onStart: (end) => {
        stop = end
      },
      beginning: "{",
      onLine: (line) => {
        if (!line.cut && !mayBeEvent(line.text)) return false
        const isOver = change((state) => reading.step(state, line))
        // Behind the line: what it tells may have come before what stands there by now.
        look?.(state)
        return isOver
      }
    }).pipe(
      Effect.mapError((error) =>
        error.directoryMissing
          ? unavailable(error.detail, "failed")
          : error.code === "E2BIG"
          ? optionRefused("`arguments`, `environment` and the other options are together longer than the system takes")
          : unavailable(`its program does not start: ${error.detail}. ${turn.install}`, "not-installed")
      )
    )
    if (ended.remains === true) {
      const what = "its supervisor was killed from outside, and it could not be ended: it may still run, and write"
      return yield* Effect.fail(unavailable(`${what}. Look for it before the next call`, "failed"))
    }
    const outcome = reading.conclude(state, ended, yield* Clock.currentTimeMillis)
    return isFailure(outcome) ? yield* Effect.fail(outcome) : outcome
  }).pipe(Effect.scoped)
