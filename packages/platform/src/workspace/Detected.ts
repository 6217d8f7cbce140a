/**
 * The workspace that fits the source: git worktrees where it is in a git repository, plain copies where it is not.
 *
 * `detect` answers which, and why, in a sentence that can be shown. What cannot be answered is an error and not a guess: a
 * repository that git refuses, or one on a machine without git. There plain copies would mean something else by `HEAD`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Path from "node:path"
import { makeGit } from "../internal/git.ts"
import { hasRepository, locateRepository } from "../internal/gitRepository.ts"
import { requireOptions } from "../internal/guardOptions.ts"
import { Workspace, type WorkspaceError } from "../Workspace.ts"
import { fileOperation } from "../internal/workspaceFiles.ts"
import * as GitWorktree from "./GitWorktree.ts"
import * as PlainCopy from "./PlainCopy.ts"

/** What both layers need; what only one of them knows is kept for it. */
export interface Options extends Omit<GitWorktree.Options, "repository">, PlainCopy.Options {}

/** Which layer a source gets. */
export interface Detection {
  readonly kind: "git" | "copy"
  /** A sentence for a person. */
  readonly why: string
}

/** Looks at a source. Writes nothing. */
export const detect = (
  options: Pick<Options, "source" | "git" | "lockWait" | "timeLimit">
): Effect.Effect<Detection, WorkspaceError> =>
  Effect.gen(function*() {
    const source = Path.resolve(options.source)
    const git = makeGit(options.git ?? "git", options.lockWait ?? "10 seconds", options.timeLimit ?? "10 minutes")
    const located = yield* locateRepository(git, source).pipe(
      Effect.catchReason("WorkspaceError", "NotARepository", (reason, error) =>
        reason.exists ? Effect.succeed(undefined) : Effect.fail(error)),
      // Without git, what git looks for tells whether it is missed.
      Effect.catchReason("WorkspaceError", "GitMissing", (_, error) =>
        Effect.flatMap(
          fileOperation("look for a repository in", source, () =>
            hasRepository(source)),
          (found) =>
            found ? Effect.fail(error) : Effect.succeed(undefined)
        ))
    )
    if (located === undefined) {
      return { kind: "copy", why: `${source} is in no git repository, so every experiment gets a plain copy of it` }
    }
    if (located.prefix !== "") {
      const contained = yield* git.attempt(located.place, ["cat-file", "-t", `HEAD:${located.prefix}`])
      const any = yield* git.attempt(located.place, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
      if (any.exitCode === 0 && contained.stdout.trim() !== "tree") {
        return {
          kind: "copy",
          why: `${source} lies in the git repository ${located.repository}, but its commit does not contain it, so ` +
            `every experiment gets a plain copy of it. Commit it there to have git worktrees`
        }
      }
    }
    const where = located.prefix === "" ? "a git repository" : `in the git repository ${located.repository}`
    return { kind: "git", why: `${source} is ${where}, so every experiment gets a git worktree` }
  })

/** The workspace of one source. Which it is, is found out by its first operation, and said once in the log. */
export const make = (options: Options): Effect.Effect<Workspace["Service"], WorkspaceError> =>
  Effect.map(requireOptions(options), () => {
    let found: Workspace["Service"] | undefined
    const chosen: Effect.Effect<Workspace["Service"], WorkspaceError> = Effect.suspend(() => {
      if (found !== undefined) return Effect.succeed(found)
      return Effect.gen(function*() {
        const { kind, why } = yield* detect(options)
        const workspace = kind === "git"
          ? yield* GitWorktree.make({ ...options, repository: options.source })
          : yield* PlainCopy.make(options)
        // Two that asked at once get the same: an open tree is known to one workspace only.
        if (found !== undefined) return found
        found = workspace
        yield* Effect.logInfo(why)
        return workspace
      })
    })
    return Workspace.of({
      source: Effect.flatMap(chosen, (workspace) => workspace.source),
      resolve: (ref) => Effect.flatMap(chosen, (workspace) => workspace.resolve(ref)),
      anchor: (request) => Effect.flatMap(chosen, (workspace) => workspace.anchor(request)),
      open: (request) => Effect.flatMap(chosen, (workspace) => workspace.open(request)),
      reopen: (request) => Effect.flatMap(chosen, (workspace) => workspace.reopen(request)),
      read: (tree, file) => Effect.flatMap(chosen, (workspace) => workspace.read(tree, file)),
      write: (tree, file, content) => Effect.flatMap(chosen, (workspace) => workspace.write(tree, file, content)),
      applyEdit: (tree, edit) => Effect.flatMap(chosen, (workspace) => workspace.applyEdit(tree, edit)),
      apply: (tree, changes) => Effect.flatMap(chosen, (workspace) => workspace.apply(tree, changes)),
      changed: (tree) => Effect.flatMap(chosen, (workspace) => workspace.changed(tree)),
      check: (tree) => Effect.flatMap(chosen, (workspace) => workspace.check(tree)),
      diff: (tree) => Effect.flatMap(chosen, (workspace) => workspace.diff(tree)),
      commit: (tree, request) => Effect.flatMap(chosen, (workspace) => workspace.commit(tree, request)),
      show: (ref) => Effect.flatMap(chosen, (workspace) => workspace.show(ref)),
      drop: (address) => Effect.flatMap(chosen, (workspace) => workspace.drop(address)),
      trees: Effect.flatMap(chosen, (workspace) => workspace.trees),
      sweep: (run) => Effect.flatMap(chosen, (workspace) => workspace.sweep(run))
    })
  })

/**
 * The layer of `make`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { execFileSync } from "node:child_process"
 * import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import * as Detected from "@espalier/platform/workspace/Detected"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const source = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * writeFileSync(join(source, "main.ts"), "const workers = 1\n")
 *
 * const kind = Effect.flatMap(Workspace, (workspace) => Effect.map(workspace.source, ({ kind }) => kind)).pipe(
 *   Effect.provide(Detected.layer({ source, directory: join(source, "experiments") }))
 * )
 * assert.equal(await Effect.runPromise(kind), "copy")
 * execFileSync("git", ["init", "--quiet", source])
 * assert.equal(await Effect.runPromise(kind), "git")
 * const { why } = await Effect.runPromise(Detected.detect({ source }))
 * assert.match(why, /is a git repository, so every experiment gets a git worktree/)
 * rmSync(source, { recursive: true, force: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Workspace, WorkspaceError> =>
  Layer.effect(Workspace, make(options))
