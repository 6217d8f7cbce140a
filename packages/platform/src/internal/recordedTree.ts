/**
 * What an agent with hands of its own changed in a directory: a look before, a look after, and what to do to make the
 * same of another copy of it.
 *
 * A look is the files' metadata, not their contents: a tree of thousands of files is looked at in a moment. Only where
 * a file is so young that a change right after it need not show in its times is its content looked at too.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { constants, createReadStream } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt, detailOf } from "./fileEffects.ts"
import { landing, type Refused } from "./modelFiles.ts"
import type { Change } from "./recordedCall.ts"

interface Entry {
  readonly kind: "file" | "other"
  readonly stamp: string
  /** Hash of the content, where the stamp alone is not to be trusted. */
  readonly content: string | undefined
}

/** The files of a directory at some moment, by their paths below it. */
export type Look = ReadonlyMap<string, Entry>

/** What bounds the changes that are kept. */
export interface TreeBounds {
  /** Names of files and directories that do not count. */
  readonly ignored: ReadonlyArray<string>
  /** Most bytes of all changed files together. */
  readonly changeBytes: number
}

const run = <A>(operation: () => Promise<A>): Effect.Effect<A, Refused> =>
  attempt(operation, (error) => ({ message: detailOf(error) }))

const youngMillis = 2_000
const hashedBytes = 4 * 1024 * 1024

/** Looks at a directory. One that does not exist has no files: the tree is not on the disk then. */
export const look = (directory: string, bounds: TreeBounds): Effect.Effect<Look, Refused> =>
  run(async () => {
    const entries = new Map<string, Entry>()
    const visit = async (below: string): Promise<void> => {
      const listed = await fs.readdir(Path.join(directory, below), { withFileTypes: true }).catch(() => [])
      for (const child of listed) {
        if (bounds.ignored.includes(child.name)) continue
        const path = below === "" ? child.name : `${below}/${child.name}`
        if (child.isDirectory()) {
          await visit(path)
          continue
        }
        const full = Path.join(directory, path)
        const stat = await fs.lstat(full, { bigint: true }).catch(() => undefined)
        if (stat === undefined) continue
        const young = Date.now() - Number(stat.mtimeMs) < youngMillis && stat.size <= hashedBytes && stat.isFile()
        entries.set(path, {
          kind: stat.isFile() ? "file" : "other",
          stamp: [stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino, stat.mode].join(" "),
          content: young ? createHash("sha256").update(await fs.readFile(full)).digest("hex") : undefined
        })
      }
    }
    await visit("")
    return entries
  })

/** In pieces: a tree may hold files that are larger than memory. */
const fileHash = async (path: string): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer)
  return hash.digest("hex")
}

/** A hash of all paths and contents of a directory. */
export const contentHash = (directory: string, ignored: ReadonlyArray<string>): Effect.Effect<string, Refused> =>
  Effect.flatMap(look(directory, { ignored, changeBytes: 0 }), (entries) =>
    run(async () => {
      const hash = createHash("sha256")
      for (const [file, { kind }] of [...entries].sort(([one], [other]) => one < other ? -1 : 1)) {
        const full = Path.join(directory, file)
        const content = kind === "file" ? await fileHash(full) : await fs.readlink(full).catch(() => "")
        hash.update(JSON.stringify([file, kind, content]))
      }
      return hash.digest("hex")
    }))

/** What changed between two looks, with the contents as they are now. Fails where that is too much, or no plain file. */
export const changesBetween = (
  directory: string,
  before: Look,
  after: Look,
  bounds: TreeBounds
): Effect.Effect<ReadonlyArray<Change>, Refused> =>
  Effect.gen(function*() {
    const changes: Array<Change> = []
    let bytes = 0
    for (const [file, entry] of after) {
      const old = before.get(file)
      if (old?.stamp === entry.stamp && (old.content === undefined || old.content === entry.content)) continue
      if (entry.kind !== "file") {
        return yield* Effect.fail({ message: `the agent made ${JSON.stringify(file)}, which is no plain file` })
      }
      const size = Number(entry.stamp.split(" ")[0])
      bytes += size
      if (bytes > bounds.changeBytes) {
        return yield* Effect.fail({
          message: `the agent changed more than ${bounds.changeBytes} bytes (${JSON.stringify(file)} has ${size}). ` +
            `Name what does not count in \`ignored\`, or raise \`changeBytes\``
        })
      }
      changes.push(
        yield* run(async () => {
          const full = Path.join(directory, file)
          const content = await fs.readFile(full)
          const { mode } = await fs.lstat(full)
          return written(file, content, (mode & 0o100) !== 0, false)
        })
      )
    }
    for (const file of before.keys()) if (!after.has(file)) changes.push({ _tag: "Removed", file })
    return changes
  })

/** A path as a look has it. */
export const plain = (file: string): string => file.split("/").filter((part) => part !== "" && part !== ".").join("/")

/** Those that were made by the call's `write` first, in their order; then what else shows on the disk. */
export const changesOf = (
  directory: string,
  granted: ReadonlyMap<string, string>,
  before: Look,
  after: Look,
  bounds: TreeBounds
): Effect.Effect<ReadonlyArray<Change>, Refused> =>
  Effect.map(changesBetween(directory, before, after, bounds), (seen) => [
    ...[...granted].map(([file, content]) => written(file, Buffer.from(content, "utf8"), false, true)),
    ...seen.filter((change) =>
      change._tag === "Removed" || change.encoding !== "utf8" || granted.get(change.file) !== change.content
    )
  ])

/** A file as a recording has it: as text where that loses nothing. */
export const written = (file: string, content: Buffer, executable: boolean, granted: boolean): Change => {
  const text = content.toString("utf8")
  const exact = Buffer.from(text, "utf8").equals(content)
  return {
    _tag: "Written",
    file,
    content: exact ? text : content.toString("base64"),
    encoding: exact ? "utf8" : "base64",
    executable,
    granted
  }
}

/** Does to a directory what an agent did with its own hands. Stays inside of the directory, as every write. */
export const apply = (directory: string, change: Change): Effect.Effect<void, Refused> =>
  Effect.gen(function*() {
    const place = Path.join(directory, ...(yield* landing(directory, change.file)).split("/"))
    yield* run(async () => {
      if (change._tag === "Removed") return fs.rm(place, { force: true })
      await fs.mkdir(Path.dirname(place), { recursive: true })
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0)
      const handle = await fs.open(place, flags, change.executable ? 0o777 : 0o666)
      try {
        await handle.writeFile(Buffer.from(change.content, change.encoding))
        const mode = (await handle.stat()).mode & 0o777
        const wanted = change.executable ? mode | ((mode & 0o444) >> 2) : mode & ~0o111
        if (wanted !== mode) await handle.chmod(wanted)
      } finally {
        await handle.close()
      }
    })
  })
