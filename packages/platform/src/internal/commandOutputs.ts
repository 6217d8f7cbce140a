/**
 * The files that a build leaves in its tree: found without leaving the tree, copied, and told by their content.
 *
 * A tree holds what an agent wrote. An output, or a directory on the way to it, can be a link to anywhere: within the
 * tree it is followed, and out of it neither read nor written through.
 */
import { isUtf8 } from "node:buffer"
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

const neverKept =
  "With it this build is never kept, and made anew each time: have the build remove it, or name other outputs"

const odd = (path: string): string => `${path} is no file, directory or link. ${neverKept}`

const nameless = (path: string): string => `${path} has a name that is no UTF-8, which cannot be kept. ${neverKept}`

/** The names in a directory. Throws where one is no UTF-8: as text it would name nothing, or another file. */
const namesIn = async (directory: string): Promise<ReadonlyArray<string>> =>
  (await fs.readdir(directory, { encoding: "buffer" })).map((bytes) => {
    if (!isUtf8(bytes)) throw new Error(nameless(Path.join(directory, bytes.toString())))
    return bytes.toString()
  })

const leadsNowhere: ReadonlySet<string | undefined> = new Set(["ENOENT", "ENOTDIR", "ELOOP"])

const realPathOf = (path: string): Promise<string | undefined> =>
  fs.realpath(path).catch((error: unknown) => {
    if (leadsNowhere.has((error as NodeJS.ErrnoException).code)) return undefined
    throw error
  })

/** Throws where a real path is not below the tree's, or is git's own. */
const checkWithin = (tree: string, path: string): void => {
  const parts = Path.relative(tree, path).split(Path.sep)
  if (parts[0] === ".." || Path.isAbsolute(parts[0]!)) throw new Error(`it leads out of the tree, to ${path}`)
  if (parts[0] === "") throw new Error("it leads to the tree itself")
  if (parts.some((part) => part.toLowerCase() === ".git")) throw new Error(`it leads into git's own data, to ${path}`)
}

/** Where an output really is, links followed; undefined where nothing is. Throws where it cannot be taken from there. */
const foundAt = async (tree: string, output: string): Promise<string | undefined> => {
  const found = await realPathOf(Path.join(tree, ...partsOf(output)))
  if (found !== undefined) checkWithin(await fs.realpath(tree), found)
  return found
}

/** Where an output is put: links on the way are followed, and itself is none. Throws where nothing can be put there. */
const placeOf = async (tree: string, output: string): Promise<string> => {
  const root = await fs.realpath(tree)
  const parts = partsOf(output)
  let at = root
  for (const part of parts.slice(0, -1)) {
    at = Path.join(at, part)
    const stat = await statOf(at)
    if (stat?.isSymbolicLink() === true) {
      const real = await realPathOf(at)
      if (real === undefined) throw new Error(`${at} is a link to nothing`)
      if (real !== root) checkWithin(root, real)
      at = real
    }
  }
  return Path.join(at, parts.at(-1)!)
}

/** Whether the build made this output. Throws, and says why, where it is nothing of the tree. */
export const isMade = async (tree: string, output: string): Promise<boolean> =>
  await foundAt(tree, output) !== undefined

/**
 * Copied as they are: links in an output stay links, so nothing outside of the tree is copied. Shares blocks where the disk can. Aborted, it
 * throws when it is at rest, and leaves a part.
 */
export const copyOutputs = async (
  from: string,
  to: string,
  outputs: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<void> => {
  for (const output of outputs) {
    const source = await foundAt(from, output)
    if (source === undefined) throw new Error(`there is no ${Path.join(from, output)}`)
    // It was found through a link, whose bytes have come as text.
    if (source.includes("\ufffd") && await statOf(source) === undefined) throw new Error(nameless(source))
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
    // It may lead to a name of any bytes.
    await fs.symlink(await fs.readlink(source, "buffer"), target)
  } else if (stat.isDirectory()) {
    await fs.mkdir(target)
    for (const child of await namesIn(source)) {
      await copyAsItIs(Path.join(source, child), Path.join(target, child), signal)
    }
    // Last, for it may say that nothing can be written there.
    await fs.chmod(target, stat.mode & 0o7777)
  } else if (stat.isFile()) {
    await copyFile(source, target, stat, signal)
    await fs.utimes(target, stat.atime, stat.mtime)
  } else {
    throw new Error(odd(source))
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
    for (const child of [...await namesIn(path)].sort()) {
      await add(hash, Path.join(path, child), `${name}/${child}`, signal)
    }
  } else if (stat.isFile()) {
    put("file", stat.size, (stat.mode & 0o111) !== 0)
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer)
  } else {
    throw new Error(odd(path))
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
