/** One plain copy: made, looked through, committed, compared. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import type { Diff, Identity } from "../Workspace.ts"
import { fillDirectory, type Memory, type Nameless, scan } from "./copyScan.ts"
import type { CopyStore, Entry, State } from "./copyStore.ts"
import { entryAt } from "./files.ts"
import type { Root } from "./guardRoot.ts"
import type { ChangedFile } from "./workspaceChanges.ts"
import { comparedBytes, diffOf, type Side } from "./workspaceDiff.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation, longFileOperation, removeWhole } from "./workspaceFiles.ts"
import { type Address, noteTree } from "./workspaceOwners.ts"

/** A copy that this process has open. */
export interface Copy {
  readonly root: string
  /** What its directory was when it was opened. */
  readonly opened: Root
  readonly address: Address
  readonly branch: string | undefined
  readonly base: string
  readonly baseState: State
  head: string
  headState: State
  readonly memory: Memory
  /** Paths that were written on purpose: part of a state also where they are among the ignored. */
  readonly written: Set<string>
}

/** What both copies and the source know of which files count. */
export interface Rules {
  readonly isIgnored: (path: string) => boolean
  /** Whether any can be. */
  readonly ignores: boolean
}

const isSame = (one: Entry | undefined, other: Entry | undefined): boolean => {
  // An empty directory is made, but is no change: as in git.
  if (one?.kind === "directory") one = undefined
  if (other?.kind === "directory") other = undefined
  if (one === undefined || other === undefined) return one === other
  if (one.kind === "link") return other.kind === "link" && one.target === other.target
  return one.kind === "file" && other.kind === "file" && one.id === other.id &&
    (one.mode & 0o100) === (other.mode & 0o100)
}

/** Paths at which two states differ, in order. */
export const differing = (before: State, after: State): ReadonlyArray<string> =>
  [...new Set([...before.keys(), ...after.keys()])].filter((path) => !isSame(before.get(path), after.get(path))).sort()

/** The commit and its state. */
export const loadCommit = (
  store: CopyStore,
  commit: string
): Effect.Effect<State, WorkspaceError> =>
  fileOperation("read the state of", commit, async () => store.getState((await store.getCommit(commit)).state))

/** Makes the copy in place of whatever was there. It gets its name when it is whole. */
export const makeCopy = (
  store: CopyStore,
  root: string,
  address: Address,
  commit: string,
  state: State
): Effect.Effect<Memory, WorkspaceError> =>
  Effect.gen(function*() {
    const making = Path.join(Path.dirname(root), `.making-${Path.basename(root)}`)
    // First it is written down that nothing stands here at a commit: a copy is taken up again by that alone.
    yield* noteTree(root, address, undefined)
    yield* removeWhole(root)
    yield* removeWhole(making)
    const memory = yield* longFileOperation("fill", making, (signal) => fillDirectory(store, state, making, signal))
    yield* fileOperation("name", root, () => fs.rename(making, root))
    yield* noteTree(root, address, commit)
    return memory
  })

/**
 * What stands in the copy, and its pipes, sockets and devices, by path. With `keep` it is in the store afterwards. Names
 * that are no UTF-8 are told, or fail it.
 */
export const stateOf = (
  store: CopyStore,
  rules: Rules,
  copy: Copy,
  keep: boolean,
  nameless?: Nameless
): Effect.Effect<{ readonly state: State; readonly special: ReadonlyArray<string> }, WorkspaceError> =>
  longFileOperation("look through", copy.root, (signal) => {
    // What is part of the state already stays part of it, whatever is ignored.
    const own = new Set<string>()
    const paths = rules.ignores ? [copy.headState.keys(), copy.baseState.keys(), copy.written] : []
    for (const path of paths.flatMap((each) => [...each])) {
      for (let at = path; at !== "." && !own.has(at); at = Path.posix.dirname(at)) own.add(at)
    }
    const skip = (path: string) => rules.isIgnored(path) && !own.has(path)
    return scan({ root: copy.root, skip, memory: copy.memory, store, keep, nameless, signal })
  })

/** The files that differ from the base. */
export const changesOf = (copy: Copy, now: State): ReadonlyArray<ChangedFile> =>
  differing(copy.baseState, now).map((file) => {
    const there = (state: State) => (state.get(file)?.kind ?? "directory") !== "directory"
    return { file, change: !there(copy.baseState) ? "added" : !there(now) ? "deleted" : "changed" }
  })

/** What the copy holds beyond its base, as a diff. */
export const diffCopy = (store: CopyStore, copy: Copy, now: State): Effect.Effect<Diff, WorkspaceError> =>
  fileOperation("compare", copy.root, async () => {
    const side = async (entry: Entry | undefined, read: (entry: Entry & { kind: "file" }) => Promise<string>) => {
      if (entry === undefined || entry.kind === "directory") return undefined
      if (entry.kind === "link") return { bytes: Buffer.from(entry.target, "utf8"), mode: "120000" } satisfies Side
      const bytes = entry.bytes > comparedBytes ? undefined : await fs.readFile(await read(entry))
      return { bytes, mode: (entry.mode & 0o100) === 0 ? "100644" : "100755" } satisfies Side
    }
    const pairs = []
    for (const file of differing(copy.baseState, now)) {
      const before = await side(copy.baseState.get(file), (entry) => store.fileAt(entry))
      const after = await side(now.get(file), async () => Path.join(copy.root, file))
      if (before !== undefined && after !== undefined && (before.mode === "120000") !== (after.mode === "120000")) {
        // A file that becomes a link is another thing of the same name.
        pairs.push({ file, before, after: undefined }, { file, before: undefined, after })
      } else pairs.push({ file, before, after })
    }
    const diff = diffOf(pairs)
    return { ...diff, filesChanged: new Set(pairs.map(({ file }) => file)).size }
  })

/** Commits a state on top of another commit; moves nothing. */
export const commitState = (
  store: CopyStore,
  state: State,
  options: { readonly parent: string | undefined; readonly author: Identity; readonly text: string }
): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const atMillis = yield* Clock.currentTimeMillis
    return yield* fileOperation("write", store.directory, async () =>
      store.putCommit({
        parents: options.parent === undefined ? [] : [options.parent],
        state: await store.putState(state),
        author: options.author,
        atMillis,
        text: options.text
      }))
  })

/** Commits the copy as it stands. */
export const commitCopy = (
  store: CopyStore,
  rules: Rules,
  copy: Copy,
  options: { readonly author: Identity; readonly text: string }
): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const { state: now } = yield* stateOf(store, rules, copy, true)
    if (differing(copy.headState, now).length === 0) return copy.head
    const commit = yield* commitState(store, now, { ...options, parent: copy.head })
    yield* Effect.uninterruptible(Effect.gen(function*() {
      const { branch } = copy
      if (branch !== undefined) yield* fileOperation("move", branch, () => store.putRef(branch, commit))
      copy.head = commit
      copy.headState = now
      yield* noteTree(copy.root, copy.address, commit)
    }))
    return commit
  })

/** The source: its files, and the last state of it that was recorded. */
export interface CopySource {
  readonly root: string
  readonly skip: (path: string) => boolean
  readonly memory: Memory
  readonly limitBytes: number
  readonly identity: Identity
}

/** The name of what was recorded of the source last. */
export const sourceBranch = "main"

/** The commit of the source as it stands now: the last one where nothing has changed. */
export const captureSource = (store: CopyStore, source: CopySource): Effect.Effect<string, WorkspaceError> =>
  Effect.gen(function*() {
    const { identity, limitBytes, memory, root, skip } = source
    const entry = yield* fileOperation("look at", root, () => entryAt(root))
    if (entry === undefined) {
      return yield* WorkspaceError.of({ _tag: "NotARepository", directory: root, exists: false })
    }
    const { state: now } = yield* longFileOperation(
      "look through",
      root,
      (signal) => scan({ root, skip, memory, store, keep: true, limitBytes, signal })
    )
    const last = yield* fileOperation("read", sourceBranch, () => store.getRef(sourceBranch))
    if (last !== undefined && differing(yield* loadCommit(store, last), now).length === 0) return last
    const text = `State of ${Path.basename(root)}\n`
    const commit = yield* commitState(store, now, { parent: last, author: identity, text })
    yield* fileOperation("move", sourceBranch, () => store.putRef(sourceBranch, commit))
    return commit
  })
