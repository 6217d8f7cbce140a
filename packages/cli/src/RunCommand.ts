/**
 * `run` and `resume`: the run of a directory, followed until it is at rest.
 */
import * as InProcess from "@espalier/platform/renderer/InProcess"
import { Autoresearch, Report, TreeView, Views, Workdir } from "@espalier/workflow"
import { Clock, Console, Effect, FileSystem, Option, Stream } from "effect"
import * as Follow from "./Follow.ts"
import { formatDuration, shellWord } from "./Format.ts"
import { CommandFailed, documentOf, howToBeginAnew, load, say, titlesOf } from "./Project.ts"
import * as Screen from "./Screen.ts"

/** Whether the live picture can be drawn: people look at standard error. */
const isLive = (asJson: boolean): boolean => process.stderr.isTTY === true && !asJson && process.env["TERM"] !== "dumb"

/**
 * Shows a run until it is at rest: a live picture in a terminal, otherwise a line for each thing that happens.
 *
 * @param after the last event of earlier sessions: they are folded in, and not told again
 */
const follow = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  run: Autoresearch.ExperimentRun,
  after: number,
  live: boolean
) {
  const view = TreeView.empty()
  const screen = Screen.make((text) => process.stderr.write(text), () => process.stderr)
  const began = yield* Clock.currentTimeMillis
  const tell = (line: string): void => {
    if (live) return screen.above(line)
    process.stderr.write(`${formatDuration(Math.max(0, view.at - began)).padStart(12)}  ${line}\n`)
  }
  const fold = run.events().pipe(Stream.runForEach((sequenced) =>
    Effect.sync(() => {
      TreeView.evolve(view, sequenced)
      const line = sequenced.seq > after ? Follow.lineOf(view, sequenced.event) : undefined
      if (line !== undefined) tell(line)
    })
  ))
  const picture = Effect.map(run.status, (status) => {
    const elapsedMillis = view.livedMillis + Math.max(0, status.at - view.at)
    screen.draw(Screen.lines({
      name: project.config.name,
      status,
      view,
      elapsedMillis,
      remainingMillis: Follow.remainingMillis(view, project.settings.limits, elapsedMillis)
    }))
  })
  const pictures = Effect.forever(Effect.andThen(picture, Effect.sleep("250 millis")))
  yield* live
    ? Effect.raceFirst(fold, pictures).pipe(Effect.ensuring(Effect.sync(() => screen.erase())))
    : fold
  return view
})

/** Runs while the run is still open, when the command is being interrupted. */
const sayIfSuspended = (run: Autoresearch.ExperimentRun) =>
  Effect.gen(function*() {
    const { state } = yield* run.status
    if (state === "completed" || state === "cancelled") return
    yield* say("Suspending: jobs that run go on, and nothing is lost. The same command goes on from here.")
  }).pipe(Effect.ignore)

/** Trees that crashes left are removed when nothing runs any more; that they stay is no reason to fail. */
const sweep = (project: Autoresearch.Project) =>
  Effect.catch(Autoresearch.sweep(project.settings.run), (error) => say(`Left-over trees stay: ${error.message}`))

/** What is printed when a run is at rest, and whether that is a success. */
const conclude = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  view: TreeView.TreeView,
  asJson: boolean
) {
  yield* Views.write(project.workdir, view, titlesOf(project))
  const report = Workdir.view(project.workdir, "report.md")
  yield* Console.log(
    asJson
      ? JSON.stringify(documentOf(project, view), null, 2)
      : Report.terminalSummary(view.tree, { report, elapsedMillis: view.livedMillis }).join("\n")
  )
  const failure = view.setupFailure ?? view.planFailure
  if (failure !== undefined) {
    return yield* new CommandFailed({ message: `The run could not go on: ${failure.kind}: ${failure.message}` })
  }
  if (view.state === "completed" && view.tree.best === null) {
    return yield* new CommandFailed({
      message: `Nothing was found, for there is nothing to compare with. ${view.tree.stopped ?? ""} All of it: ${report}`
    })
  }
})

/**
 * A launch finds the job of its key if there is one already: that makes it happen once. So the jobs of a run whose journal is
 * gone would be taken for those of the new run.
 */
const refuseLeftOvers = Effect.fnUntraced(function*({ workdir }: Autoresearch.Project) {
  const fs = yield* FileSystem.FileSystem
  const jobs = Workdir.jobs(workdir)
  const left = yield* Effect.catchIf(
    fs.readDirectory(jobs),
    (error) => error.reason._tag === "NotFound",
    () => Effect.succeed([])
  )
  if (left.every((name) => name.startsWith("."))) return
  return yield* new CommandFailed({
    message: `${jobs} holds the jobs of an earlier run, whose journal is gone: their results would be taken for new ones. ` +
      `Put ${Workdir.journal(workdir)} back, or remove them: rm -r ${shellWord(jobs)}`
  })
})

/** Begins the run of a directory (`run` only) or goes on with it. */
export const execute = Effect.fnUntraced(function*(given: string, mode: "run" | "resume", asJson: boolean) {
  const project = yield* load(given)
  yield* Effect.gen(function*() {
    const earlier = yield* Autoresearch.find(project)
    if (Option.isSome(earlier) && (earlier.value.state === "completed" || earlier.value.state === "cancelled")) {
      yield* say(`The run in ${project.workdir} is ${earlier.value.state === "completed" ? "complete" : "cancelled"}. ${howToBeginAnew(project)}`)
      return yield* conclude(project, earlier.value, asJson)
    }
    if (Option.isNone(earlier)) yield* refuseLeftOvers(project)
    const view = yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* Autoresearch.open(project, { mode, owner: "espalier" })
      yield* Effect.addFinalizer(() => sayIfSuspended(run))
      return yield* follow(project, run, Option.isSome(earlier) ? earlier.value.seq : 0, isLive(asJson))
    }))
    yield* sweep(project)
    yield* conclude(project, view, asJson)
  }).pipe(Effect.provide([Autoresearch.layer(project), InProcess.layer()]))
})
