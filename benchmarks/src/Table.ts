/** The rows as a table for a terminal. */
import type { Row } from "./Rows.ts"
import { advantage, verdict } from "./Thresholds.ts"

/** Three significant digits, or whole numbers with separators. */
export const figure = (value: number): string =>
  Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en")
    : value.toLocaleString("en", { maximumSignificantDigits: 3 })

const times = (ratio: number): string => `${figure(ratio)}x`

/** A row that is to be shown, with the number of works that its trials took. */
export interface Line {
  readonly row: Row
  readonly works: number
}

const heads = [
  "workload",
  "contender",
  "works",
  "median",
  "unit",
  "min",
  "max",
  "runs",
  "espalier is",
  "asked",
  "of it reached"
]
/** Which columns are numbers, and so stand at the right. */
const right = new Set([2, 3, 5, 6, 7, 8, 10])

const cellsOf = ({ row, works }: Line, rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const better = advantage(row, rows)
  const judged = verdict(row, rows)
  return [
    row.workload,
    row.contender,
    works.toLocaleString("en"),
    figure(row.value),
    row.unit,
    figure(row.min),
    figure(row.max),
    String(row.runs),
    better === undefined ? "" : times(better),
    judged?.asked ?? "",
    judged === undefined ? "" : `${figure(judged.ratio)} ${judged.ratio >= 1 ? "ok   " : "short"}`
  ]
}

/** The table: columns as wide as they need to be, a rule under the heads, an empty line between workloads. */
export const table = (lines: ReadonlyArray<Line>): string => {
  const rows = lines.map(({ row }) => row)
  const body = lines.map((line) => cellsOf(line, rows))
  const widths = heads.map((head, column) => Math.max(head.length, ...body.map((cells) => cells[column]!.length)))
  const text = (cells: ReadonlyArray<string>): string =>
    cells.map((cell, column) => right.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))
      .join("  ").trimEnd()
  const shown = [text(heads), widths.map((width) => "-".repeat(width)).join("  ")]
  for (const [index, cells] of body.entries()) {
    if (index > 0 && cells[0] !== body[index - 1]![0]) shown.push("")
    shown.push(text(cells))
  }
  return shown.join("\n")
}
