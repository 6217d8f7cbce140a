/** What may be said after `npm run bench --`. */
import { parseArgs } from "node:util"
import { catalogue, type Entry, quick } from "./Catalogue.ts"
import { contenders } from "./Contenders.ts"
import { workloads } from "./Trial.ts"

export const usage = `usage: npm run bench -- [options]

  --only NAME        this workload alone; may be given more than once
  --contender NAME   this contender alone; may be given more than once
  --quick            a tenth of the works and three runs: to see that it runs, not to compare
  --runs N           how many runs of each (5)
  --json             rows as JSON, one a line, instead of the table
  --directory DIR    where files and databases are put: on the disk that is to be measured (the system's temporary directory)

workloads: ${workloads.join(", ")}
contenders: ${contenders.join(", ")}`

/** What was asked for. */
export interface Options {
  readonly plan: ReadonlyArray<Entry>
  readonly runs: number
  readonly quick: boolean
  readonly json: boolean
  readonly directory: string | undefined
}

/** The arguments ask for what is not there; the message says what there is. */
export class BadArguments extends Error {
  override readonly name = "BadArguments"
}

const known = (what: string, names: ReadonlyArray<string>, all: ReadonlyArray<string>): void => {
  for (const name of names) {
    if (!all.includes(name)) {
      throw new BadArguments(`there is no ${what} ${JSON.stringify(name)}. There are: ${all.join(", ")}`)
    }
  }
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string", multiple: true, default: [] },
        contender: { type: "string", multiple: true, default: [] },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        runs: { type: "string" },
        directory: { type: "string" },
        help: { type: "boolean", short: "h", default: false }
      }
    }).values
  } catch (error) {
    throw new BadArguments(error instanceof Error ? error.message : String(error))
  }
}

/** Reads the arguments; `undefined` when help was asked for. Throws `BadArguments`. */
export const readArguments = (args: ReadonlyArray<string>): Options | undefined => {
  const values = parse(args)
  if (values.help) return undefined
  known("workload", values.only, workloads)
  known("contender", values.contender, contenders)
  const runs = values.runs === undefined ? (values.quick ? 3 : 5) : Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) {
    throw new BadArguments(`--runs is ${JSON.stringify(values.runs)}: it must be a whole number from 1`)
  }
  const chosen = (names: ReadonlyArray<string>, name: string) => names.length === 0 || names.includes(name)
  const plan = catalogue.filter((entry) =>
    chosen(values.only, entry.workload) && chosen(values.contender, entry.contender)
  )
  if (plan.length === 0) {
    throw new BadArguments(`${values.contender.join(" and ")} does not take part in ${values.only.join(" or ")}`)
  }
  return {
    plan: values.quick ? quick(plan) : plan,
    runs,
    quick: values.quick,
    json: values.json,
    directory: values.directory
  }
}
