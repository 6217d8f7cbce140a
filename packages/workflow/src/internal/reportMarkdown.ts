/**
 * Markdown that says what it was given: texts in a report come from agents, configurations and logs, and none of them
 * may turn into a heading, a link, a table cell or HTML.
 */
import { printable } from "./plotText.ts"

/**
 * A text on one line, with everything that Markdown (CommonMark, and the tables of GFM) would read as markup escaped;
 * at the beginning also what would make a heading, a list or a rule of the line.
 */
export const inline = (text: string): string =>
  printable(text)
    .replace(/[\\`*[\]<>|~&$]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\$&")
    .replace(/^#|^[-+](?=\s|$)|^-(?=-)|^=(?==*$)/, "\\$&")
    .replace(/^(\d{1,9})([.)])(?=\s|$)/, "$1\\$2")

/** A text on one line as code, also in a table. Nothing in it can end the code. */
export const code = (text: string): string => {
  const content = printable(text).replaceAll("|", "\\|")
  const longest = Math.max(0, ...Array.from(content.matchAll(/`+/g), ([run]) => run.length))
  const ticks = "`".repeat(longest + 1)
  const pad = content.startsWith("`") || content.endsWith("`") || content === "" ? " " : ""
  return `${ticks}${pad}${content}${pad}${ticks}`
}

/** A text shortened to so many characters, never in the middle of a character. */
export const shortened = (text: string, most: number): string => {
  const characters = Array.from(text)
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("").trimEnd()}…`
}

/** Lines of a log as they were, without what would move a cursor, in a fence that they cannot close. */
export const fenced = (text: string, language = "text"): string => {
  const lines = text.toWellFormed()
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "")
    .split(/\r\n|\r|\n/)
    .map((line) =>
      line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd").trimEnd()
    )
  while (lines.length > 0 && lines.at(-1) === "") lines.pop()
  const longest = Math.max(0, ...Array.from(text.matchAll(/`+/g), ([run]) => run.length))
  const fence = "`".repeat(Math.max(3, longest + 1))
  return [`${fence}${language}`, ...lines, fence].join("\n")
}

/** A table; cells are Markdown already. `right` are the columns of numbers. */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlyArray<number> = []
): string =>
  [
    `| ${header.join(" | ")} |`,
    `| ${header.map((_, i) => right.includes(i) ? "---:" : "---").join(" | ")} |`,
    ...rows.map((row) => `| ${row.join(" | ")} |`)
  ].join("\n")

/** Blocks with an empty line between them, and one newline at the end. */
export const blocks = (parts: ReadonlyArray<string>): string => `${parts.filter((part) => part !== "").join("\n\n")}\n`

/** One argument of a command that a person will copy into a POSIX shell. */
export const shellQuoted = (argument: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
