/**
 * As much of a terminal as the live picture uses: what a person sees after some bytes were written to it.
 */

/** A screen of this size. A sequence that it does not know is an error: a real terminal may not know it either. */
export const terminal = (columns: number, rows: number) => {
  let lines: Array<string> = [""]
  let row = 0
  let column = 0
  /** Lines above the screen cannot be reached any more. */
  let top = 0

  const put = (character: string): void => {
    if (column >= columns) {
      column = 0
      down()
    }
    const line = (lines[row] ?? "").padEnd(column)
    lines[row] = line.slice(0, column) + character + line.slice(column + character.length)
    column += 1
  }
  const down = (): void => {
    row += 1
    if (row === lines.length) lines.push("")
    top = Math.max(top, row - rows + 1)
  }
  const obey = (sequence: string): void => {
    const [, digits = "", command] = /^(\d*)([A-Z])$/.exec(sequence) ?? []
    if (command === "A") row = Math.max(top, row - Number(digits || 1))
    else if (command === "K" && digits === "") lines[row] = (lines[row] ?? "").slice(0, column)
    else if (command === "J" && (digits === "" || digits === "0")) {
      lines = [...lines.slice(0, row), (lines[row] ?? "").slice(0, column)]
    } else throw new Error(`The escape sequence ESC[${sequence} is not known here`)
  }

  return {
    write: (text: string): void => {
      for (const [piece] of text.matchAll(/\u001b\[[0-?]*[@-~]|[^]/gu)) {
        if (piece === "\n") {
          down()
          column = 0
        } else if (piece === "\r") column = 0
        else if (piece.startsWith("\u001b")) obey(piece.slice(2))
        else put(piece)
      }
    },
    /** All lines that were written, those that have scrolled away too. */
    lines: (): ReadonlyArray<string> => lines.map((line) => line.trimEnd()),
    row: (): number => row
  }
}
