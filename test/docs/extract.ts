// Finds the examples of the documentation: fenced ```ts blocks in doc comments and in Markdown.
//
// Read from the text, not from a syntax tree: the native TypeScript compiler has no API for one, and a doc
// comment is found as well by its first and last line.

/** One block of code as a reader sees it. */
export interface Example {
  /** The file, as the repository writes it. */
  readonly file: string
  /** The line of the first line of code, counted from 1. */
  readonly line: number
  /** The export it documents, or the heading it stands under. */
  readonly owner: string
  readonly code: string
}

/** A block that cannot be taken as an example: the file, the line of the fence, and what is wrong with it. */
export class BadFence extends Error {}

interface Line {
  readonly number: number
  readonly text: string
}

/**
 * The ```ts blocks in these lines. ```typescript and ```ts no-run are text to look at and are left out;
 * another word after `ts` is refused, since a typing mistake there would silently skip the example.
 */
const blocks = (file: string, lines: ReadonlyArray<Line>, owner: (line: Line) => string): ReadonlyArray<Example> => {
  const found: Array<Example> = []
  let open: { fence: string; info: string; indent: number; at: Line; body: Array<Line> } | undefined
  for (const line of lines) {
    const match = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/.exec(line.text)
    if (open === undefined) {
      if (match === null) continue
      const [, indent = "", fence = "", info = ""] = match
      open = { fence, info, indent: indent.length, at: line, body: [] }
    } else if (match !== null && match[3] === "" && match[2]?.startsWith(open.fence) === true) {
      const { at, body, indent, info } = open
      open = undefined
      const [language, ...words] = info.split(/\s+/)
      if (language !== "ts" || words.join(" ") === "no-run") continue
      if (words.length > 0) {
        throw new BadFence(
          `${file}:${at.number}: the fence says ${
            JSON.stringify(info)
          }. A block that runs says \`ts\`; one that is only shown says \`ts no-run\`.`
        )
      }
      if (body.every(({ text }) => text.trim() === "")) throw new BadFence(`${file}:${at.number}: the block is empty.`)
      const cut = new RegExp(`^\\s{0,${indent}}`)
      found.push({
        file,
        line: at.number + 1,
        owner: owner(at),
        code: body.map(({ text }) => text.replace(cut, "")).join("\n")
      })
    } else {
      open.body.push(line)
    }
  }
  if (open !== undefined) throw new BadFence(`${file}:${open.at.number}: the fence is never closed.`)
  return found
}

/** The examples of a Markdown file, each named for the heading above it. */
export const fromMarkdown = (file: string, text: string): ReadonlyArray<Example> => {
  const lines = text.split(/\r?\n/).map((line, index) => ({ number: index + 1, text: line }))
  const headings: Array<Line> = []
  let fence: string | undefined
  for (const line of lines) {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line.text)?.[1]
    if (mark !== undefined) fence = fence === undefined ? mark : mark.startsWith(fence) ? undefined : fence
    const heading = fence === undefined ? /^#+\s+(.*?)\s*$/.exec(line.text)?.[1] : undefined
    if (heading !== undefined) headings.push({ number: line.number, text: heading })
  }
  return blocks(file, lines, (at) => headings.findLast(({ number }) => number < at.number)?.text ?? "top")
}

const declared =
  /^\s*(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:const|let|function\*?|class|interface|type|namespace)\s+([\w$]+)/
const reexported = /^\s*export\s+\*\s+as\s+([\w$]+)/
const member = /^\s*(?:static\s+|readonly\s+)*([\w$]+)\s*[?(:<=]/

/** The examples in the doc comments of a TypeScript file, each named for what the comment documents. */
export const fromSource = (file: string, text: string): ReadonlyArray<Example> => {
  const lines = text.split(/\r?\n/)
  const found: Array<Example> = []
  for (let start = 0; start < lines.length; start++) {
    if (!/^\s*\/\*\*(?!\/)/.test(lines[start] ?? "")) continue
    let end = start
    while (end < lines.length && !(lines[end] ?? "").includes("*/")) end++
    const following = lines.slice(end + 1).find((line) => line.trim() !== "") ?? ""
    const owner = [declared, reexported, member].map((pattern) =>
      pattern.exec(following)?.[1]
    ).find((name) => name !== undefined) ?? "module"
    const comment = lines.slice(start, end).map((line, index) => ({
      number: start + index + 1,
      text: line.replace(/^\s*\/?\*{1,2} ?/, "")
    }))
    found.push(...blocks(file, comment, () =>
      owner))
    start = end
  }
  return found
}
