/**
 * The `espalier` command: `run`, `resume`, `status`, `summary`.
 *
 * What is data goes to standard output, everything else to standard error, so that `--json` can be piped.
 */
import type { Run } from "@espalier/engine"
import * as InProcess from "@espalier/platform/renderer/InProcess"
import { Autoresearch, Report, TreeView, Views, Workdir } from "@espalier/workflow"
import { Clock, Console, Effect, FileSystem, Option, Path, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Follow from "./Follow.ts"
import { formatDuration } from "./Format.ts"
import * as Screen from "./Screen.ts"

/** The command did not do what was asked; the message says why. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", { message: Schema.String }) {}

const directory = Argument.String("directory").pipe(
  Argument.withDescription("The working directory: it holds espalier.toml, and gets everything that the run makes")
)

const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON document on standard output, for programs"),
  Flag.withDefault(false)
)

const resolve = Effect.fnUntraced(function*(given: string) {
  const path = yield* Path.Path
  return path.resolve(given)
})

const titlesOf = (project: Autoresearch.Project): Views.Titles => ({
  name: project.config.name,
  run: project.settings.run,
  repository: project.config.source.repository
})

const say = (text: string) => Effect.sync(() => process.stderr.write(`${text}\n`))

/** Whether the live picture can be drawn: people look at standard error. */
const isLive = (asJson: boolean): boolean => process.stderr.isTTY === true && !asJson && process.env["TERM"] !== "dumb"

/** Shows a run until it is at rest: a live picture in a terminal, otherwise a line for each thing that happens. */
const follow = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  run: Autoresearch.ExperimentRun,
  live: boolean
) {
  const view = TreeView.empty()
  const before = (yield* run.status).seq
  const screen = Screen.make((text) => process.stderr.write(text), () => process.stderr.columns ?? 100)
  const began = yield* Clock.currentTimeMillis
  const tell = (line: string): void => {
    if (live) return screen.above(line)
    const millis = view.at - began
    process.stderr.write(`${formatDuration(Math.max(0, millis)).padStart(12)}  ${line}\n`)
  }
  const fold = run.events().pipe(Stream.runForEach((sequenced) =>
    Effect.sync(() => {
      TreeView.evolve(view, sequenced)
      if (sequenced.seq < before && sequenced.event._tag !== "RunResumed") return
      const line = Follow.lineOf(view, sequenced.event)
      if (line !== undefined) tell(line)
    })
  ))
  const picture = Effect.gen(function*() {
    const status = yield* run.status
    screen.draw(Screen.lines({
      name: project.config.name,
      status,
      view,
      remainingMillis: Follow.remainingMillis(view, project.settings.limits)
    }))
  })
  yield* live
    ? Effect.raceFirst(fold, Effect.andThen(Effect.forever(Effect.andThen(picture, Effect.sleep("250 millis"))), Effect.never))
      .pipe(Effect.ensuring(Effect.sync(() => screen.erase())))
    : fold
  return view
})

/** What is printed when a run is at rest, and whether that is a success. */
const conclude = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  view: TreeView.TreeView,
  asJson: boolean
) {
  yield* Views.write(project.workdir, view, titlesOf(project))
  const report = Workdir.view(project.workdir, "report.md")
  if (asJson) yield* Console.log(JSON.stringify(documentOf(project, view), null, 2))
  else yield* Console.log(Report.terminalSummary(view.tree, { report }).join("\n"))
  const failure = view.setupFailure ?? view.planFailure
  if (failure !== undefined) {
    return yield* new CommandFailed({ message: `The run could not go on: ${failure.kind}: ${failure.message}` })
  }
  if (view.state === "completed" && view.tree.best === null) {
    return yield* new CommandFailed({
      message: `The run ended without a measurement of the baseline. ${view.tree.stopped ?? ""} See ${report}`
    })
  }
})

/** The figures of a run as one document. */
const documentOf = (project: Autoresearch.Project, view: TreeView.TreeView) => ({
  name: project.config.name,
  workdir: project.workdir,
  state: view.state,
  seq: view.seq,
  best: view.tree.best,
  stopped: view.tree.stopped,
  jobs: view.tree.jobs,
  plateau: view.tree.plateau,
  objective: view.tree.objective,
  nodes: Array.from(view.tree.nodes.values())
})

const execute = Effect.fnUntraced(function*(given: string, mode: "run" | "resume", asJson: boolean) {
  const workdir = yield* resolve(given)
  const project = yield* Autoresearch.load(workdir)
  const live = isLive(asJson)
  yield* Effect.gen(function*() {
    const earlier = yield* Effect.option(Autoresearch.view(project.settings.run))
    if (Option.isSome(earlier) && earlier.value.state === "completed") {
      yield* say(
        `The run in ${workdir} is complete. To begin a new one, use another directory, or remove ${
          Workdir.journal(workdir)
        } and what lies beside it (keep espalier.toml).`
      )
      return yield* conclude(project, earlier.value, asJson)
    }
    const view = yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* Autoresearch.open(project, { mode, owner: "espalier" })
      yield* Effect.addFinalizer(() => sayIfSuspended(run, given))
      return yield* follow(project, run, live)
    }))
    yield* sweep(project)
    yield* conclude(project, view, asJson)
  }).pipe(Effect.provide(Autoresearch.layer(project)))
})

/** Trees that crashes left are removed when nothing runs any more; that they stay is no reason to fail. */
const sweep = (project: Autoresearch.Project) =>
  Effect.catch(Autoresearch.sweep(project.settings.run), (error) => say(`Left-over trees stay: ${error.message}`))

/** Runs while the run is still open, when the command is being interrupted. */
const sayIfSuspended = (run: Run.Run<never> | Autoresearch.ExperimentRun, given: string) =>
  Effect.gen(function*() {
    const { state } = yield* run.status
    if (state === "completed" || state === "cancelled") return
    yield* say(`Suspending. Jobs that run go on; nothing is lost. Go on with: espalier resume ${given}`)
  }).pipe(Effect.ignore)

const run = Command.make("run", { directory, json }, ({ directory, json }) => execute(directory, "run", json)).pipe(
  Command.withDescription("Begin the run of a directory, or go on with it"),
  Command.withExamples([{ command: "espalier run runs/pipeline", description: "Optimise until the limits are reached" }])
)

const resume = Command.make("resume", { directory, json }, ({ directory, json }) => execute(directory, "resume", json)).pipe(
  Command.withDescription("Go on with a run that was suspended or whose process died")
)

/** Looks at a run from outside: another process may be running it. */
const looking = <A, E, R>(
  given: string,
  look: (project: Autoresearch.Project, view: TreeView.TreeView) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const workdir = yield* resolve(given)
    const project = yield* Autoresearch.load(workdir)
    return yield* Effect.gen(function*() {
      const view = yield* Effect.catchTag(Autoresearch.view(project.settings.run), "RunNotFound", () =>
        Effect.fail(
          new CommandFailed({ message: `There is no run in ${workdir} yet. Begin one: espalier run ${given}` })
        ))
      return yield* look(project, view)
    }).pipe(Effect.provide(Autoresearch.layer(project)))
  })

const status = Command.make("status", { directory, json }, ({ directory, json }) =>
  looking(directory, (project, view) =>
    Effect.gen(function*() {
      const owner = yield* Autoresearch.owner(project.settings.run)
      const held = Option.map(owner, (each) => ({ ...each, since: new Date(each.since).toISOString() }))
      const state = view.state === "running" && Option.isNone(owner) ? "interrupted" : view.state
      if (json) {
        const shown = { ...documentOf(project, view), state, owner: Option.getOrNull(held) }
        return yield* Console.log(JSON.stringify(shown, null, 2))
      }
      yield* Console.log([
        `State        ${state}${
          state === "interrupted" ? `: no process has it open; go on with: espalier resume ${directory}` : ""
        }`,
        ...(Option.isSome(held)
          ? [`Held by      ${held.value.owner}, process ${held.value.pid} on ${held.value.host}, since ${held.value.since}`]
          : []),
        ...Report.terminalSummary(view.tree)
      ].join("\n"))
    }))).pipe(Command.withDescription("Show where a run stands, without disturbing it"))

const summary = Command.make("summary", { directory, json }, ({ directory, json }) =>
  looking(directory, (project, view) =>
    Effect.gen(function*() {
      const files = yield* Views.write(project.workdir, view, titlesOf(project))
      if (json) return yield* Console.log(JSON.stringify({ workdir: project.workdir, files }, null, 2))
      const fs = yield* FileSystem.FileSystem
      yield* Console.log(yield* fs.readFileString(Workdir.view(project.workdir, "summary.md")))
      yield* say(`${files.length} files written in ${project.workdir}`)
    }))).pipe(Command.withDescription("Make all tables, reports and pictures again from the journal"))

/** The whole command. */
export const command = Command.make("espalier").pipe(
  Command.withDescription("Optimise a program by experiments: durable, measured, reproducible"),
  Command.withSubcommands([run, resume, status, summary])
)

/** Runs the command with arguments (without program and script). */
export const main = (args: ReadonlyArray<string>, version: string) =>
  Command.runWith(command, { version })(args).pipe(Effect.provide(InProcess.layer()))

