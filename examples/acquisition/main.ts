/**
 * `node --conditions=espalier-source examples/acquisition/main.ts DIRECTORY [--period MILLIS] [--more ROUNDS] [--resume]`
 *
 * Runs a plan of 80 events in 32 rounds, 600 ms apart (a real one would have a minute), and shows how it goes. Kill it when you
 * like and start it again: it goes on, by the clock of its first start.
 *
 * - `--more ROUNDS` appends rounds to the plan, finished or not.
 * - `--resume` goes on with a plan that was paused.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Console, Effect, FileSystem, Layer, Stream } from "effect"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Acquisition, begin, extend, ImageLive, type PlanRun, StimulateLive } from "./acquisition.ts"
import { obey } from "./keyboard.ts"
import { layerSimulated } from "./microscope.ts"
import * as Screen from "./screen.ts"
import * as Status from "./status.ts"
import { lagOf, table, timeline } from "./timeline.ts"

const { positionals: [directory = "acquisition"], values } = parseArgs({
  allowPositionals: true,
  options: {
    period: { type: "string", default: "600" },
    more: { type: "string" },
    resume: { type: "boolean", default: false }
  }
})

/** A whole number above 0 from the command line. */
const count = (name: string, text: string) =>
  /^[1-9]\d*$/.test(text)
    ? Effect.succeed(Number(text))
    : Effect.fail({ message: `--${name} is ${JSON.stringify(text)}; give a whole number above 0` })

const AcquisitionLive = Acquisition.layer.pipe(
  Layer.provide([ImageLive, StimulateLive]),
  Layer.provide([layerSimulated(), JournalSqlite.layer({ filename: join(directory, "plan.db") })])
)

const isAtRest = (state: string): boolean => state === "completed" || state === "cancelled" || state === "suspended"

/** Shows the run until it is at rest: when it changes, but not more often than can be read, and once a second when it does not. */
const show = Effect.fnUntraced(function*(run: PlanRun, screen: Screen.Screen, note: () => string) {
  const change = run.changes.pipe(Stream.drop(1), Stream.runHead, Effect.timeoutOption("1 second"))
  while (true) {
    const status = yield* run.status
    screen.show(
      screen.isLive ? Status.lines(status, yield* run.view(timeline), note()) : [Status.line(status)]
    )
    if (isAtRest(status.state)) return status
    yield* Effect.andThen(Effect.sleep(screen.pace), change)
  }
})

/** The same, and obeys the keyboard where there is one. */
const follow = (run: PlanRun) => {
  const screen = Screen.make()
  let note = ""
  const shown = show(run, screen, () => note)
  return screen.isLive && process.stdin.isTTY ? Effect.raceFirst(shown, obey(run, (text) => void (note = text))) : shown
}

const goesOn = "The same command goes on with it."

const program = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const period = yield* count("period", values.period)
  const run = yield* begin({ rounds: 32, period })
  if (values.more !== undefined) {
    const added = yield* extend(run, { rounds: yield* count("more", values.more), period })
    yield* Console.log(`${added} events more`)
  }
  if (values.resume) yield* run.resume()
  // However it ends, what is known by then is written down.
  yield* Effect.addFinalizer(() =>
    run.view(timeline).pipe(
      Effect.flatMap((events) => files.writeFileString(join(directory, "events.tsv"), table(events))),
      Effect.catch((error) => Console.error(`The table of events was not written: ${error.message}`))
    )
  )
  const { state } = yield* follow(run)
  const events = yield* run.view(timeline)
  yield* Console.log(`The plan is ${state}.${state === "suspended" ? ` ${goesOn}` : ""}`)
  for (const kind of ["Image", "Stimulate"]) yield* Console.log(lagOf(events, kind))
  yield* Console.log(`Every event, as planned and as it was: ${join(directory, "events.tsv")}`)
}).pipe(Effect.scoped, Effect.onInterrupt(() => Console.log(`The plan was suspended. ${goesOn}`)))

/** What may go wrong is told in one line: a plan that another process has open, a cancelled one that is to be extended. */
const refused = ({ message }: { readonly message: string }) =>
  Effect.andThen(Console.error(message), Effect.sync(() => void (process.exitCode = 1)))

NodeRuntime.runMain(
  program.pipe(Effect.provide(AcquisitionLive), Effect.catch(refused), Effect.provide(NodeServices.layer))
)
