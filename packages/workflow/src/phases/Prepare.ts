/**
 * Prepare: the experiment's source, made in a tree of its own, held against the guard and committed, so that a commit
 * identifies it completely.
 */
import { CurrentWork, Step } from "@espalier/engine"
import type { Tree, WorkspaceError } from "@espalier/platform/Workspace"
import { EditRejected, Workspace } from "@espalier/platform/Workspace"
import { Effect } from "effect"
import { describeChanges, type ExperimentSpec } from "../Experiment.ts"
import { failWith, keepWhileRunning } from "../internal/handling.ts"
import { Study } from "../Study.ts"
import { Prepared } from "./Records.ts"

/** The parameters file of an experiment: every declared parameter with its value, in a stable order. */
export const parametersText = (
  baseline: Readonly<Record<string, unknown>>,
  changes: ExperimentSpec["changes"]
): string => {
  const all: Record<string, unknown> = { ...baseline, ...changes.parameters }
  return `${JSON.stringify(Object.fromEntries(Object.keys(all).sort().map((name) => [name, all[name]])), null, 2)}\n`
}

/** What the guard refuses is the change's own fault; all else is the repository's or the machine's. */
const sourceFailed = (error: WorkspaceError) => {
  const isRefused = error.reason._tag === "PathRefused" || error.reason._tag === "TooLarge"
  return failWith(isRefused ? "code_change_failed" : "source_restore_failed", error)
}

/**
 * Opens the experiment's tree and makes sure that its source is committed. The tree lives as long as the scope; when the run is
 * suspended it stays for the job that runs in it. Every attempt that finds nothing recorded starts from a fresh tree.
 */
export const prepare = Effect.fnUntraced(function*(spec: ExperimentSpec, base: string) {
  const study = yield* Study
  const workspace = yield* Workspace
  const address = { run: study.run, node: spec.id }
  const keep = yield* keepWhileRunning
  let fresh: Tree | undefined

  const make = Effect.gen(function*() {
    const tree = yield* workspace.open({ ...address, base, keep })
    fresh = tree
    if (Object.keys(study.parameters).length > 0) {
      yield* workspace.write(tree, study.parametersFile, parametersText(study.parameters, spec.changes))
    }
    for (const name of spec.changes.edits) {
      const edit = study.edits.find((each) => each.name === name)
      if (edit === undefined) {
        return yield* EditRejected.because(
          { name, file: "", search: "", replace: "" },
          0,
          "no edit of this name is declared in [[edits]] of espalier.toml"
        )
      }
      yield* workspace.applyEdit(tree, edit)
    }
    const summary = describeChanges(spec.changes)
    // Each step was guarded by itself; this is what they come to together, and what the commit would hold.
    yield* workspace.check(tree)
    const { deletions, filesChanged, insertions, patch } = yield* workspace.diff(tree)
    const commit = yield* workspace.commit(tree, {
      message: `${spec.name}: ${summary}`,
      body: spec.hypothesis
    })
    return { commit, summary, patch: patch.slice(0, 100_000), filesChanged, insertions, deletions }
  }).pipe(
    Effect.catchTags({
      EditRejected: (error) => failWith("code_change_failed", error),
      ChangeRefused: (error) => failWith("code_change_failed", error)
    }),
    Effect.catchTag("WorkspaceError", sourceFailed)
  )

  const prepared = yield* Step.run("prepare", Prepared, make)
  // A build that was interrupted leaves half of its files behind: as long as none is on record, the tree is made anew.
  const { port } = yield* CurrentWork.CurrentWork
  const tree: Tree = fresh ?? (yield* reopen(spec.id, prepared.commit, port.steps.has("build")))
  return { prepared, tree }
})

/** A tree at a recorded commit, for a job of this or another node; the one that stands there already, if it `isBuilt`. */
export const reopen = Effect.fnUntraced(function*(node: string, commit: string, isBuilt: boolean) {
  const study = yield* Study
  const workspace = yield* Workspace
  const keep = yield* keepWhileRunning
  return yield* workspace.reopen({ run: study.run, node, commit, keep, adopt: isBuilt }).pipe(
    Effect.catchTag("WorkspaceError", sourceFailed)
  )
})

/** Removes the tree of a cancelled work, when nothing runs in it any more. That it stays is no reason to try for ever. */
export const discard = Effect.fnUntraced(function*(node: string, commit: string) {
  const { run } = yield* Study
  const workspace = yield* Workspace
  yield* Effect.scoped(workspace.reopen({ run, node, commit })).pipe(
    Effect.catch((error) => Effect.logWarning(`The tree of ${node} stays until the next sweep: ${error.message}`))
  )
})
