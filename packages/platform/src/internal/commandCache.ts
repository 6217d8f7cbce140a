/**
 * Results of builds on disk. `<key>.json` says what was built, `<key>.<id>/` holds copies of the files that
 * the build left in its tree, `names/` the names that were given. All is written aside and renamed, so an entry is
 * whole or not there; two processes that build the same at once both succeed, and one entry stays. What is brought back is
 * compared with what was kept: files that were lost or changed since cost a build, and never run.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { Artifact } from "../Artifacts.ts"
import { copyOutputs, digestOutputs, removeOutputs } from "./commandOutputs.ts"
import { ifThere, replaceFile } from "./files.ts"

const Entry = Schema.Struct({
  artifact: Artifact,
  commit: Schema.String,
  argv: Schema.Array(Schema.String),
  builtAtMillis: Schema.Finite,
  /** Directory beside the entry, and what `digestOutputs` says of it; null when the artifact has no files in the tree. */
  files: Schema.NullOr(Schema.Struct({ directory: Schema.String, digest: Schema.String }))
})
/** What is known of a build that was kept. */
export type Entry = typeof Entry.Type

const Name = Schema.Struct({ name: Schema.String, key: Schema.String })

const decodeEntry = Schema.decodeUnknownOption(Schema.fromJsonString(Entry))
const encodeEntry = Schema.encodeSync(Schema.fromJsonString(Entry))
const decodeName = Schema.decodeUnknownOption(Schema.fromJsonString(Name))
const encodeName = Schema.encodeSync(Schema.fromJsonString(Name))

const abandonedMillis = 24 * 60 * 60 * 1000

const read = async <A>(file: string, decode: (text: string) => Option.Option<A>): Promise<A | undefined> => {
  const text = await ifThere(fs.readFile(file, "utf8"))
  if (text === undefined) return undefined
  const decoded = Option.getOrUndefined(decode(text))
  if (decoded === undefined) throw new Error(`${file} is not an entry of this cache`)
  return decoded
}

/** What was kept under the key, without its files. */
export const find = (directory: string, key: string): Promise<Entry | undefined> =>
  read(Path.join(directory, `${key}.json`), decodeEntry)

/**
 * Brings back what was built under the key: its files into the tree, and what is known of it as the result. Aborted, it
 * leaves none of them there.
 */
export const restore = async (
  directory: string,
  key: string,
  tree: string,
  outputs: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<Entry | undefined> => {
  const entry = await find(directory, key)
  if (entry === undefined || entry.files === null) return entry
  try {
    await copyOutputs(Path.join(directory, Path.basename(entry.files.directory)), tree, outputs, signal)
    if (await digestOutputs(tree, outputs, signal) !== entry.files.digest) {
      throw new Error(`the files of ${Path.join(directory, `${key}.json`)} are not those that were kept`)
    }
  } catch (error) {
    // Half of a build would mislead the next one.
    await removeOutputs(tree, outputs).catch(() => undefined)
    throw error
  }
  return entry
}

/** Removes what nothing refers to: files of entries that were replaced, and what a process that died left aside. */
const sweep = async (directory: string, key: string, kept: string | undefined, nowMillis: number): Promise<void> => {
  for (const name of await fs.readdir(directory)) {
    const path = Path.join(directory, name)
    const isReplaced = name.startsWith(`${key}.`) && name !== `${key}.json` && name !== kept
    const isAbandoned = async () => nowMillis - (await fs.lstat(path)).mtimeMs > abandonedMillis
    if (isReplaced || (name.startsWith(".") && await isAbandoned())) await fs.rm(path, { recursive: true, force: true })
  }
}

/** Keeps what was built. The entry is written last: where it is, its files are. Aborted, it leaves nothing. */
export const keep = async (
  directory: string,
  key: string,
  tree: string,
  outputs: ReadonlyArray<string>,
  built: Omit<Entry, "files">,
  signal: AbortSignal
): Promise<void> => {
  await fs.mkdir(directory, { recursive: true })
  const name = outputs.length === 0 ? undefined : `${key}.${randomUUID()}`
  const aside = Path.join(directory, `.${name}`)
  try {
    let digest = ""
    if (name !== undefined) {
      await fs.mkdir(aside)
      await copyOutputs(tree, aside, outputs, signal)
      digest = await digestOutputs(aside, outputs, signal)
      signal.throwIfAborted()
      await fs.rename(aside, Path.join(directory, name))
    }
    const files = name === undefined ? null : { directory: name, digest }
    await replaceFile(Path.join(directory, `${key}.json`), encodeEntry({ ...built, files }))
  } finally {
    await fs.rm(aside, { recursive: true, force: true })
  }
  await sweep(directory, key, name, Date.now())
}

/** The key of an entry with this artifact. Reads all entries: naming an artifact is rare. */
export const keyWith = async (directory: string, artifact: Artifact): Promise<string | undefined> => {
  const names = await ifThere(fs.readdir(directory)) ?? []
  for (const name of names) {
    if (name.startsWith(".") || !name.endsWith(".json")) continue
    const key = name.slice(0, -".json".length)
    const entry = await find(directory, key).catch(() => undefined) // a damaged one has no artifact
    if (entry?.artifact.kind === artifact.kind && entry.artifact.reference === artifact.reference) return key
  }
  return undefined
}

/** Names are any text; their files are not. */
const fileOfName = (directory: string, name: string): string =>
  Path.join(directory, "names", `${createHash("sha256").update(name).digest("hex")}.json`)

/** Gives an entry a name, or moves the name to it. */
export const writeName = async (directory: string, name: string, key: string): Promise<void> => {
  await fs.mkdir(Path.join(directory, "names"), { recursive: true })
  await replaceFile(fileOfName(directory, name), encodeName({ name, key }))
}

/** The entry that has the name. */
export const findNamed = async (directory: string, name: string): Promise<Entry | undefined> => {
  const named = await read(fileOfName(directory, name), decodeName)
  return named === undefined ? undefined : find(directory, Path.basename(named.key))
}
