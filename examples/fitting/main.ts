/**
 *     npm start -w @espalier/example-fitting [-- [DIRECTORY] [--points N] [--noise DEVIATION] [--starts N]
 *       [--chains N] [--warmup N] [--draws N]]
 *
 * Fits a decay in two parts from many starts, then samples what the data leave open, in two worker processes. Ctrl-C,
 * or a kill, stops it; the same command goes on. `c` and Enter cancels it for good. The options count when it is first
 * started.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Console, Effect, FileSystem, Layer, Stream } from "effect"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import { type AnalysisRun, begin, result } from "./analysis.ts"
import { ChooseLive, SummarizeLive } from "./handlers.ts"
import { Analysis, Fit, Sample, workers } from "./kinds.ts"
import * as Screen from "./screen.ts"

const { positionals: [directory = join(import.meta.dirname, "../../runs/fitting")], values } = parseArgs({
  allowPositionals: true,
  options: {
    points: { type: "string", default: "20000" },
    noise: { type: "string", default: "0.3" },
    starts: { type: "string", default: "12" },
    chains: { type: "string", default: "4" },
    warmup: { type: "string", default: "400" },
    draws: { type: "string", default: "600" }
  }
})

const count = (name: "points" | "starts" | "chains" | "warmup" | "draws") =>
  /^[1-9]\d*$/.test(values[name])
    ? Effect.succeed(Number(values[name]))
    : Effect.fail({ message: `--${name} is ${JSON.stringify(values[name])}; give a whole number above 0` })

const noise = Effect.suspend(() => {
  const given = Number(values.noise)
  return given > 0 && Number.isFinite(given)
    ? Effect.succeed(given)
    : Effect.fail({ message: `--noise is ${JSON.stringify(values.noise)}; give a number above 0` })
})

// The one place that knows of workers. With `FitLive` and `SampleLive` here, all would run in this process.
const InWorkers = Layer.mergeAll(WorkerPool.handler(Fit), WorkerPool.handler(Sample)).pipe(
  Layer.provide(WorkerPool.layer({
    url: new URL("./fitting.worker.ts", import.meta.url),
    size: workers,
    memoryMegabytes: 256,
    terminateAfter: "1 second"
  }))
)

const AnalysisLive = Analysis.layer.pipe(
  Layer.provide([InWorkers, ChooseLive, SummarizeLive]),
  Layer.provide(JournalSqlite.layer({ filename: join(directory, "journal.db") }))
)

const isAtRest = (state: string): boolean => state === "completed" || state === "cancelled" || state === "suspended"

/**
 * Shows the run until it is at rest: as a picture in a terminal, elsewhere a line whenever a work comes to another
 * stage.
 */
const follow = (run: AnalysisRun) => {
  let last: ReadonlyArray<string> = []
  const draw = (lines: ReadonlyArray<string>): void => {
    const home = last.length === 0 ? "\r" : `\r\u001b[${last.length}A`
    const width = (process.stdout.columns || 80) - 1
    process.stdout.write(`${home}${lines.map((line) => `${line.slice(0, width)}\u001b[K\n`).join("")}\u001b[0J`)
    last = lines
  }
  const print = (line: string): void => {
    if (line !== "" && line !== last[0]) process.stdout.write(`${line}\n`)
    last = [line]
  }
  const isLive = process.stdout.isTTY === true
  return run.changes.pipe(
    // Snapshots are conflated: who is slow gets the newest, and makes nobody wait.
    Stream.tap(() => Effect.sleep("100 millis")),
    Stream.takeUntil(({ state }) => isAtRest(state)),
    Stream.runForEach((status) => Effect.sync(() => isLive ? draw(Screen.lines(status)) : print(Screen.stages(status))))
  )
}

/** Obeys what is typed, for ever. */
const obey = (run: AnalysisRun) =>
  Effect.callback<never>((resume) => {
    const input = createInterface({ input: process.stdin })
    input.on("line", (line) => {
      if (line.trim() === "c") {
        resume(
          Effect.andThen(run.cancel({ actor: "keyboard", reason: "c was typed" }), Effect.never) as Effect.Effect<never>
        )
      }
    })
    return Effect.sync(() => input.close())
  })

const program = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  yield* files.makeDirectory(directory, { recursive: true })
  const run = yield* Effect.mapError(
    begin({
      data: { seed: 7, points: yield* count("points"), noise: yield* noise },
      starts: yield* count("starts"),
      plan: { chains: yield* count("chains"), warmup: yield* count("warmup"), draws: yield* count("draws") }
    }),
    (error) =>
      error._tag === "RunNotAccepting"
        ? { message: `The analysis in "${directory}" was cancelled: give another directory to begin anew.` }
        : error
  )
  yield* Effect.raceFirst(follow(run), obey(run))
  const { cause, state } = yield* run.status
  if (state !== "completed") {
    yield* Console.log(cause === undefined ? `The analysis is ${state}.` : `The analysis is ${state}: ${cause.reason}.`)
    return
  }
  yield* Console.log(Screen.table(yield* result(run)))
}).pipe(
  Effect.scoped,
  Effect.onInterrupt(() => Console.log("The same command goes on with it."))
)

const refused = ({ message }: { readonly message: string }) =>
  Effect.andThen(Console.error(message), Effect.sync(() => void (process.exitCode = 1)))

NodeRuntime.runMain(
  program.pipe(Effect.provide(AnalysisLive), Effect.catch(refused), Effect.provide(NodeServices.layer))
)
