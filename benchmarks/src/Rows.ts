/** The rows of the result: what several trials of one contender found, as one figure with its spread. */
import type { Entry } from "./Catalogue.ts"
import type { Contender } from "./Contenders.ts"
import { type Spread, spread } from "./Statistics.ts"
import type { Measured, Workload } from "./Trial.ts"

/** A row, as `--json` prints it: the median of the runs, with the least and the greatest. */
export interface Row extends Spread {
  readonly workload: Workload
  readonly contender: Contender
  readonly unit: string
}

/** The rows of one entry, one for each unit that its trials measured. */
export const rowsOf = (entry: Entry, trials: ReadonlyArray<Measured>): ReadonlyArray<Row> => {
  const units = new Set(trials.flatMap((measured) => Object.keys(measured)))
  return Array.from(units, (unit) => {
    const values = trials.flatMap((measured) => measured[unit] ?? [])
    return { workload: entry.workload, contender: entry.contender, ...spread(values), unit: unit + entry.suffix }
  })
}

/** A row as one line of JSON, its keys in the order that is documented. */
export const jsonOf = ({ contender, max, min, runs, unit, value, workload }: Row): string =>
  JSON.stringify({ workload, contender, value, unit, min, max, runs })
