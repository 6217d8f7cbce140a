/**
 * Workspace on plain copies: for a directory without source control, and without git. Every experiment gets a copy of
 * the directory; what it changes is kept in a store of states, by the hash of its content, so that commits, diffs and
 * branches work as they do in a repository.
 *
 * There is no checkout with uncommitted changes here: `HEAD` is the directory **as it stands when it is asked for**, and
 * `main` is the last state of it that was recorded. So `anchor` never finds the source unclean.
 *
 * Trees lie below `<directory>/<run>/<node>`, the store in `<directory>/.store`. Copies share their blocks with the
 * store where the file system can do that (Btrfs, XFS, APFS, bcachefs); elsewhere each is a whole copy. They are never hard
 * links. A copy gets its name when it is whole, and a state in the store is never changed, so a process may die at any
 * moment. The store only grows: to be rid of it, delete it when no run needs its commits any more.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Path from "node:path"
import { CopyStore } from "../internal/copyStore.ts"
import {
  captureSource,
  changesOf,
  commitCopy,
  type Copy,
  diffCopy,
  loadCommit,
  makeCopy,
  type Rules,
  sourceBranch,
  stateOf
} from "../internal/copyTree.ts"
import { entryAt } from "../internal/files.ts"
import { cleanIdentity, nobody } from "../internal/git.ts"
import { branchName, safeName } from "../internal/gitNames.ts"
import { realOrPlanned, requireApart } from "../internal/gitRepository.ts"
import { compileGlob } from "../internal/glob.ts"
import { policyOf } from "../internal/guard.ts"
import { checkTree } from "../internal/guardCheck.ts"
import { editGuarded, lookGuarded, readGuarded, storePlan, writeGuarded } from "../internal/guardFiles.ts"
import { requireOptions } from "../internal/guardOptions.ts"
import { requireRoot, rootAt } from "../internal/guardRoot.ts"
import { fileOperation, removeIfEmpty, removeWhole } from "../internal/workspaceFiles.ts"
import { messageParts, messageText } from "../internal/workspaceMessage.ts"
import {
  type Address,
  claimLeft,
  claimTree,
  forgetTree,
  leaveTree,
  tidyRun,
  treesBelow,
  treesOfRun
} from "../internal/workspaceOwners.ts"
import { planChanges } from "../internal/workspacePlan.ts"
import { type Tree, type TreesOnDisk, type Violation, Workspace, WorkspaceError } from "../Workspace.ts"

/** Where the source is, and what of it is copied. */
export interface Options extends TreesOnDisk {
  /** The directory that is copied. Never written. */
  readonly source: string
  /**
   * What is not part of a state, as globs of paths below the source: what builds and jobs make, large data. In the source
   * it is not copied; in a copy it is no change, unless it was written by an operation of the workspace.
   */
  readonly ignored?: ReadonlyArray<string> | undefined
  /** Most bytes that the source may hold, without what is ignored. Default 2 GiB: more was hardly meant. */
  readonly maxSourceBytes?: number | undefined
}

/**
 * The workspace of one directory. Fails where an option can never do what it is there for (`OptionRefused`). It touches nothing
 * before its first operation, so that a wrong directory is that operation's typed error.
 */
export const make = (options: Options): Effect.Effect<Workspace["Service"], WorkspaceError> =>
  Effect.gen(function*() {
    yield* requireOptions(options)
    const policy = policyOf(options)
    const identity = cleanIdentity(options.identity ?? nobody, nobody)
    const ignored = (options.ignored ?? []).map((pattern) => compileGlob(pattern))
    const rules: Rules = {
      ignores: ignored.length > 0,
      isIgnored: (path) => {
        const segments = path.split("/")
        return segments.some((_, index) => ignored.some((glob) => glob.matches(segments.slice(0, index + 1))))
      }
    }
    const open = new Map<string, Copy>()
    const capturing = yield* Semaphore.make(1)

    // Found once; a failure is not remembered, so that the user can mend it while the engine waits.
    let found: Effect.Success<typeof find> | undefined
    const find = Effect.gen(function*() {
      const directory = yield* fileOperation(
        "look at",
        options.directory,
        () => realOrPlanned(Path.resolve(options.directory))
      )
      const root = yield* fileOperation("look at", options.source, () => realOrPlanned(Path.resolve(options.source)))
      yield* requireApart(directory, root)
      const excluded = new Set<string>()
      for (const path of [directory, ...options.excluded ?? []]) {
        const real = yield* fileOperation("look at", path, () => realOrPlanned(Path.resolve(root, path)))
        excluded.add(Path.relative(root, real).split(Path.sep).join("/"))
      }
      const skip = (path: string) => excluded.has(path) || rules.isIgnored(path)
      const limitBytes = options.maxSourceBytes ?? 2 * 1024 ** 3
      return {
        directory,
        store: new CopyStore(Path.join(directory, ".store")),
        source: { root, skip, memory: new Map(), limitBytes, identity }
      }
    })
    const place = Effect.suspend(() =>
      found === undefined
        ? Effect.tap(find, (located) =>
          Effect.sync(() => {
            found = located
          }))
        : Effect.succeed(found)
    )

    const rootOf = (directory: string, { node, run }: Address) => Path.join(directory, safeName(run), safeName(node))

    const capture = Effect.flatMap(place, ({ source, store }) => capturing.withPermit(captureSource(store, source)))

    const resolve = (ref: string): Effect.Effect<string, WorkspaceError> =>
      Effect.gen(function*() {
        const { source, store } = yield* place
        if (ref === "HEAD") return yield* capture
        if (ref === sourceBranch || /^espalier\/[a-z0-9_][a-z0-9_+.-]*\/[a-z0-9_][a-z0-9_+.-]*$/.test(ref)) {
          const commit = yield* fileOperation("read", ref, () => store.getRef(ref))
          if (commit !== undefined) return commit
          if (ref === sourceBranch) return yield* capture
        }
        const found = !/^[0-9a-f]{4,64}$/.test(ref)
          ? []
          : yield* fileOperation("look for", ref, () => store.findCommits(ref))
        if (found.length === 1) return found[0]!
        const detail = found.length === 0 ? "" : `${found.length} commits begin so`
        return yield* WorkspaceError.of({ _tag: "UnknownRef", repository: source.root, ref, detail })
      })

    const copyOf = (tree: Tree): Effect.Effect<Copy, WorkspaceError> =>
      Effect.suspend(() => {
        const copy = open.get(tree.path)
        return copy === undefined
          ? Effect.fail(WorkspaceError.of({ _tag: "TreeClosed", path: tree.path }))
          : Effect.as(requireRoot(copy.opened), copy)
      })

    /** Removes a copy that this process has claimed, its record last. */
    const remove = (root: string): Effect.Effect<void, WorkspaceError> =>
      removeWhole(root).pipe(
        Effect.andThen(removeWhole(Path.join(Path.dirname(root), `.making-${Path.basename(root)}`))),
        Effect.andThen(forgetTree(root)),
        Effect.andThen(fileOperation("remove", Path.dirname(root), () => removeIfEmpty(Path.dirname(root)))),
        Effect.asVoid
      )

    const removeClaimed = (root: string, address: Address) =>
      Effect.onError(remove(root), () => Effect.ignore(leaveTree(root, address, undefined)))

    const checkOut = (
      request: Address & {
        readonly commit: string
        readonly branchMoves: boolean
        readonly adopt: boolean
        readonly keep: Effect.Effect<boolean> | undefined
      }
    ): Effect.Effect<Tree, WorkspaceError, Scope.Scope> =>
      Effect.gen(function*() {
        const commit = yield* resolve(request.commit)
        const { directory, store } = yield* place
        const root = rootOf(directory, request)
        const branch = branchName(request.run, request.node)
        const state = yield* loadCommit(store, commit)
        const before = yield* Effect.acquireRelease(
          claimTree(root, request),
          () =>
            Effect.flatMap(request.keep ?? Effect.succeed(false), (stays) => {
              const copy = open.get(root)
              open.delete(root)
              return stays && copy !== undefined ? leaveTree(root, request, copy.head) : removeClaimed(root, request)
            }).pipe(
              // A finalizer has nobody to fail to. `sweep`, or the next `open`, removes what stays.
              Effect.catch((error) => Effect.logWarning(`A tree stays behind until the next sweep: ${error.message}`))
            )
        )
        const head = yield* fileOperation("read", branch, () => store.getRef(branch))
        const isAttached = request.branchMoves || head === undefined || head === commit
        if (isAttached && head !== commit) yield* fileOperation("move", branch, () => store.putRef(branch, commit))
        const entry = yield* fileOperation("look at", root, () => entryAt(root))
        const stands = request.adopt && before?.commit === commit && entry?.isDirectory() === true
        const memory = stands ? new Map() : yield* makeCopy(store, root, request, commit, state)
        const opened = yield* rootAt(root, root)
        open.set(root, {
          root,
          opened,
          address: { run: request.run, node: request.node },
          branch: isAttached ? branch : undefined,
          base: commit,
          baseState: state,
          head: commit,
          headState: state,
          memory,
          written: new Set()
        })
        return { path: root, branch: isAttached ? branch : undefined, base: commit, adopted: stands }
      })

    const now = (copy: Copy, keep = false) => Effect.flatMap(place, ({ store }) => stateOf(store, rules, copy, keep))

    return Workspace.of({
      source: Effect.map(place, ({ source }) => ({ kind: "copy" as const, repository: source.root, prefix: "" })),
      resolve,
      anchor: ({ ref, snapshot }) =>
        Effect.gen(function*() {
          if (!snapshot) return yield* resolve(ref)
          // Looked at once: a file that is saved between two looks would make two states of one.
          if (ref === "HEAD" || ref === sourceBranch) return yield* capture
          const commit = yield* resolve(ref)
          const head = yield* capture
          if (head === commit) return commit
          const { source } = yield* place
          return yield* WorkspaceError.of({
            _tag: "SnapshotElsewhere",
            repository: source.root,
            ref,
            commit,
            head
          })
        }),
      open: ({ base, keep, node, run }) => checkOut({ run, node, commit: base, branchMoves: true, adopt: false, keep }),
      reopen: ({ adopt, commit, keep, node, run }) =>
        checkOut({ run, node, commit, branchMoves: false, adopt: adopt ?? true, keep }),
      read: (tree, file) => Effect.andThen(copyOf(tree), readGuarded(tree.path, file, policy)),
      write: (tree, file, content) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          copy.written.add(yield* writeGuarded(tree.path, file, content, policy))
        }),
      applyEdit: (tree, edit) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          copy.written.add(yield* editGuarded(tree.path, edit, policy))
        }),
      apply: (tree, changes) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          const plan = yield* planChanges(changes, policy, lookGuarded(tree.path, policy))
          for (const file of plan.writes.keys()) copy.written.add(file)
          yield* storePlan(tree.path, plan)
          return plan.applied
        }),
      changed: (tree) =>
        Effect.flatMap(copyOf(tree), (copy) => Effect.map(now(copy), ({ state }) => changesOf(copy, state))),
      check: (tree) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          const { store } = yield* place
          const found: Array<Violation> = []
          const { special, state } = yield* stateOf(store, rules, copy, false, (file) => {
            found.push({ file, problem: "name", detail: "is no UTF-8, so it cannot be looked at. Rename it" })
          })
          const changed = changesOf(copy, state)
          for (const file of special) found.push({ file, problem: "special", detail: "is no plain file" })
          yield* checkTree({ path: tree.path, top: copy.root, changed, found, policy })
          return changed
        }),
      diff: (tree) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          const { store } = yield* place
          return yield* diffCopy(store, copy, (yield* now(copy)).state)
        }),
      commit: (tree, { author, body, message }) =>
        Effect.gen(function*() {
          const copy = yield* copyOf(tree)
          const { store } = yield* place
          return yield* commitCopy(store, rules, copy, {
            text: messageText(message, body),
            author: author === undefined ? identity : cleanIdentity(author, identity)
          })
        }),
      show: (ref) =>
        Effect.gen(function*() {
          const commit = yield* resolve(ref)
          const { store } = yield* place
          const { atMillis, author, parents, text } = yield* fileOperation(
            "read",
            commit,
            () => store.getCommit(commit)
          )
          return { commit, parents, author, atMillis, ...messageParts(text) }
        }),
      drop: (address) =>
        Effect.gen(function*() {
          const { directory } = yield* place
          const root = rootOf(directory, address)
          if (!(yield* treesOfRun(Path.dirname(root))).some(({ path }) => path === root)) return false
          yield* claimTree(root, address)
          yield* removeClaimed(root, address)
          return true
        }).pipe(Effect.uninterruptible),
      trees: Effect.flatMap(place, ({ directory }) => treesBelow(directory)),
      sweep: (run) =>
        Effect.gen(function*() {
          const { directory, store } = yield* place
          const top = Path.join(directory, safeName(run))
          const removed: Array<string> = []
          for (const { node, owner, path } of yield* treesOfRun(top)) {
            if (owner !== "left") continue
            const address = { run, node: node ?? Path.basename(path) }
            // What has a dot is no tree, but what is left of one. Whoever interrupts waits for the tree that is at hand: one
            // that is claimed and not removed would be in use until this process ends.
            const isGone = yield* Effect.uninterruptible(
              Path.basename(path).startsWith(".")
                ? Effect.as(removeWhole(path), true)
                : Effect.tap(claimLeft(path, address), (isOurs) => isOurs ? removeClaimed(path, address) : Effect.void)
            )
            if (isGone) removed.push(path)
          }
          yield* tidyRun(top)
          const nowMillis = yield* Clock.currentTimeMillis
          yield* fileOperation("tidy", store.directory, () => store.tidy(nowMillis))
          return removed
        })
    })
  })

/**
 * The layer of `make`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import * as PlainCopy from "@espalier/platform/workspace/PlainCopy"
 * import { Workspace } from "@espalier/platform/Workspace"
 *
 * const source = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * writeFileSync(join(source, "main.ts"), "const workers = 1\n")
 *
 * const program = Effect.gen(function*() {
 *   const workspace = yield* Workspace
 *   const base = yield* workspace.anchor({ ref: "HEAD", snapshot: false })
 *   const tree = yield* workspace.open({ run: "search", node: "first", base })
 *   yield* workspace.apply(tree, [
 *     { _tag: "Replace", name: "wider", file: "main.ts", search: "workers = 1", replace: "workers = 4" }
 *   ])
 *   yield* workspace.commit(tree, { message: "first", body: "More workers read at once." })
 *   return yield* workspace.show("espalier/search/first")
 * }).pipe(Effect.scoped, Effect.provide(PlainCopy.layer({ source, directory: join(source, "experiments") })))
 *
 * const { body, message } = await Effect.runPromise(program)
 * assert.deepEqual([message, body], ["first", "More workers read at once."])
 * assert.equal(readFileSync(join(source, "main.ts"), "utf8"), "const workers = 1\n")
 * rmSync(source, { recursive: true, force: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Workspace, WorkspaceError> =>
  Layer.effect(Workspace, make(options))
