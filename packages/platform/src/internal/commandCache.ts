/**
 * Results of builds on disk, by key: `<key>.json` says what was built, `<key>/` holds copies of files that
 * the build left in its tree. Written aside and renamed, so an entry is whole or not there; two
 * processes that build the same at once both succeed, and one entry stays.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { Artifact } from "../Artifacts.ts"

const Entry = Schema.fromJsonString(Schema.Struct({
  artifact: Artifact,
  commit: Schema.String,
  argv: Schema.Array(Schema.String),
  builtAtMillis: Schema.Finite
}))
type Entry = typeof Entry.Type

const decodeEntry = Schema.decodeUnknownOption(Entry)
const encodeEntry = Schema.encodeSync(Entry)

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT"

/** Copied as they are: links stay links, so nothing outside of the tree is ever copied. */
const copy = (from: string, to: string): Promise<void> =>
  fs.cp(from, to, { recursive: true, force: true, preserveTimestamps: true, verbatimSymlinks: true })

/** Brings back what was built under the key: its files into the tree, its artifact as the result. */
export const restore = async (
  directory: string,
  key: string,
  tree: string,
  outputs: ReadonlyArray<string>
): Promise<Artifact | undefined> => {
  let text: string
  try {
    text = await fs.readFile(Path.join(directory, `${key}.json`), "utf8")
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const entry = Option.getOrUndefined(decodeEntry(text))
  if (entry === undefined) throw new Error(`${Path.join(directory, `${key}.json`)} is not an entry of this cache`)
  for (const output of outputs) await copy(Path.join(directory, key, output), Path.join(tree, output))
  return entry.artifact
}

/** Keeps what was built. The entry is written last: where it is, its files are. */
export const keep = async (
  directory: string,
  key: string,
  tree: string,
  outputs: ReadonlyArray<string>,
  entry: Entry
): Promise<void> => {
  const aside = Path.join(directory, `.${key}.${randomUUID()}`)
  await fs.mkdir(directory, { recursive: true })
  try {
    if (outputs.length > 0) {
      for (const output of outputs) await copy(Path.join(tree, output), Path.join(aside, output))
      await fs.rm(Path.join(directory, key), { recursive: true, force: true })
      await fs.rename(aside, Path.join(directory, key))
    }
    await fs.writeFile(`${aside}.json`, encodeEntry(entry))
    await fs.rename(`${aside}.json`, Path.join(directory, `${key}.json`))
  } finally {
    await fs.rm(aside, { recursive: true, force: true })
    await fs.rm(`${aside}.json`, { force: true })
  }
}
