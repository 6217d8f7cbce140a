/**
 * What every layer of `Execution` has to do, as cases for any test runner. A case is an Effect that fails or dies
 * when the layer does not do it.
 *
 * The suite says what a job does (`SuiteJob`), the layer's tester says which command does that: `nodeCommand`
 * for whatever starts real processes, `simulatedCommand` with `simulatedScript` for the simulation.
 *
 * @example
 * ```ts
 * import * as Simulated from "@espalier/platform/execution/Simulated"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as ExecutionSuite from "@espalier/platform/testing/ExecutionSuite"
 * import { Effect, Layer } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const simulation = await Effect.runPromise(Simulated.make(ExecutionSuite.simulatedScript))
 * const engine = Layer.succeed(Execution, simulation.execution)
 * const cases = ExecutionSuite.cases({ command: ExecutionSuite.simulatedCommand, directory: "/", otherEngine: engine })
 * for (const { run } of cases) {
 *   await Effect.runPromise(
 *     ExecutionSuite.passingTime(run).pipe(Effect.scoped, Effect.provide(engine), Effect.provide(TestClock.layer()))
 *   )
 * }
 * ```
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Execution } from "../Execution.ts"
import type { Printed, Script } from "../execution/Simulated.ts"
import { launchCases, toolsOf } from "../internal/executionCases.ts"
import { endCases } from "../internal/executionCasesEnds.ts"

/** What a job of the suite has to do. */
export interface SuiteJob {
  readonly stdout: ReadonlyArray<Printed>
  readonly stderr: ReadonlyArray<Printed>
  /** What it writes to `$ESPALIER_JOB_DIR/progress.txt`. */
  readonly progress: ReadonlyArray<Printed>
  readonly durationMillis: number
  readonly exitCode: number
  /** It ends itself by this signal. */
  readonly signal: string | null
  readonly ignoresTermination: boolean
  /** Its program does not exist. */
  readonly missing: boolean
}

/** One thing that a layer has to do. */
export interface SuiteCase<R> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R>
}

/** What the suite has to know of a layer. */
export interface Options {
  /** The command that does this. */
  readonly command: (job: SuiteJob) => readonly [string, ...ReadonlyArray<string>]
  /** A directory that jobs may run in. */
  readonly directory: string
  /** A second engine on the same jobs, as after a restart. */
  readonly otherEngine: Layer.Layer<Execution, unknown>
}

const nodeProgram = `
const { openSync, writeSync } = require("node:fs")
const job = JSON.parse(process.argv[1])
const progress = job.progress.length === 0 ? 0 : openSync(process.env.ESPALIER_JOB_DIR + "/progress.txt", "a")
if (job.ignoresTermination) process.on("SIGTERM", () => {})
for (const [descriptor, said] of [[1, job.stdout], [2, job.stderr], [progress, job.progress]])
  for (const one of said)
    one.atMillis === 0 ? writeSync(descriptor, one.text) : setTimeout(() => writeSync(descriptor, one.text), one.atMillis)
setTimeout(() => job.signal === null ? process.exit(job.exitCode) : process.kill(process.pid, job.signal), job.durationMillis)
`

/** A job of the suite as a real process: for layers whose jobs have this machine's Node. */
export const nodeCommand = (job: SuiteJob): readonly [string, ...ReadonlyArray<string>] =>
  job.missing ? ["espalier-no-such-program"] : [process.execPath, "-e", nodeProgram, JSON.stringify(job)]

/** A job of the suite for a simulation that has `simulatedScript`. */
export const simulatedCommand = (job: SuiteJob): readonly [string, ...ReadonlyArray<string>] => [
  "simulated",
  JSON.stringify(job)
]

/** The script of a simulation whose commands come from `simulatedCommand`. */
export const simulatedScript: Script = (request) => {
  const job: SuiteJob = JSON.parse(request.argv[1] ?? "{}")
  return {
    stdout: job.stdout,
    stderr: job.stderr,
    progress: job.progress,
    durationMillis: job.durationMillis,
    exitCode: job.exitCode,
    ignoresTermination: job.ignoresTermination,
    ...(job.signal === null ? {} : { signal: job.signal }),
    ...(job.missing ? { startError: { code: "ENOENT", message: "there is no such program" } } : {})
  }
}

/** Runs an effect under the test clock while the clock goes on, 10 ms at a time. */
export const passingTime = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("10 millis")
    return yield* Fiber.join(fiber)
  })

/** The cases. Each uses keys of its own, so they may share jobs, run in any order, and run again. */
export const cases = (options: Options): ReadonlyArray<SuiteCase<Execution | Scope.Scope>> => {
  const tools = toolsOf(options)
  return [...launchCases(tools), ...endCases(tools)]
}
