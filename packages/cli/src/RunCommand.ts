/**
 * `run` and `resume`: the run of a directory, followed until it is at rest.
 */
import * as InProcess from "@espalier/platform/renderer/InProcess"
import { Workspace } from "@espalier/platform/Workspace"
import { Autoresearch, Layers, Report, TreeView, Views, Workdir } from "@espalier/workflow"
import { Clock, Console, Effect, FileSystem, Logger, Option, Result, Stream } from "effect"
import * as DoctorCommand from "./DoctorCommand.ts"
import * as Follow from "./Follow.ts"
import { shellWord } from "./Format.ts"
import * as Output from "./Output.ts"
import * as OwnLayers from "./OwnLayers.ts"
import { CommandFailed, documentOf, howToBeginAnew, load, say, titlesOf } from "./Project.ts"
import { messageOf } from "./Report.ts"
import * as Screen from "./Screen.ts"

/**
 * Shows a run until it is at rest, and returns its view.
 *
 * @param after the last event of earlier sessions: they are folded in, and not told again
 */
const follow = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  run: Autoresearch.ExperimentRun,
  after: number,
  output: Output.Output
) {
  const view = TreeView.empty()
  const lines = run.events().pipe(Stream.runForEach((sequenced) =>
    Effect.sync(() => {
      TreeView.evolve(view, sequenced)
      const line = sequenced.seq > after ? Follow.lineOf(view, sequenced.event) : undefined
      if (line !== undefined) output.tell(line, sequenced.event.at)
    })
  ))
  if (!output.isLive) {
    yield* lines
    return view
  }
  const picture = Effect.map(run.status, (status) => {
    const elapsedMillis = view.livedMillis + Math.max(0, status.at - view.at)
    output.draw(Screen.lines({
      name: project.config.name,
      status,
      view,
      elapsedMillis,
      remainingMillis: Follow.remainingMillis(view, project.settings, elapsedMillis)
    }))
  })
  const pictures = Effect.forever(Effect.andThen(picture, Effect.sleep("250 millis")))
  yield* Effect.ensuring(Effect.raceFirst(lines, pictures), Effect.sync(output.erase))
  return view
})

/** Runs while the run is still open, when the command is being interrupted. */
const sayIfSuspended = (run: Autoresearch.ExperimentRun) =>
  Effect.gen(function*() {
    const { state } = yield* run.status
    if (state === "completed" || state === "cancelled") return
    yield* say("Suspending: jobs that run go on, and nothing is lost. The same command goes on from here.")
  }).pipe(Effect.ignore)

/** That a directory has no source control decides how its experiments are kept, and may be news. */
const tellIfCopied = Effect.fnUntraced(function*({ config }: Autoresearch.Project, output: Output.Output) {
  if (config.workspace.kind !== "detect") return
  const source = yield* Effect.option((yield* Workspace).source)
  if (Option.isNone(source) || source.value.kind !== "copy") return
  const what = "is in no git repository: every experiment gets a plain copy of it"
  output.tell(`${source.value.repository} ${what}`, yield* Clock.currentTimeMillis)
})

/** Trees that crashes left are removed when nothing runs any more; that they stay is no reason to fail. */
const sweep = (project: Autoresearch.Project) =>
  Effect.catch(Autoresearch.sweep(project.settings.run), (error) => say(`Left-over trees stay: ${error.message}`))

/** What is printed when a run is at rest, and whether that is a success. */
const conclude = Effect.fnUntraced(function*(
  project: Autoresearch.Project,
  view: TreeView.TreeView,
  asJson: boolean
) {
  const written = yield* Effect.result(Views.write(project.workdir, view, titlesOf(project)))
  const report = Workdir.view(project.workdir, "report.md")
  yield* Console.log(
    asJson
      ? JSON.stringify(documentOf(project, view), null, 2)
      : Report.terminalSummary(view.tree, { report, elapsedMillis: view.livedMillis }).join("\n")
  )
  const problems: Array<string> = []
  const failure = view.setupFailure ?? view.planFailure
  if (failure !== undefined) problems.push(`The run could not go on: ${failure.kind}: ${failure.message}`)
  else if (view.state === "completed" && view.tree.best === null) {
    const why = view.tree.stopped ?? "There is nothing to compare with."
    problems.push(`Nothing was found. ${why} Everything that is known: ${report}`)
  }
  if (Result.isFailure(written)) {
    problems.push(
      `The run is ${view.state}, but its reports were not written: ${
        messageOf(written.failure)
      }. When that is mended: ` +
        `espalier summary ${shellWord(project.workdir)}`
    )
  }
  if (problems.length > 0) return yield* new CommandFailed({ message: problems.join("\n") })
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
    message:
      `${jobs} holds the jobs of an earlier run, whose journal is gone: their results would be taken for new ones. ` +
      `Put ${Workdir.journal(workdir)} back, or remove them: rm -r ${shellWord(jobs)}`
  })
})

/** Begins the run of a directory (`run` only) or goes on with it. */
export const execute = Effect.fnUntraced(function*(given: string, mode: "run" | "resume", asJson: boolean) {
  const project = yield* load(given)
  const own = yield* OwnLayers.forProject(project)
  const output = Output.make(Output.isTerminal() && !asJson, yield* Clock.currentTimeMillis)
  const earlier = yield* Autoresearch.find(project).pipe(Effect.provide(Autoresearch.journal(project.workdir)))
  if (Option.isSome(earlier) && (earlier.value.state === "completed" || earlier.value.state === "cancelled")) {
    const state = earlier.value.state === "completed" ? "complete" : "cancelled"
    yield* say(`The run in ${project.workdir} is ${state}. ${howToBeginAnew(project)}`)
    return yield* conclude(project, earlier.value, asJson).pipe(Effect.provide(InProcess.layer()))
  }
  if (Option.isNone(earlier)) yield* refuseLeftOvers(project)
  yield* DoctorCommand.preflight(Layers.requirements(project, own), given)
  const after = Option.isSome(earlier) ? earlier.value.seq : 0
  yield* Effect.gen(function*() {
    const view = yield* Effect.scoped(Effect.gen(function*() {
      const run = yield* Autoresearch.open(project, { mode, owner: "espalier" })
      yield* Effect.addFinalizer(() => sayIfSuspended(run))
      if (Option.isNone(earlier)) yield* tellIfCopied(project, output)
      return yield* follow(project, run, after, output)
    }))
    yield* sweep(project)
    yield* conclude(project, view, asJson)
  }).pipe(Effect.provide([Autoresearch.layer(project, own), InProcess.layer(), Logger.layer([output.logger])]))
})
