/**
 * The files that a build leaves in its tree: found without leaving the tree, copied, and told by their content.
 *
 * A tree holds what an agent wrote. A directory on the way to an output can be a link to anywhere; it is then neither
 * read nor written through.
 */
import { createHash, type Hash } from "node:crypto"
import { constants, createReadStream, createWriteStream, type Stats } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { pipeline } from "node:stream/promises"

export const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT"

const statOf = (path: string): Promise<Stats | undefined> =>
  fs.lstat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })

const partsOf = (output: string): ReadonlyArray<string> =>
  output.split("/").filter((part) => part !== "" && part !== ".")

/** Why this cannot be an output, or undefined where it can: a file or directory below the tree, and not git's own. */
export const outputProblem = (output: string): string | undefined => {
  const parts = partsOf(output)
  if (output.includes("\0")) return "it holds a NUL character"
  if (Path.isAbsolute(output)) return "it is absolute"
  if (parts.length === 0) return "it names the tree itself"
  if (parts.includes("..")) return "it contains \"..\""
  if (parts.some((part) => part.toLowerCase() === ".git")) return "it leads into git's own data"
  return undefined
}

/** The absolute path of an output. Throws where a directory that leads to it is none: a link, or a file. */
export const placeOf = async (tree: string, output: string): Promise<string> => {
  const parts = partsOf(output)
  let at = tree
  for (const part of parts.slice(0, -1)) {
    at = Path.join(at, part)
    const stat = await statOf(at)
    if (stat === undefined) break
    if (!stat.isDirectory()) throw new Error(`${at} is a ${stat.isSymbolicLink() ? "link" : "file"}, not a directory`)
  }
  return Path.join(tree, ...parts)
}

/** Whether the build made this output. */
export const isMade = async (tree: string, output: string): Promise<boolean> =>
  await statOf(await placeOf(tree, output)) !== undefined

/**
 * Copied as they are: links stay links, so nothing outside of the tree is copied. Shares blocks where the disk can. Aborted, it
 * throws when it is at rest, and leaves a part.
 */
export const copyOutputs = async (
  from: string,
  to: string,
  outputs: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<void> => {
  for (const output of outputs) {
    const source = await placeOf(from, output)
    const target = await placeOf(to, output)
    // What is there would be mixed with what is copied.
    await fs.rm(target, { recursive: true, force: true })
    await fs.mkdir(Path.dirname(target), { recursive: true })
    await copyAsItIs(source, target, signal)
  }
}

/** Not by the system's own recursive copy: that one goes on whoever gave up on it. */
const copyAsItIs = async (source: string, target: string, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  const stat = await fs.lstat(source)
  if (stat.isSymbolicLink()) {
    await fs.symlink(await fs.readlink(source), target)
  } else if (stat.isDirectory()) {
    await fs.mkdir(target)
    for (const child of await fs.readdir(source)) {
      await copyAsItIs(Path.join(source, child), Path.join(target, child), signal)
    }
    // Last, for it may say that nothing can be written there.
    await fs.chmod(target, stat.mode & 0o7777)
  } else if (stat.isFile()) {
    await copyFile(source, target, stat, signal)
    await fs.utimes(target, stat.atime, stat.mtime)
  } else {
    throw new Error(`${source} is no file, directory or link`)
  }
}

/** A copy of so much is over before anybody has waited for it. */
const inOneGoBytes = 64 * 1024 * 1024

const copyFile = async (source: string, target: string, { mode, size }: Stats, signal: AbortSignal): Promise<void> => {
  if (size <= inOneGoBytes) return fs.copyFile(source, target, constants.COPYFILE_FICLONE)
  try {
    await fs.copyFile(source, target, constants.COPYFILE_FICLONE_FORCE)
  } catch {
    // This disk shares no blocks between files.
    await pipeline(createReadStream(source), createWriteStream(target, { mode: mode | 0o200 }), { signal })
    await fs.chmod(target, mode & 0o7777)
  }
}

export const removeOutputs = async (tree: string, outputs: ReadonlyArray<string>): Promise<void> => {
  for (const output of outputs) await fs.rm(await placeOf(tree, output), { recursive: true, force: true })
}

const add = async (hash: Hash, path: string, name: string, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  const stat = await fs.lstat(path)
  const put = (...what: ReadonlyArray<unknown>) => hash.update(`${JSON.stringify([name, ...what])}\n`)
  if (stat.isSymbolicLink()) {
    put("link", await fs.readlink(path))
  } else if (stat.isDirectory()) {
    put("directory")
    for (const child of (await fs.readdir(path)).sort()) {
      await add(hash, Path.join(path, child), `${name}/${child}`, signal)
    }
  } else if (stat.isFile()) {
    put("file", stat.size, (stat.mode & 0o111) !== 0)
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer)
  } else {
    throw new Error(`${path} is no file, directory or link`)
  }
}

/** Tells two sets of outputs apart: names, contents, links, and what may be executed. */
export const digestOutputs = async (
  tree: string,
  outputs: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<string> => {
  const hash = createHash("sha256")
  for (const output of [...outputs].sort()) await add(hash, await placeOf(tree, output), output, signal)
  return hash.digest("hex")
}
