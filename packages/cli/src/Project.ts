/**
 * What all commands share: the project of the directory that they are given, and how they speak.
 */
import { Autoresearch, type TreeView, type Views, Workdir } from "@espalier/workflow"
import { Effect, FileSystem, Option, Path, Schema } from "effect"
import { shellWord } from "./Format.ts"

/** The command did not do what was asked; the message says why. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", { message: Schema.String }) {}

/** To standard error: what is said to a person, and is no data. */
export const say = (text: string): Effect.Effect<void> => Effect.sync(() => process.stderr.write(`${text}\n`))

/** The project of a directory as it was given. */
export const load = Effect.fnUntraced(function*(given: string) {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const workdir = path.resolve(given)
  const info = yield* Effect.option(fs.stat(workdir))
  if (Option.isNone(info)) {
    return yield* new CommandFailed({
      message:
        `There is no ${workdir}. Name the directory that holds espalier.toml; it gets everything that the run makes.`
    })
  }
  if (info.value.type !== "Directory") {
    return yield* new CommandFailed({
      message: `${workdir} is no directory. Name the directory that holds espalier.toml: ${
        shellWord(path.dirname(given))
      }`
    })
  }
  return yield* Autoresearch.load(workdir)
})

/** What reports say beyond the view. */
export const titlesOf = (project: Autoresearch.Project): Views.Titles => ({
  name: project.config.name,
  run: project.settings.run,
  repository: project.config.source.repository
})

/** The figures of a run as one JSON document. */
export const documentOf = (project: Autoresearch.Project, view: TreeView.TreeView) => ({
  name: project.config.name,
  workdir: project.workdir,
  state: view.state,
  seq: view.seq,
  best: view.tree.best,
  stopped: view.tree.stopped,
  jobs: view.tree.jobs,
  plateau: view.tree.plateau,
  elapsedMillis: view.livedMillis,
  objective: view.tree.objective,
  nodes: Array.from(view.tree.nodes.values())
})

/** How to begin anew where a run is at its end. */
export const howToBeginAnew = ({ workdir }: Autoresearch.Project): string => {
  const files = [
    `${shellWord(Workdir.journal(workdir))}*`,
    shellWord(Workdir.jobs(workdir)),
    shellWord(Workdir.worktrees(workdir)),
    shellWord(`${workdir}/tree`)
  ]
  return `To begin a new one, use another directory, or remove what it left: rm -r ${files.join(" ")}`
}
