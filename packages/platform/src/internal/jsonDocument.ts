/**
 * A file that is one JSON document over many lines, where lines of JSON were expected: programs write results so too.
 * Bounded memory: a document longer than that is read as lines, as it always was.
 */
import * as Predicate from "effect/Predicate"
import type { Line } from "../evidence/LogText.ts"
import { parseJson } from "../evidence/MetricText.ts"

const documentCharacters = 4 * 2 ** 20

/** What a file turned out to be: the objects of a document, or lines after all. */
export type Settled =
  | { readonly _tag: "Objects"; readonly objects: ReadonlyArray<unknown> }
  | { readonly _tag: "Lines"; readonly lines: ReadonlyArray<Line> }

const objectsOf = (document: unknown): ReadonlyArray<unknown> | undefined =>
  Array.isArray(document)
    ? document.filter((one) => Predicate.isObject(one))
    : Predicate.isObject(document)
    ? [document]
    : undefined

/** Reads the lines of one file. */
export class JsonDocument {
  private state: "beginning" | "document" | "lines" = "beginning"
  private kept: Array<Line> = []
  private length = 0

  /** Keeps a line that may be of a document. Else gives what are just lines: those kept before, and this one. */
  line(line: Line): ReadonlyArray<Line> {
    const { cut, text } = line
    if (this.state === "beginning" && text.trim() !== "") {
      const begin = text.replace(/^\ufeff/, "").trimStart()
      const isWhole = begin.startsWith("{") && parseJson(begin) !== undefined
      this.state = !cut && /^[[{]/.test(begin) && !isWhole ? "document" : "lines"
    }
    if (this.state !== "document") return [line]
    this.kept.push(line)
    this.length += text.length + 1
    return cut || this.length > documentCharacters ? this.giveUp() : []
  }

  /** The end of the file. */
  end(): Settled {
    if (this.state !== "document") return { _tag: "Lines", lines: [] }
    const objects = objectsOf(parseJson(this.kept.map(({ text }) => text).join("\n").replace(/^\ufeff/, "")))
    return objects === undefined ? { _tag: "Lines", lines: this.giveUp() } : { _tag: "Objects", objects }
  }

  private giveUp(): ReadonlyArray<Line> {
    const lines = this.kept
    this.kept = []
    this.state = "lines"
    return lines
  }
}
