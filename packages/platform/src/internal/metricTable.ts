/**
 * A table of CSV in lines that may hold other things too: finds its header, then its rows. Bounded memory.
 *
 * A quote that is never closed must not swallow the rest of a file. So the lines of a row are kept until it is whole, and
 * when it turns out to be none, only its first line is left out, with a note, and those after it are read again. What is
 * read again is bounded by what was read: a file in which every row fails costs a few times its length, not its square.
 */
import { csvFields, type CsvRow, parseNumber } from "../evidence/MetricText.ts"
import type { Line } from "../evidence/LogText.ts"

/** Of a row over several lines. */
const rowCharacters = 65_536
/** How many characters may be read again for each that was read, and how many in any case. */
const againFor = { each: 4, anyCase: 2 ** 20 }

/** One row: the texts in the column, and in the column that the warm-up goes by. */
export interface Cell {
  readonly value: string
  readonly field: string | undefined
}

export interface TableOptions {
  readonly column: string | number
  readonly field: string | undefined
  readonly delimiter: string
  readonly hasHeader: boolean
  /** In a file a quoted field may go over several lines. In a log it may not: any text may begin with a quote there. */
  readonly isFile: boolean
  /** Hears of rows that cannot be read. */
  readonly onTrouble: (message: string) => void
}

export class TableReader {
  private readonly options: TableOptions
  private column: number | undefined
  private fieldColumn: number | undefined
  private width: number | undefined
  /** A row that is not whole yet, its lines, and how many characters they have. */
  private open: CsvRow | undefined
  private openLines: Array<Line> = []
  private openLength = 0
  private charactersRead = 0
  private charactersAgain = 0

  constructor(options: TableOptions) {
    this.options = options
    this.start()
  }

  /** What comes now is another table. */
  start(): void {
    const { column, field, hasHeader } = this.options
    this.close()
    this.width = undefined
    this.column = hasHeader || typeof column === "string" ? undefined : column
    this.fieldColumn = hasHeader ? undefined : columnNumber(field)
  }

  /** The cells of the rows that end with this line: nearly always one or none. `cut`: only its beginning is here. */
  line(text: string, cut: boolean): ReadonlyArray<Cell> {
    this.charactersRead += text.length
    return this.readAll([{ text, cut }])
  }

  /** The table ends here: a row that is not whole now never will be. */
  end(): ReadonlyArray<Cell> {
    const cells: Array<Cell> = []
    // Among the lines that are read again may be another that begins what is never closed.
    while (this.open !== undefined) {
      for (const cell of this.readAll(this.giveUp())) cells.push(cell)
    }
    return cells
  }

  private readAll(lines: ReadonlyArray<Line>): ReadonlyArray<Cell> {
    const cells: Array<Cell> = []
    // The next line is the last here, so that lines which are read again come before the others.
    const pending = [...lines].reverse()
    for (;;) {
      const next = pending.pop()
      const again = next === undefined ? [] : this.read(next, cells)
      for (const one of again.toReversed()) pending.push(one)
      if (next === undefined) return cells
    }
  }

  /** Reads one line, and gives those that have to be read again. */
  private read(line: Line, cells: Array<Cell>): ReadonlyArray<Line> {
    const { cut, text } = line
    const { delimiter, isFile, onTrouble } = this.options
    const before = this.open
    if (before === undefined && !this.mayBeRow(text)) return []
    const row = csvFields(before === undefined && text.startsWith("\ufeff") ? text.slice(1) : text, delimiter, before)
    const goesOn = row.open && isFile
    if (before !== undefined || goesOn) {
      this.openLines.push(line)
      this.openLength += text.length
      if (row.torn === true || cut || this.openLength > rowCharacters || (goesOn && !this.mayReadAgain())) {
        return this.giveUp()
      }
      this.open = row
      if (goesOn) return []
      const looksSwallowed = this.looksLikeRows(this.openLines.slice(1, -1))
      if (looksSwallowed && this.width !== row.fields.length) return this.giveUp()
      if (looksSwallowed) {
        onTrouble("a quoted field goes over lines that look like rows, and they were read as its text")
      }
      this.close()
    } else if (cut) {
      onTrouble("a line was too long, and was not read as a row")
      return []
    }
    const cell = this.row(row.fields)
    if (cell !== undefined) cells.push(cell)
    return []
  }

  /** The row that was begun is none. Its first line is left out; the others are to be read again. */
  private giveUp(): ReadonlyArray<Line> {
    const [first, ...others] = this.openLines
    this.options.onTrouble(
      first?.cut === true
        ? "a line was too long, and was not read as a row"
        : "a quoted field is never closed, or closed before more text, and the line that it begins in was left out"
    )
    for (const { text } of others) this.charactersAgain += text.length
    this.close()
    return others
  }

  private close(): void {
    this.open = undefined
    this.openLines = []
    this.openLength = 0
  }

  private mayReadAgain(): boolean {
    return this.charactersAgain <= againFor.anyCase + againFor.each * this.charactersRead
  }

  /** Whether one of these, alone, would be a row with a number. In a table of one column nearly any text would. */
  private looksLikeRows(lines: ReadonlyArray<Line>): boolean {
    const { column, width } = this
    if (column === undefined || width === undefined || width < 2) return false
    return lines.some(({ text }) => {
      const { fields } = csvFields(text, this.options.delimiter)
      return fields.length === width && parseNumber(fields[column] ?? "") !== undefined
    })
  }

  private mayBeRow(text: string): boolean {
    const { delimiter } = this.options
    return text.includes(delimiter) || delimiter === " " || this.width === 1 || this.mayBeNarrow(text)
  }

  /** A table of one column has no delimiter at all. */
  private mayBeNarrow(text: string): boolean {
    const { column } = this.options
    return this.width === undefined && (column === 0 || text.includes(String(column)))
  }

  private row(fields: ReadonlyArray<string>): Cell | undefined {
    if (this.isHeader(fields)) return undefined
    const { column, fieldColumn, options, width } = this
    if (column === undefined || fields.length <= column) return undefined
    if (width !== undefined && fields.length !== width) {
      if (options.isFile) options.onTrouble("a row has another number of fields than the header, and was left out")
      return undefined
    }
    return { value: fields[column]!, field: fieldColumn === undefined ? undefined : fields[fieldColumn] }
  }

  /** By name, any line that has the name is a header: a program that runs twice prints it twice. */
  private isHeader(fields: ReadonlyArray<string>): boolean {
    const { column, field, hasHeader } = this.options
    const found = typeof column === "string"
      ? fields.indexOf(column)
      : hasHeader && this.column === undefined && fields.length > column
      ? column
      : -1
    if (found < 0) return false
    this.column = found
    const named = field === undefined ? -1 : fields.indexOf(field)
    this.fieldColumn = named >= 0 ? named : columnNumber(field)
    this.width = fields.length
    return true
  }
}

const columnNumber = (field: string | undefined): number | undefined =>
  field !== undefined && /^\d{1,6}$/.test(field) ? Number(field) : undefined
