/** The log file of a command: opened for it, and its end read afterwards. */
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { stripVTControlCharacters } from "node:util"
import { controlCharacters } from "../evidence/LogText.ts"
import { readEnd } from "./files.ts"

/** Most of a log that goes into an error or a record. */
const tailBytes = 8 * 1024
const tailLines = 40

/** Creates the file anew, with the directories that lead to it. */
export const openLog = async (file: string): Promise<fs.FileHandle> => {
  await fs.mkdir(Path.dirname(file), { recursive: true })
  return fs.open(file, "w")
}

/** The whole log of a build that ran no command: why it did not. */
export const writeLog = async (file: string, text: string): Promise<void> => {
  await fs.mkdir(Path.dirname(file), { recursive: true })
  await fs.writeFile(file, text)
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

/** The last lines of a file. */
export const readTail = async (file: string): Promise<string> => {
  const handle = await fs.open(file, "r")
  try {
    return await tailOf(handle)
  } finally {
    await handle.close()
  }
}
