/**
 * A store of states of a directory, for where there is no git: files by the hash of their content, directories by the hash
 * of what is in them, commits, and names of commits.
 *
 * ```text
 * files/ab/cdef...     content of a file
 * lists/ab/cdef...     a directory: names, modes, and what they lead to
 * commits/<id>         what was committed, by whom, on what
 * refs/<branch>        the commit that a branch is at
 * tmp/                 what is being written
 * ```
 *
 * Everything is written beside its place, made durable, and renamed into it: a process may die at any moment, and any
 * number may write at once. What has a place is never changed but for the refs. Nothing is ever removed from it.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, randomBytes } from "node:crypto"
import { constants, createReadStream } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { ifThere, replaceFile } from "./files.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

/** What stands at a path. A directory has an entry of its own only where it is empty. */
export type Entry =
  | { readonly kind: "file"; readonly id: string; readonly mode: number; readonly bytes: number }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory" }

/** All that a directory holds, by path with forward slashes. */
export type State = ReadonlyMap<string, Entry>

const Id = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))

const List = Schema.Array(Schema.Union([
  Schema.Struct({
    name: Schema.String,
    kind: Schema.Literal("file"),
    id: Id,
    mode: Schema.Int,
    bytes: Schema.Int
  }),
  Schema.Struct({ name: Schema.String, kind: Schema.Literal("link"), target: Schema.String }),
  Schema.Struct({ name: Schema.String, kind: Schema.Literal("directory"), id: Id })
]))
type List = typeof List.Type

const Commit = Schema.Struct({
  version: Schema.Literal(1),
  parents: Schema.Array(Id),
  state: Id,
  author: Schema.Struct({ name: Schema.String, email: Schema.String }),
  atMillis: Schema.Finite,
  text: Schema.String
})
/** A commit as it is stored. */
export type Commit = typeof Commit.Type

const decodeList = Schema.decodeUnknownOption(Schema.fromJsonString(List))
const decodeCommit = Schema.decodeUnknownOption(Schema.fromJsonString(Commit))

const damaged = (file: string, detail: string): WorkspaceError =>
  WorkspaceError.of({ _tag: "StoreDamaged", file, detail })

const hash = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex")

const smallBytes = 1024 * 1024

/** The hash of a file's content. Reads large ones piece by piece. */
export const hashFile = async (path: string, bytes: number): Promise<string> => {
  if (bytes <= smallBytes) return hash(await fs.readFile(path))
  const digest = createHash("sha256")
  for await (const chunk of createReadStream(path, { highWaterMark: smallBytes })) digest.update(chunk as Buffer)
  return digest.digest("hex")
}

/** The store below a directory. All operations throw what the file system says, or a `WorkspaceError`. */
export class CopyStore {
  readonly directory: string
  /** Directories that were read or written, by id: most of them are the same in all states. */
  readonly #lists = new Map<string, List>()
  /** Files whose content this process has seen to be what their name says. */
  readonly #verified = new Set<string>()
  readonly #states = new Map<string, Promise<State>>()
  readonly #made = new Map<string, Promise<unknown>>()

  constructor(directory: string) {
    this.directory = directory
  }

  #place(kind: "files" | "lists", id: string): string {
    return Path.join(this.directory, kind, id.slice(0, 2), id.slice(2))
  }

  /** Makes a directory once. The store is readable by its owner only: what it holds may have been. */
  #make(directory: string): Promise<unknown> {
    const making = this.#made.get(directory) ??
      fs.mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
        this.#made.delete(directory)
        throw error
      })
    this.#made.set(directory, making)
    return making
  }

  async #aside(): Promise<string> {
    const directory = Path.join(this.directory, "tmp")
    await this.#make(directory)
    return Path.join(directory, randomBytes(9).toString("hex"))
  }

  async #write(place: string, text: string): Promise<void> {
    const aside = await this.#aside()
    await this.#make(Path.dirname(place))
    await replaceFile(place, text, { aside, durable: true })
  }

  /** Where the content of a file is, checked once in the life of this process. */
  async fileAt(entry: { readonly id: string; readonly bytes: number }): Promise<string> {
    const place = this.#place("files", entry.id)
    if (this.#verified.has(entry.id)) return place
    const found = await ifThere(fs.stat(place))
    if (found === undefined) throw damaged(place, "the content of a file is gone")
    if (found.size !== entry.bytes || await hashFile(place, found.size) !== entry.id) {
      throw damaged(place, "the content of a file is not what it was")
    }
    this.#verified.add(entry.id)
    return place
  }

  /** Whether the content is there; at once where this process has seen it. */
  hasFile(id: string): true | Promise<boolean> {
    return this.#verified.has(id) ||
      ifThere(fs.stat(this.#place("files", id))).then((found) => found !== undefined)
  }

  /** Where a file is that is known to be what its name says; undefined where it has to be asked for. */
  verifiedAt(id: string): string | undefined {
    return this.#verified.has(id) ? this.#place("files", id) : undefined
  }

  /**
   * Takes a file's content in, as it is at this moment. A copy that shares its blocks with the file where the file system
   * can do that; its hash is taken of the copy, which nobody changes.
   */
  async putFile(path: string): Promise<{ readonly id: string; readonly bytes: number }> {
    const aside = await this.#aside()
    try {
      await fs.copyFile(path, aside, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
      await fs.chmod(aside, 0o644)
      const handle = await fs.open(aside, "r+")
      let bytes: number
      try {
        bytes = (await handle.stat()).size
        await handle.datasync()
      } finally {
        await handle.close()
      }
      const id = await hashFile(aside, bytes)
      const place = this.#place("files", id)
      await this.#make(Path.dirname(place))
      await fs.rename(aside, place)
      this.#verified.add(id)
      return { id, bytes }
    } catch (error) {
      await fs.rm(aside, { force: true })
      throw error
    }
  }

  /** Writes a state down; returns its id. */
  async putState(state: State): Promise<string> {
    interface Node {
      readonly entries: Map<string, Entry>
      readonly below: Map<string, Node>
    }
    const node = (): Node => ({ entries: new Map(), below: new Map() })
    const top = node()
    for (const [path, entry] of state) {
      const segments = path.split("/")
      const name = segments.pop()!
      let at = top
      for (const segment of segments) {
        const next = at.below.get(segment) ?? node()
        at.below.set(segment, next)
        at = next
      }
      if (entry.kind === "directory") at.below.set(name, node())
      else at.entries.set(name, entry)
    }
    const put = async ({ below, entries }: Node): Promise<string> => {
      const list: Array<List[number]> = []
      for (const [name, entry] of entries) if (entry.kind !== "directory") list.push({ name, ...entry })
      for (const [name, each] of below) list.push({ name, kind: "directory", id: await put(each) })
      list.sort((one, other) => one.name < other.name ? -1 : 1)
      return await this.#putList(list)
    }
    return await put(top)
  }

  async #putList(list: List): Promise<string> {
    const text = JSON.stringify(list)
    const id = hash(text)
    if (this.#lists.has(id)) return id
    const place = this.#place("lists", id)
    if (await ifThere(fs.stat(place)) === undefined) await this.#write(place, text)
    this.#remember(id, list)
    return id
  }

  #remember(id: string, list: List): void {
    // Far more than one state has; a bound for an engine that runs for months.
    if (this.#lists.size > 50_000) this.#lists.clear()
    this.#lists.set(id, list)
  }

  async #getList(id: string): Promise<List> {
    const known = this.#lists.get(id)
    if (known !== undefined) return known
    const place = this.#place("lists", id)
    const text = await ifThere(fs.readFile(place, "utf8"))
    if (text === undefined) throw damaged(place, "a directory is gone")
    const list = hash(text) === id ? decodeList(text) : Option.none()
    if (Option.isNone(list)) throw damaged(place, "a directory is not what it was")
    this.#remember(id, list.value)
    return list.value
  }

  /** Reads a state. Trees of one base share what was read: most experiments start from few commits. */
  async getState(id: string): Promise<State> {
    const known = this.#states.get(id)
    if (known !== undefined) return await known
    const reading = this.#readState(id)
    this.#states.set(id, reading)
    if (this.#states.size > 8) this.#states.delete(this.#states.keys().next().value!)
    reading.catch(() => this.#states.delete(id))
    return await reading
  }

  async #readState(id: string): Promise<State> {
    const state = new Map<string, Entry>()
    const read = async (below: string, list: string): Promise<void> => {
      const entries = await this.#getList(list)
      if (entries.length === 0 && below !== "") state.set(below, { kind: "directory" })
      for (const { name, ...entry } of entries) {
        const path = below === "" ? name : `${below}/${name}`
        if (entry.kind === "directory") await read(path, entry.id)
        else state.set(path, entry)
      }
    }
    await read("", id)
    return state
  }

  /** Writes a commit down; returns its id. */
  async putCommit(commit: Omit<Commit, "version">): Promise<string> {
    const text = JSON.stringify({ version: 1, ...commit })
    const id = hash(text)
    await this.#write(Path.join(this.directory, "commits", id), text)
    return id
  }

  /** Reads a commit. */
  async getCommit(id: string): Promise<Commit> {
    const place = Path.join(this.directory, "commits", id)
    const text = await ifThere(fs.readFile(place, "utf8"))
    if (text === undefined) throw damaged(place, "a commit is gone")
    const commit = hash(text) === id ? decodeCommit(text) : Option.none()
    if (Option.isNone(commit)) throw damaged(place, "a commit is not what it was")
    return commit.value
  }

  /** The commits whose id begins so. */
  async findCommits(start: string): Promise<ReadonlyArray<string>> {
    const names = await ifThere(fs.readdir(Path.join(this.directory, "commits"))) ?? []
    return names.filter((name) => name.startsWith(start))
  }

  /** The commit that a branch is at. The name has to be a safe path. */
  async getRef(name: string): Promise<string | undefined> {
    const place = Path.join(this.directory, "refs", name)
    const text = await ifThere(fs.readFile(place, "utf8"))
    if (text !== undefined && !/^[0-9a-f]{64}$/.test(text)) throw damaged(place, "it names no commit")
    return text
  }

  /** Moves a branch. */
  async putRef(name: string, commit: string): Promise<void> {
    await this.#write(Path.join(this.directory, "refs", name), commit)
  }

  /** Removes what writers that died left, if it is older than a day: nobody writes a file that long. */
  async tidy(nowMillis: number): Promise<void> {
    const directory = Path.join(this.directory, "tmp")
    for (const name of await ifThere(fs.readdir(directory)) ?? []) {
      const path = Path.join(directory, name)
      const found = await ifThere(fs.stat(path))
      if (found !== undefined && nowMillis - found.mtimeMs > 86_400_000) await fs.rm(path, { force: true })
    }
  }
}
