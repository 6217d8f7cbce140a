/**
 * Which contender does which workload, and how much of it. Data only: nothing here loads a contender.
 *
 * A durable contender gets as many works as take it a few seconds; what is compared is works per second.
 */
import type { Contender } from "./Contenders.ts"
import type { Workload } from "./Trial.ts"

/** One line of the plan: a contender does a workload, with a number of works. */
export interface Entry {
  readonly workload: Workload
  readonly contender: Contender
  /** How many works (samples, for a latency) one round takes. */
  readonly works: number
  readonly rounds: number
  readonly warmUp: number
  readonly variant: string
  /** What is said after the unit, to tell rows of one workload and contender apart. */
  readonly suffix: string
  /** The servers that must run for it. */
  readonly needs: "postgres" | "redis" | undefined
  /** Whether a process must prepare what every trial begins with. */
  readonly prepared: boolean
}

const servers: { readonly [C in Contender]?: Entry["needs"] } = {
  "pg-boss": "postgres",
  "graphile-worker": "postgres",
  dbos: "postgres",
  "effect-workflow": "postgres",
  bullmq: "redis"
}

const entry = (
  workload: Workload,
  contender: Contender,
  works: number,
  options: Partial<Pick<Entry, "rounds" | "variant" | "suffix" | "prepared" | "warmUp">> = {}
): Entry => ({
  workload,
  contender,
  works,
  rounds: 1,
  warmUp: Math.ceil(works / 10),
  variant: "",
  suffix: "",
  needs: servers[contender],
  prepared: false,
  ...options
})

/** A round of few works is timed together with others, or the clock would see little of it. */
const backlog = (contender: Contender, works: number, suffix: string): Entry =>
  entry("memory-backlog", contender, works, { suffix, rounds: Math.max(1, 200_000 / works), warmUp: 20_000 })

const durable: ReadonlyArray<readonly [Contender, number]> = [
  ["espalier", 300_000],
  ["graphile-worker", 150_000],
  ["pg-boss", 100_000],
  ["bullmq", 40_000],
  ["plainjob", 15_000],
  ["dbos", 10_000],
  ["effect-workflow", 5_000]
]

const million = 1_000_000

/** The whole plan, in the order of the table. */
export const catalogue: ReadonlyArray<Entry> = [
  entry("memory-fifo", "espalier", 200_000),
  entry("memory-fifo", "fastq", 200_000),
  entry("memory-fifo", "p-queue", 200_000),

  entry("memory-priorities", "espalier", 200_000),
  entry("memory-priorities", "p-queue", 200_000),

  backlog("espalier", 1_000, " at 1k"),
  backlog("espalier", 10_000, " at 10k"),
  backlog("espalier", 100_000, " at 100k"),
  backlog("espalier", million, " at 1M"),
  backlog("p-queue", 1_000, " at 1k"),
  backlog("p-queue", 10_000, " at 10k"),
  // It inserts into a sorted array: 100,000 take more than a second, and a million would take minutes.
  backlog("p-queue", 100_000, " at 100k"),

  ...durable.map(([contender, works]) => entry("durable", contender, works)),
  entry("durable", "espalier", 300_000, { variant: "events", suffix: " with its events read" }),

  entry("durable-steps", "espalier", 100_000),
  entry("durable-steps", "dbos", 3_000),
  entry("durable-steps", "effect-workflow", 1_500),

  entry("latency-memory", "espalier", 2_000, { warmUp: 2_000 }),
  entry("latency-memory", "fastq", 2_000, { warmUp: 2_000 }),
  entry("latency-memory", "p-queue", 2_000, { warmUp: 2_000 }),

  ...durable.map(([contender]) => entry("latency-durable", contender, 2_000, { warmUp: 500 })),

  entry("resume", "espalier", million, { variant: "journal", suffix: " from the journal", prepared: true, warmUp: 0 }),
  entry("resume", "espalier", million, { variant: "snapshot", suffix: " from a snapshot", prepared: true, warmUp: 0 }),

  entry("bytes-per-work", "espalier", million, { variant: "sqlite", warmUp: 0 }),
  entry("bytes-per-work", "espalier", million, { variant: "memory", suffix: " with its journal in memory", warmUp: 0 }),
  entry("bytes-per-work", "fastq", million, { variant: "memory", warmUp: 0 }),
  entry("bytes-per-work", "p-queue", million, { variant: "memory", warmUp: 0 }),

  ...durable.map(([contender, works]) => entry("loop-delay", contender, works / 2))
]

/**
 * A tenth of everything: to see that it runs, not to compare. A backlog keeps its size, which its name says, and has fewer
 * rounds; the one of a million is left out.
 */
export const quick = (plan: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  plan
    .filter((entry) => entry.workload !== "memory-backlog" || entry.works < million)
    .map((entry) =>
      entry.workload === "memory-backlog"
        ? { ...entry, rounds: Math.ceil(entry.rounds / 10) }
        : { ...entry, works: Math.ceil(entry.works / 10), warmUp: Math.ceil(entry.warmUp / 10) }
    )
