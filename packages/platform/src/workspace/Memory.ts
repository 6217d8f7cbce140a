/**
 * Workspace in memory: files in maps, commits named by the hash of their content. No file, no
 * process, no real time, and the same commits on every run, so a whole lifecycle can be tested under
 * the test clock.
 *
 * It passes the same suite as the git layer. What it leaves out is what a map has none of: symbolic
 * links, ignore rules, binary files, and trees left over by a crash.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { cleanIdentity, nobody } from "../internal/git.ts"
import { branchName, safeName } from "../internal/gitNames.ts"
import {
  checkEditable,
  checkSize,
  editableBytes,
  editContent,
  type Policy,
  policyOf,
  readableBytes,
  segmentsOf,
  tooLargeToRead
} from "../internal/guard.ts"
import { requireOptions } from "../internal/guardOptions.ts"
import {
  type Commit,
  commitFiles,
  differing,
  diffStates,
  type Files,
  violationsOf
} from "../internal/workspaceMemory.ts"
import { messageText } from "../internal/workspaceMessage.ts"
import { type Look, planChanges } from "../internal/workspacePlan.ts"
import {
  type ChangedFile,
  ChangeRefused,
  type Guard,
  type StandingTree,
  type Tree,
  UncleanSource,
  Workspace,
  WorkspaceError
} from "../Workspace.ts"

export type { Files } from "../internal/workspaceMemory.ts"

/** What the source starts with. */
export interface Options extends Guard {
  /** Files of the first commit and of the checkout, by path. */
  readonly files: Readonly<Record<string, string>>
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
  /** Changes a file of an open tree as a program in it would, past the guard; `undefined` removes it. */
  changeTree(path: string, file: string, content: string | undefined): Effect.Effect<void>
}>()("@espalier/platform/workspace/Memory/Contents") {}

interface MemoryTree {
  readonly run: string
  readonly node: string
  readonly files: Map<string, string>
  readonly executable: Set<string>
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
}, WorkspaceError> =>
  Effect.map(requireOptions(options), () => {
    const policy = policyOf(options)
    const commits = new Map<string, Commit>()
    const branches = new Map<string, string>()
    const trees = new Map<string, MemoryTree>()
    const checkout = new Map(Object.entries(options.files))
    const head = commitFiles(commits, undefined, { files: checkout, executable: new Set() }, {
      text: "First state\n",
      author: nobody,
      atMillis: 0
    })
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
            run,
            node,
            files: new Map(commits.get(base)!.files),
            executable: new Set(commits.get(base)!.executable),
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

    const place = (files: Files, file: string, guard: Policy | undefined) =>
      Effect.gen(function*() {
        const segments = yield* Effect.fromResult(segmentsOf(file))
        yield* Effect.fromResult(checkEditable(file, segments, guard))
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

    const lookIn = (held: MemoryTree): Look => (file) =>
      Effect.map(place(held.files, file, policy), (path) => {
        const text = held.files.get(path)
        if (text === undefined) return { path, content: undefined }
        const bytes = Buffer.from(text, "utf8")
        const executable = held.executable.has(path)
        return bytes.length <= editableBytes(policy)
          ? { path, content: { bytes, executable } }
          : { path, content: { bytes: Buffer.alloc(0), executable, unreadBytes: bytes.length } }
      })

    /** As a layer on a disk, which would have to take the file into memory. */
    const readable = (file: string, content: string, limitBytes: number): Effect.Effect<string, WorkspaceError> => {
      const bytes = Buffer.byteLength(content)
      return bytes <= limitBytes ? Effect.succeed(content) : Effect.fail(tooLargeToRead(file, bytes, limitBytes))
    }

    const changedIn = (held: MemoryTree): ReadonlyArray<ChangedFile> => {
      const base = commits.get(held.base)!
      return differing(base, held).map((file) => ({
        file,
        change: !base.files.has(file) ? "added" : !held.files.has(file) ? "deleted" : "changed"
      }))
    }

    const workspace = Workspace.of({
      source: Effect.succeed({ kind: "memory", repository: source, prefix: "" }),
      resolve,
      anchor: ({ ref, snapshot }) =>
        Effect.gen(function*() {
          const commit = yield* resolve(ref)
          if (commit !== head && !snapshot) return commit
          const now = { files: checkout, executable: new Set<string>() }
          const changed = differing(commits.get(head)!, now)
          if (changed.length === 0) return commit
          if (!snapshot) return yield* UncleanSource.at(source, changed)
          if (commit !== head) return yield* fail({ _tag: "SnapshotElsewhere", repository: source, ref, commit, head })
          const atMillis = yield* Clock.currentTimeMillis
          return commitFiles(commits, head, now, { text: "Snapshot of the working tree\n", author: nobody, atMillis })
        }),
      open: ({ run, node, base, keep }) => checkOut(run, node, base, true, keep),
      reopen: ({ run, node, commit, keep, adopt }) => checkOut(run, node, commit, false, keep, adopt ?? true),
      read: (tree, file) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          const content = files.get(yield* place(files, file, undefined))
          if (content !== undefined) return yield* readable(file, content, readableBytes(policy))
          return yield* fail({ _tag: "FileFailed", operation: "read", file, detail: "there is no such file" })
        }),
      write: (tree, file, content) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          const path = yield* place(files, file, policy)
          yield* Effect.fromResult(checkSize(file, Buffer.byteLength(content), policy))
          files.set(path, content)
        }),
      applyEdit: (tree, edit) =>
        Effect.gen(function*() {
          const { files } = yield* openTree(tree)
          const path = yield* place(files, edit.file, policy)
          const before = files.get(path)
          if (before !== undefined) yield* readable(edit.file, before, editableBytes(policy))
          const after = yield* Effect.fromResult(
            editContent(edit, before === undefined ? undefined : Buffer.from(before, "utf8"))
          )
          yield* Effect.fromResult(checkSize(edit.file, after.length, policy))
          files.set(path, after.toString("utf8"))
        }),
      apply: (tree, changes) =>
        Effect.gen(function*() {
          const held = yield* openTree(tree)
          const plan = yield* planChanges(changes, policy, lookIn(held))
          for (const [path, content] of plan.writes) {
            held.executable.delete(path)
            if (content === undefined) held.files.delete(path)
            else held.files.set(path, content.bytes.toString("utf8"))
            if (content?.executable === true) held.executable.add(path)
          }
          return plan.applied
        }),
      changed: (tree) => Effect.map(openTree(tree), changedIn),
      check: (tree) =>
        Effect.gen(function*() {
          const held = yield* openTree(tree)
          const changed = changedIn(held)
          const violations = violationsOf(held, changed, policy)
          if (violations.length > 0) return yield* ChangeRefused.of(tree.path, violations)
          return changed
        }),
      diff: (tree) => Effect.map(openTree(tree), (held) => diffStates(commits.get(held.base)!, held)),
      commit: (tree, { author, body, message }) =>
        Effect.gen(function*() {
          const held = yield* openTree(tree)
          if (differing(commits.get(held.head)!, held).length === 0) return held.head
          held.head = commitFiles(commits, held.head, held, {
            text: messageText(message, body),
            author: author === undefined ? nobody : cleanIdentity(author, nobody),
            atMillis: yield* Clock.currentTimeMillis
          })
          if (held.branch !== undefined) branches.set(held.branch, held.head)
          return held.head
        }),
      show: (ref) => Effect.map(resolve(ref), (commit) => commits.get(commit)!.record),
      drop: ({ node, run }) =>
        Effect.suspend(() => {
          const path = `/memory/${safeName(run)}/${safeName(node)}`
          const held = trees.get(path)
          if (held?.open === true) return fail({ _tag: "TreeInUse", path })
          const stood = held?.kept === true
          if (stood) held.kept = false
          return Effect.succeed(stood)
        }),
      trees: Effect.sync(() =>
        [...trees].filter(([, held]) => held.open || held.kept).map(([path, held]): StandingTree => ({
          path,
          run: held.run,
          node: held.node,
          owner: held.open ? "open" : "left"
        })).sort((one, other) => one.path < other.path ? -1 : 1)
      ),
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
        }),
      changeTree: (path, file, content) =>
        Effect.sync(() => {
          if (content === undefined) trees.get(path)?.files.delete(file)
          else trees.get(path)?.files.set(file, content)
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
export const layer = (options: Options): Layer.Layer<Workspace | Contents, WorkspaceError> =>
  Layer.effectContext(
    Effect.map(make(options), ({ contents, workspace }) =>
      Context.make(Workspace, workspace).pipe(Context.add(Contents, contents)))
  )
