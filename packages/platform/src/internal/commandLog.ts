/**
 * The log file of a command: opened for it, and its end read afterwards. Where it is to stand, others may have put
 * anything, and the command itself too: a pipe would wait for ever, and a link would have another file overwritten.
 */
import { randomBytes } from "node:crypto"
import type { Stats } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { stripVTControlCharacters } from "node:util"
import { controlCharacters } from "../evidence/LogText.ts"
import { entryAt, readEnd } from "./files.ts"
import { openPlainFile } from "./insideRoot.ts"

/** Most of a log that goes into an error or a record. */
const tailBytes = 8 * 1024
const tailLines = 40

const kindOf = (entry: Stats): string => {
  if (entry.isSymbolicLink()) return "a link"
  if (entry.isDirectory()) return "a directory"
  if (entry.isFIFO()) return "a pipe"
  return entry.isSocket() ? "a socket" : "a device"
}

/**
 * Creates the file anew, with the directories that lead to it. A file or link that stands there is replaced, and never
 * written: it may have other names. Throws, and says what it is, where anything else stands there.
 */
export const openLog = async (file: string): Promise<fs.FileHandle> => {
  await fs.mkdir(Path.dirname(file), { recursive: true })
  const before = await entryAt(file)
  const isFile = before?.isFile() === true
  if (before !== undefined && !isFile && !before.isSymbolicLink()) {
    throw new Error(`${kindOf(before)} stands there: remove it`)
  }
  const aside = Path.join(Path.dirname(file), `.log-${randomBytes(6).toString("hex")}`)
  // Who was not to read the one before is not to read this one.
  const log = await fs.open(aside, "wx", isFile ? before.mode & 0o777 : 0o666)
  try {
    // It replaces whatever has come there since, and waits for nothing.
    await fs.rename(aside, file)
  } catch (error) {
    await log.close()
    await fs.rm(aside, { force: true })
    throw error
  }
  return log
}

/** The whole log of a build that ran no command: why it did not. */
export const writeLog = async (file: string, text: string): Promise<void> => {
  const log = await openLog(file)
  try {
    await log.writeFile(text)
  } finally {
    await log.close()
  }
}

/** A line as a terminal would show it in the end: progress overwrites itself; colours and control characters are gone. */
const shown = (line: string): string => {
  const plain = stripVTControlCharacters(line).trimEnd()
  return plain.slice(plain.lastIndexOf("\r") + 1).replaceAll(controlCharacters, "")
}

/** The last lines of an open file. A line that is cut in two at its start is left out, unless it is the only one. */
export const tailOf = async (handle: fs.FileHandle): Promise<string> => {
  const { size } = await handle.stat()
  const lines = (await readEnd(handle, size, tailBytes)).toString("utf8").trimEnd().split("\n")
  if (size > tailBytes && lines.length > 1) lines.shift()
  return lines.slice(-tailLines).map(shown).join("\n")
}

/** The last lines of a file. Throws, and says what it is, where anything else stands there. */
export const readTail = async (file: string): Promise<string> => {
  const log = await openPlainFile(file)
  if (log === undefined) {
    const entry = await fs.lstat(file)
    throw new Error(`${entry.isFile() ? "what was no file a moment ago" : kindOf(entry)} stands at ${file}`)
  }
  try {
    return await tailOf(log.handle)
  } finally {
    await log.handle.close()
  }
}
