/** A table of CSV in lines that may hold other things too: finds its header, then its rows. Bounded memory. */
import { csvFields, type CsvRow } from "../evidence/MetricText.ts"

/** Of a row over several lines. A quote that is never closed must not swallow the rest of a file. */
const rowCharacters = 65_536

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
  /** A row that is not whole yet, and how many characters it has. */
  private open: CsvRow | undefined
  private openLength = 0

  constructor(options: TableOptions) {
    this.options = options
    this.start()
  }

  /** What comes now is another table. */
  start(): void {
    const { column, field, hasHeader } = this.options
    this.open = undefined
    this.width = undefined
    this.column = hasHeader || typeof column === "string" ? undefined : column
    this.fieldColumn = hasHeader ? undefined : columnNumber(field)
  }

  /** The cell in this line, when it is a row. `cut`: only its beginning is here. */
  line(text: string, cut: boolean): Cell | undefined {
    const { delimiter, isFile, onTrouble } = this.options
    const before = this.open
    if (before === undefined && !this.mayBeRow(text)) return undefined
    const row = csvFields(before === undefined && text.startsWith("\ufeff") ? text.slice(1) : text, delimiter, before)
    this.open = undefined
    this.openLength = (before === undefined ? 0 : this.openLength) + text.length
    if (cut || (row.open && isFile && this.openLength > rowCharacters)) {
      if (row.open) {
        onTrouble("a quoted field was too long or never closed, and was left out with the lines that it went over")
      } else if (this.column !== undefined && row.fields.length > this.column) {
        onTrouble("a row was too long to be read")
      }
      return undefined
    }
    if (!row.open || !isFile) return this.row(row.fields)
    this.open = row
    return undefined
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
