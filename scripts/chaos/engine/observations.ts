/**
 * What a life of the campaign notes while it works, in one file for all lives of a round: what really happened, in the order in
 * which it happened, without the journal.
 *
 * A note is a line, written at once: a process that is killed has written all that it noted. A long line may be cut off by the
 * kill; the next life begins with an empty line, which tells a cut one from a whole one.
 */
import { existsSync, openSync, readFileSync, writeSync } from "node:fs"

/**
 * - `life`: a process begins.
 * - `run`, `did`, `got`: the effect of a step begins; has ended; its result was handed to the handler. For a cursor, a row is a step.
 * - `held`: a claim was granted to a handler. `undo`: the clean-up of a cancelled work begins.
 * - `added`: a batch of works was acknowledged; `readded`: one that had been acknowledged before was taken a second time.
 * - `cancelled`: the cancel of a work was acknowledged. `ended`: its outcome was told to somebody who waited.
 * - `saw`: an event was shown. `status`: how many works had succeeded at an event's number, as a status said.
 * - `gap`: events were no longer kept when they were to be shown.
 */
export type Observation =
  | { readonly _tag: "life" }
  | {
    readonly _tag: "run" | "did" | "got"
    readonly id: string
    readonly generation: number
    readonly start: number
    readonly step: string
  }
  | { readonly _tag: "held" | "undo" | "cancelled"; readonly id: string }
  | { readonly _tag: "added" | "readded"; readonly batch: number }
  | { readonly _tag: "ended"; readonly id: string; readonly value: string }
  | { readonly _tag: "saw"; readonly seq: number; readonly json: string }
  | { readonly _tag: "gap"; readonly seq: number }
  | { readonly _tag: "status"; readonly seq: number; readonly succeeded: number }

export interface Notebook {
  readonly note: (line: string) => void
  /** Batches that earlier lives noted as added. */
  readonly added: ReadonlySet<number>
  /** The number of the last event that earlier lives saw. */
  readonly lastSeen: number
}

/** Opens the file for a new life. */
export const openNotebook = (file: string): Notebook => {
  const text = existsSync(file) ? readFileSync(file, "utf8") : ""
  const fd = openSync(file, "a")
  const note = (line: string): void => void writeSync(fd, `${line}\n`)
  note("\nlife")
  const whole = text.slice(0, text.lastIndexOf("\n") + 1)
  const last = Math.max(whole.lastIndexOf("\nsaw "), whole.lastIndexOf("\ngap "))
  return {
    note,
    added: new Set(Array.from(whole.matchAll(/^added (\d+)$/gm), ([, number]) => Number(number))),
    lastSeen: last < 0 ? 0 : Number.parseInt(whole.slice(last + "\nsaw ".length, last + 32), 10)
  }
}

/** Reads the file of a round. */
export const readNotes = (file: string): ReadonlyArray<Observation> => {
  const lines = readFileSync(file, "utf8").split("\n")
  const notes: Array<Observation> = []
  lines.forEach((line, index) => {
    // Before a life there is an empty line, unless the one before it was cut off.
    if (line === "" || lines[index + 1] === "life") return
    notes.push(parse(line))
  })
  return notes
}

const parse = (line: string): Observation => {
  const [tag, first = "", second = "", third = "", fourth = ""] = line.split(" ", 5)
  switch (tag) {
    case "life":
      return { _tag: tag }
    case "run":
    case "did":
    case "got":
      return { _tag: tag, id: first, generation: Number(second), start: Number(third), step: fourth }
    case "held":
    case "undo":
    case "cancelled":
      return { _tag: tag, id: first }
    case "added":
    case "readded":
      return { _tag: tag, batch: Number(first) }
    case "ended":
      return { _tag: tag, id: first, value: second }
    case "saw":
      return { _tag: tag, seq: Number(first), json: line.slice(tag.length + first.length + 2) }
    case "gap":
      return { _tag: tag, seq: Number(first) }
    case "status":
      return { _tag: tag, seq: Number(first), succeeded: Number(second) }
    default:
      throw new Error(`a note that nobody writes: ${line}`)
  }
}
