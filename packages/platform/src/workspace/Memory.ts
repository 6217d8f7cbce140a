/**
 * Workspace in memory: files in maps, commits named by the hash of their content. No file, no
 * process, no real time, and the same commits on every run, so a whole lifecycle can be tested under
 * the test clock.
 *
 * It passes the same suite as the git layer. What it leaves out is what a map has none of: symbolic
 * links, ignore rules, binary files, and trees left over by a crash.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TextDiff from "effect/TextDiff"
import { createHash } from "node:crypto"
import { branchName, safeName } from "../internal/gitNames.ts"
import { checkEditable, editContent, segmentsOf } from "../internal/guard.ts"
import { type Diff, type Tree, UncleanSource, Workspace, WorkspaceError } from "../Workspace.ts"

/** Content of files by their path. */
export type Files = ReadonlyMap<string, string>

/** What the source starts with. */
export interface Options {
  /** Files of the first commit and of the checkout, by path. */
  readonly files: Readonly<Record<string, string>>
  /** Path prefixes below the tree that `write` and `applyEdit` may change. Everything when left out. */
  readonly editable?: ReadonlyArray<string> | undefined
}

/** What a test may look at and change behind the workspace's back. */
export class Contents extends Context.Service<Contents, {
  /** Files of a tree by its path, as they are or as they were when it was closed; undefined for an unknown path. */
  tree(path: string): Effect.Effect<Files | undefined>
  /** Files of a commit. Undefined for an unknown one. */
  commit(id: string): Effect.Effect<Files | undefined>
  /** Paths of the trees that are open now, in order of opening. */
  readonly openTrees: Effect.Effect<ReadonlyArray<string>>
  /** Heads of the branches, by name. */
  readonly branches: Effect.Effect<ReadonlyMap<string, string>>
  /** Files of the user's checkout. */
  readonly checkout: Effect.Effect<Files>
  /** Changes a file of the user's checkout without committing it; `undefined` removes it. */
  changeCheckout(file: string, content: string | undefined): Effect.Effect<void>
}>()("@espalier/platform/workspace/Memory/Contents") {}

interface Commit {
  readonly parent: string | undefined
  readonly files: Files
}

interface MemoryTree {
  readonly files: Map<string, string>
  readonly branch: string | undefined
  readonly base: string
  head: string
  open: boolean
  kept: boolean
}

const source = "memory:"

/** A workspace, and the view that tests have of it. */
export const make = (options: Options): Effect.Effect<{
  readonly workspace: Workspace["Service"]
  readonly contents: Contents["Service"]
}> =>
  Effect.sync(() => {
    const commits = new Map<string, Commit>()
    const branches = new Map<string, string>()
    const trees = new Map<string, MemoryTree>()
    const checkout = new Map(Object.entries(options.files))
    const head = commitFiles(commits, undefined, checkout, "First state")
    branches.set("main", head)

    const fail = (reason: WorkspaceError["reason"]) => Effect.fail(WorkspaceError.of(reason))

    const resolve = (ref: string): Effect.Effect<string, WorkspaceError> =>
      Effect.suspend(() => {
        const id = ref === "HEAD" ? head : branches.get(ref) ?? ref
        if (commits.has(id)) return Effect.succeed(id)
        const found = /^[0-9a-f]{4,}$/.test(id) ? [...commits.keys()].filter((commit) => commit.startsWith(id)) : []
        if (found.length === 1) return Effect.succeed(found[0]!)
        return fail({ _tag: "UnknownRef", repository: source, ref, detail: "" })
      })

    const openTree = (tree: Tree): Effect.Effect<MemoryTree, WorkspaceError> =>
      Effect.suspend(() => {
        const held = trees.get(tree.path)
        return held?.open === true ? Effect.succeed(held) : fail({ _tag: "TreeClosed", path: tree.path })
      })

    const checkOut = (
      run: string,
      node: string,
      ref: string,
      branchMoves: boolean,
      keep: Effect.Effect<boolean> | undefined,
      adopt = false
    ): Effect.Effect<Tree, WorkspaceError, Scope.Scope> =>
      Effect.flatMap(resolve(ref), (base) => {
        const path = `/memory/${safeName(run)}/${safeName(node)}`
        const name = branchName(run, node)
        const acquire = Effect.suspend(() => {
          const standing = trees.get(path)
          if (standing?.open === true) return fail({ _tag: "TreeInUse", path })
          if (adopt && standing?.kept === true && standing.head === base) {
            standing.open = true
            return Effect.succeed({ path, branch: standing.branch, base, adopted: true })
          }
          const attached = branchMoves || (branches.get(name) ?? base) === base
          if (attached) branches.set(name, base)
          const branch = attached ? name : undefined
          const held: MemoryTree = {
            files: new Map(commits.get(base)!.files),
            branch,
            base,
            head: base,
            open: true,
            kept: false
          }
          // Deleted first, so that the order of the map is the order of opening.
          trees.delete(path)
          trees.set(path, held)
          return Effect.succeed({ path, branch, base, adopted: false })
        })
        return Effect.acquireRelease(acquire, () =>
          Effect.map(keep ?? Effect.succeed(false), (stays) => {
            const held = trees.get(path)!
            held.open = false
            held.kept = stays
          }))
      })

    const place = (files: Files, file: string, editable: ReadonlyArray<string> | undefined) =>
      Effect.gen(function*() {
        const segments = yield* Effect.fromResult(segmentsOf(file))
        yield* Effect.fromResult(checkEditable(file, segments, editable))
        const path = segments.join("/")
        for (let length = 1; length < segments.length; length++) {
          if (!files.has(segments.slice(0, length).join("/"))) continue
          return yield* fail({ _tag: "PathRefused", file, why: `${segments[length - 1]} in it is not a directory` })
        }
        if ([...files.keys()].some((other) => other.startsWith(`${path}/`))) {
          return yield* fail({ _tag: "PathRefused", file, why: "it names a directory" })
        }
        return path
      })

    const workspace = Workspace.of({
      source: Effect.succeed({ repository: source, prefix: "" }),
      resolve,
      anchor: ({ ref, snapshot }) =>
        Effect.gen(function*() {
          const commit = yield* resolve(ref)
          if (commit !== head && !snapshot) return commit
          const changed = changedFiles(commits.get(head)!.files, checkout)
          if (changed.length === 0) return commit
          if (!snapshot) return yield* UncleanSource.at(source, changed)
          if (commit !== head) return yield* fail({ _tag: "SnapshotElsewhere", repository: source, ref, commit, head })
          return commitFiles(commits, head, checkout, "Snapshot of the working tree")
        }),
      open: ({ run, node, base, keep }) => checkOut(run, node, base, true, keep),
      reopen: ({ run, node, commit, keep, adopt }) => checkOut(run, node, commit, false, keep, adopt ?? true),
      read: (tree, file) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          const content = files.get(yield* place(files, file, undefined))
          if (content !== undefined) return content
          return yield* fail({ _tag: "FileFailed", operation: "read", file, detail: "there is no such file" })
        }),
      write: (tree, file, content) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          files.set(yield* place(files, file, options.editable), content)
        }),
      applyEdit: (tree, edit) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          const path = yield* place(files, edit.file, options.editable)
          const before = files.get(path)
          const after = yield* Effect.fromResult(
            editContent(edit, before === undefined ? undefined : Buffer.from(before, "utf8"))
          )
          files.set(path, after.toString("utf8"))
        }),
      diff: (tree) => Effect.map(openTree(tree), ({ base, files }) => diffFiles(commits.get(base)!.files, files)),
      commit: (tree, { message }) =>
        Effect.map(openTree(tree), (held) => {
          if (changedFiles(commits.get(held.head)!.files, held.files).length === 0) return held.head
          held.head = commitFiles(commits, held.head, held.files, message)
          if (held.branch !== undefined) branches.set(held.branch, held.head)
          return held.head
        }),
      sweep: (run) =>
        Effect.sync(() => {
          const left = [...trees].filter(([path, tree]) =>
            tree.kept && !tree.open && path.startsWith(`/memory/${safeName(run)}/`)
          )
          for (const [, tree] of left) tree.kept = false
          return left.map(([path]) => path).sort()
        })
    })

    const contents = Contents.of({
      tree: (path) => Effect.sync(() => trees.get(path)?.files),
      commit: (id) => Effect.sync(() => commits.get(id)?.files),
      openTrees: Effect.sync(() => [...trees].filter(([, tree]) => tree.open).map(([path]) => path)),
      branches: Effect.sync(() => new Map(branches)),
      checkout: Effect.sync(() => new Map(checkout)),
      changeCheckout: (file, content) =>
        Effect.sync(() => {
          if (content === undefined) checkout.delete(file)
          else checkout.set(file, content)
        })
    })

    return { workspace, contents }
  })

/**
 * The workspace, and `Contents` to look at it.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import * as Memory from "@espalier/platform/workspace/Memory"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const program = Effect.gen(function*() {
 *   const workspace = yield* Workspace
 *   const base = yield* workspace.resolve("HEAD")
 *   const tree = yield* Effect.scoped(Effect.gen(function*() {
 *     const tree = yield* workspace.open({ run: "search", node: "first", base })
 *     yield* workspace.write(tree, "parameters.json", "{}")
 *     return tree
 *   }))
 *   const contents = yield* Memory.Contents
 *   return yield* contents.tree(tree.path)
 * }).pipe(Effect.provide(Memory.layer({ files: { "main.ts": "" } })))
 *
 * const files = await Effect.runPromise(program)
 * assert.deepEqual([...files!.keys()], ["main.ts", "parameters.json"])
 * ```
 */
export const layer = (options: Options): Layer.Layer<Workspace | Contents> =>
  Layer.effectContext(
    Effect.map(make(options), ({ contents, workspace }) =>
      Context.make(Workspace, workspace).pipe(Context.add(Contents, contents)))
  )

const commitFiles = (
  commits: Map<string, Commit>,
  parent: string | undefined,
  files: Files,
  message: string
): string => {
  const content = [...files].sort(([one], [other]) => one < other ? -1 : 1)
  const hash = createHash("sha256").update(JSON.stringify([parent ?? null, message, content]))
  // As long as git's ids, so that what shows or parses ids meets the same thing.
  const id = hash.digest("hex").slice(0, 40)
  commits.set(id, { parent, files: new Map(content) })
  return id
}

const changedFiles = (before: Files, after: Files): ReadonlyArray<string> =>
  [...new Set([...before.keys(), ...after.keys()])].filter((file) => before.get(file) !== after.get(file)).sort()

// A bound on the search for the smallest diff: above it the diff is still right, only longer.
const maxEdits = 2000

const diffFiles = (before: Files, after: Files): Diff => {
  const files = changedFiles(before, after)
  const total = { patch: "", filesChanged: files.length, insertions: 0, deletions: 0 }
  for (const file of files) {
    const edits = TextDiff.lines(before.get(file) ?? "", after.get(file) ?? "", { maxEdits })
    for (const edit of edits) {
      if (edit._tag === "Insert") total.insertions += edit.items.length
      if (edit._tag === "Delete") total.deletions += edit.items.length
    }
    total.patch += `diff --git a/${file} b/${file}\n` + TextDiff.unified(edits, {
      fromFile: before.has(file) ? `a/${file}` : "/dev/null",
      toFile: after.has(file) ? `b/${file}` : "/dev/null"
    })
  }
  return total
}
