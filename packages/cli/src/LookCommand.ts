/**
 * `status` and `summary`: a look at a run from outside. Another process may be running it, and is not disturbed.
 */
import * as InProcess from "@espalier/platform/renderer/InProcess"
import { Autoresearch, Report, type TreeView, Views, Workdir } from "@espalier/workflow"
import { Console, Effect, FileSystem, Option } from "effect"
import { shellWord } from "./Format.ts"
import { CommandFailed, documentOf, load, say, titlesOf } from "./Project.ts"

const looking = <A, E, R>(
  given: string,
  look: (project: Autoresearch.Project, view: TreeView.TreeView) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const project = yield* load(given)
    return yield* Effect.gen(function*() {
      const found = yield* Autoresearch.find(project)
      if (Option.isSome(found)) return yield* look(project, found.value)
      return yield* new CommandFailed({
        message: `There is no run in ${project.workdir} yet. Begin one: espalier run ${shellWord(given)}`
      })
    }).pipe(Effect.provide(Autoresearch.journal(project.workdir)))
  })

/** Prints where a run stands, and who has it open. */
export const status = (given: string, asJson: boolean) =>
  looking(given, (project, view) =>
    Effect.gen(function*() {
      const owner = yield* Autoresearch.owner(project.settings.run)
      const held = Option.map(owner, (each) => ({ ...each, since: new Date(each.since).toISOString() }))
      const state = view.state === "running" && Option.isNone(owner) ? "interrupted" : view.state
      if (asJson) {
        const shown = { ...documentOf(project, view), state, owner: Option.getOrNull(held) }
        return yield* Console.log(JSON.stringify(shown, null, 2))
      }
      const goOn = `go on with: espalier resume ${shellWord(given)}`
      const remark = state === "interrupted" ? `: its process died; ${goOn}` : state === "suspended" ? `: ${goOn}` : ""
      yield* Console.log([
        `State        ${state}${remark}`,
        ...(Option.isSome(held)
          ? [
            `Held by      ${held.value.owner}, process ${held.value.pid} on ${held.value.host}, since ${held.value.since}`
          ]
          : []),
        ...Report.terminalSummary(view.tree, { elapsedMillis: view.livedMillis })
      ].join("\n"))
    }))

/** Makes all views of a run again, and prints its summary. */
export const summary = (given: string, asJson: boolean) =>
  looking(given, (project, view) =>
    Effect.gen(function*() {
      const files = yield* Views.write(project.workdir, view, titlesOf(project))
      if (asJson) return yield* Console.log(JSON.stringify({ workdir: project.workdir, files }, null, 2))
      const fs = yield* FileSystem.FileSystem
      yield* Console.log(yield* fs.readFileString(Workdir.view(project.workdir, "summary.md")))
      yield* say(`${files.length} files in ${project.workdir} are as the journal has it.`)
    })).pipe(Effect.provide(InProcess.layer()))
