/**
 * Looks through a directory: what is in it, by the hash of its content. A file that looks as it did when it was hashed (size,
 * times, inode) is not read again, as git does it with its index.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { type CopyStore, type Entry, hashFile, type State } from "./copyStore.ts"
import { codeOf } from "./files.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

type FileEntry = Entry & { readonly kind: "file" }

/** How a file looked when its content was known. */
interface Seen {
  readonly entry: FileEntry
  readonly modified: number
  readonly changed: number
  readonly inode: number
  /** Whether a later change must show in the times: they move in steps, and the file was older than one. */
  readonly settled: boolean
}

/** What is remembered of a directory between two looks, by path. */
export type Memory = Map<string, Seen>

/** A file that was found, before its content is known. */
interface Found {
  readonly path: string
  readonly stat: Stats
}

/** Which paths are left out. A directory that is left out is not looked into. */
export type Skip = (path: string, isDirectory: boolean) => boolean

// The clocks of file systems tick every 1 to 10 ms.
const tickMillis = 100

const atOnce = 16

/** Runs over a list, some at once: the file system has few threads, and open files are limited. */
const eachAtOnce = async <A>(
  items: Iterable<A>,
  signal: AbortSignal,
  run: (item: A) => Promise<void>
): Promise<void> => {
  const iterator = items[Symbol.iterator]()
  let failed = false
  const worker = async () => {
    for (let next = iterator.next(); next.done !== true && !failed; next = iterator.next()) {
      try {
        signal.throwIfAborted()
        await run(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  // Not before all are at rest: nothing goes on behind the back of whoever is told of the failure.
  for (const result of results) if (result.status === "rejected") throw result.reason
}

/** Told of a path with a name that is no UTF-8, which cannot be looked at. */
export type Nameless = (path: string) => void

/** A file that goes while it is looked at was not there. */
const whenGone = (path: string, error: unknown, nameless?: Nameless): undefined => {
  // Whatever was said: it may be about another file that is shown by the same name.
  if (path.includes("\ufffd")) {
    if (nameless === undefined) throw new Error("a name in it is no UTF-8. Rename the file", { cause: error })
    nameless(path)
  } else if (codeOf(error) !== "ENOENT") throw error
  return undefined
}

const orGone = <A>(path: string, run: () => Promise<A>, nameless?: Nameless): Promise<A | undefined> =>
  run().catch((error: unknown) => whenGone(path, error, nameless))

const orGoneSync = <A>(path: string, run: () => A, nameless?: Nameless): A | undefined => {
  try {
    return run()
  } catch (error) {
    return whenGone(path, error, nameless)
  }
}

// How long other fibers wait at most for one that looks at names. A call of its own for each would take five times as long.
const sliceMillis = 5

/** Lets others go on, where the slice is over; throws where nobody waits for the result any more. */
const breather = (signal: AbortSignal) => {
  let began = performance.now()
  return async (): Promise<void> => {
    if (performance.now() - began < sliceMillis) return
    await new Promise((resume) => setImmediate(resume))
    signal.throwIfAborted()
    began = performance.now()
  }
}

/** Walks. Of pipes, sockets and devices only the names are told; `.git` is none of a state. */
const walk = async (root: string, skip: Skip, signal: AbortSignal, nameless?: Nameless) => {
  const files: Array<Found> = []
  const entries = new Map<string, Entry>()
  const special: Array<string> = []
  const breathe = breather(signal)
  const into = async (below: string): Promise<void> => {
    const read = () => readdirSync(Path.join(root, below), { withFileTypes: true })
    // A tree that is gone as a whole is a fault, and not a tree without files.
    const list = below === "" ? read() : orGoneSync(below, read, nameless)
    if (list?.length === 0 && below !== "") entries.set(below, { kind: "directory" })
    for (const entry of list ?? []) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`
      if (entry.name === ".git" || skip(path, entry.isDirectory())) continue
      if (entry.isDirectory()) await into(path)
      else if (entry.isSymbolicLink()) {
        const target = orGoneSync(path, () => readlinkSync(Path.join(root, path)), nameless)
        if (target !== undefined) entries.set(path, { kind: "link", target })
      } else if (entry.isFile()) {
        const stat = orGoneSync(path, () => lstatSync(Path.join(root, path)), nameless)
        if (stat?.isFile() === true) files.push({ path, stat })
      } else special.push(path)
      await breathe()
    }
  }
  await into("")
  return { files, entries, special }
}

/** What a file looked like, to be compared later. */
const remember = (stat: Stats, entry: FileEntry): Seen => ({
  entry,
  modified: stat.mtimeMs,
  changed: stat.ctimeMs,
  inode: stat.ino,
  settled: Date.now() - Math.max(stat.mtimeMs, stat.ctimeMs) > tickMillis
})

const isAsSeen = (stat: Stats, seen: Seen): boolean =>
  seen.settled && seen.entry.bytes === stat.size && seen.modified === stat.mtimeMs && seen.changed === stat.ctimeMs &&
  seen.inode === stat.ino

/**
 * The state of a directory. With `keep` the content of every file is in the store afterwards; without, only its hash is
 * taken. Fails where a file goes on changing while it is read, and where a name is no UTF-8 and nobody wants to be told.
 */
export const scan = async (options: {
  readonly root: string
  readonly skip: Skip
  readonly memory: Memory
  readonly store: CopyStore
  readonly keep: boolean
  readonly limitBytes?: number | undefined
  readonly nameless?: Nameless | undefined
  readonly signal: AbortSignal
}): Promise<{ readonly state: State; readonly special: ReadonlyArray<string> }> => {
  const { keep, limitBytes, memory, nameless, root, signal, skip, store } = options
  const { entries, files, special } = await walk(root, skip, signal, nameless)
  if (limitBytes !== undefined) checkLimit(root, files, limitBytes)
  const present = new Set(files.map(({ path }) => path))
  for (const path of memory.keys()) if (!present.has(path)) memory.delete(path)
  const unknown: Array<string> = []
  for (const { path, stat } of files) {
    const seen = memory.get(path)
    if (
      seen !== undefined && isAsSeen(stat, seen) &&
      (!keep || store.hasFile(seen.entry.id) === true || await store.hasFile(seen.entry.id))
    ) {
      entries.set(path, seen.entry)
    } else unknown.push(path)
  }
  await eachAtOnce(unknown, signal, async (path) => {
    const full = Path.join(root, path)
    await orGone(path, async () => {
      for (let tries = 0; tries < 5; tries++) {
        const before = await fs.lstat(full)
        let id = await hashFile(full, before.size)
        let bytes = before.size
        if (keep && !await store.hasFile(id)) ({ bytes, id } = await store.putFile(full))
        const after = await fs.lstat(full)
        if (before.mtimeMs !== after.mtimeMs || before.size !== after.size || before.ino !== after.ino) continue
        const entry: FileEntry = { kind: "file", id, mode: after.mode & 0o777, bytes }
        memory.set(path, remember(after, entry))
        entries.set(path, entry)
        return
      }
      throw new Error(`${path} goes on changing while it is read. Stop what writes it, or leave it out (ignored)`)
    }, nameless)
  })
  return { state: entries, special: special.sort() }
}

const checkLimit = (root: string, files: ReadonlyArray<Found>, limitBytes: number): void => {
  const tops = new Map<string, number>()
  let sum = 0
  for (const { path, stat } of files) {
    const bytes = stat.size
    const name = path.split("/", 1)[0]!
    sum += bytes
    tops.set(name, (tops.get(name) ?? 0) + bytes)
  }
  if (sum <= limitBytes) return
  const largest = [...tops].sort(([, one], [, other]) => other - one).slice(0, 5).map(([name, bytes]) => ({
    name,
    bytes
  }))
  throw WorkspaceError.of({ _tag: "SourceTooLarge", directory: root, bytes: sum, limitBytes, largest })
}

/**
 * Writes a state into a new directory: copies that share their blocks with the store where the file system can do that,
 * and never a second name of the same file, through which an experiment could change the store. Returns what is
 * remembered of it.
 */
export const fillDirectory = async (
  store: CopyStore,
  state: State,
  root: string,
  signal: AbortSignal
): Promise<Memory> => {
  const directories = new Set<string>()
  const files: Array<readonly [string, FileEntry]> = []
  for (const [path, entry] of state) {
    let parent = entry.kind === "directory" ? path : Path.posix.dirname(path)
    for (; parent !== "." && !directories.has(parent); parent = Path.posix.dirname(parent)) directories.add(parent)
    if (entry.kind === "file") files.push([path, entry])
  }
  await fs.mkdir(root, { recursive: true })
  for (const directory of [...directories].sort()) await fs.mkdir(Path.join(root, directory), { recursive: true })
  await eachAtOnce(files, signal, async ([path, entry]) => {
    const place = Path.join(root, path)
    await fs.copyFile(store.verifiedAt(entry.id) ?? await store.fileAt(entry), place, copyMode)
    if (entry.mode !== 0o644) await fs.chmod(place, entry.mode)
  })
  for (const [path, entry] of state) if (entry.kind === "link") await fs.symlink(entry.target, Path.join(root, path))
  const memory: Memory = new Map()
  const breathe = breather(signal)
  for (const [path, entry] of files) {
    // A file system that cannot hold a mode must not make a change of every file.
    memory.set(path, remember(lstatSync(Path.join(root, path)), entry))
    await breathe()
  }
  return memory
}

const copyMode = fs.constants.COPYFILE_FICLONE | fs.constants.COPYFILE_EXCL
