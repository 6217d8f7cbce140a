/**
 * What the figures are held to. A threshold is reached when its ratio is 1 or more, whichever way is better.
 */
import type { Contender } from "./Contenders.ts"
import type { Row } from "./Rows.ts"
import type { Workload } from "./Trial.ts"

/**
 * - `Absolute`: our figure against a number.
 * - `Peer`: our figure against each of some contenders'. "The best of them" is the same: every one is beaten by so much.
 * - `Own`: our figure against another of ours in the same workload.
 */
export type Threshold =
  & { readonly workload: Workload; readonly unit: string }
  & (
    | { readonly _tag: "Absolute"; readonly atLeast: number }
    | { readonly _tag: "Absolute"; readonly atMost: number }
    | { readonly _tag: "Peer"; readonly contenders: ReadonlyArray<Contender>; readonly atLeast: number }
    | { readonly _tag: "Own"; readonly than: string; readonly atLeast: number }
    | { readonly _tag: "Own"; readonly than: string; readonly atMost: number }
  )

export const thresholds: ReadonlyArray<Threshold> = [
  { _tag: "Peer", workload: "memory-fifo", unit: "works/s", contenders: ["fastq", "p-queue"], atLeast: 1 },
  { _tag: "Peer", workload: "memory-priorities", unit: "works/s", contenders: ["p-queue"], atLeast: 15 },
  { _tag: "Own", workload: "memory-backlog", unit: "works/s at 1M", than: "works/s at 10k", atLeast: 0.6 },
  { _tag: "Own", workload: "memory-backlog", unit: "us/event at 1M", than: "us/event at 1k", atMost: 1.5 },
  { _tag: "Absolute", workload: "durable", unit: "works/s", atLeast: 100_000 },
  {
    _tag: "Peer",
    workload: "durable",
    unit: "works/s",
    contenders: ["pg-boss", "graphile-worker", "bullmq", "dbos", "effect-workflow", "plainjob"],
    atLeast: 5
  },
  { _tag: "Peer", workload: "durable-steps", unit: "works/s", contenders: ["dbos"], atLeast: 5 },
  { _tag: "Peer", workload: "durable-steps", unit: "works/s", contenders: ["effect-workflow"], atLeast: 20 },
  { _tag: "Absolute", workload: "latency-memory", unit: "us p50", atMost: 50 },
  { _tag: "Absolute", workload: "latency-durable", unit: "us p50", atMost: 1_000 },
  { _tag: "Absolute", workload: "resume", unit: "s from the journal", atMost: 10 },
  { _tag: "Absolute", workload: "resume", unit: "s from a snapshot", atMost: 5 },
  { _tag: "Absolute", workload: "bytes-per-work", unit: "bytes/work", atMost: 400 }
]

/** A threshold as the row shows it: what is asked, and how much of it is there (1 is all). */
export interface Verdict {
  readonly asked: string
  readonly ratio: number
}

/** Units in which more is better; of all others less is. */
const moreIsBetter = (unit: string): boolean => unit.startsWith("works/s")

/** How many times as good as another figure ours is. */
export const timesAsGood = (unit: string, ours: number, theirs: number): number =>
  moreIsBetter(unit) ? ours / theirs : theirs / ours

const find = (rows: ReadonlyArray<Row>, workload: Workload, contender: string, unit: string) =>
  rows.find((row) => row.workload === workload && row.contender === contender && row.unit === unit)

/**
 * How many times as good as this row our figure of the same unit is; undefined without one, for our own rows, and where
 * one of the two is zero, of which nothing is a multiple.
 */
export const advantage = (row: Row, rows: ReadonlyArray<Row>): number | undefined => {
  if (row.contender === "espalier") return undefined
  const ours = find(rows, row.workload, "espalier", row.unit)
  return ours === undefined || ours.value === 0 || row.value === 0
    ? undefined
    : timesAsGood(row.unit, ours.value, row.value)
}

/** The verdict that stands in a row: in a peer's row what we must be against it, in ours the rest. */
export const verdict = (row: Row, rows: ReadonlyArray<Row>): Verdict | undefined => {
  for (const threshold of thresholds) {
    if (threshold.workload !== row.workload || threshold.unit !== row.unit) continue
    if (threshold._tag === "Peer") {
      const times = advantage(row, rows)
      if (times === undefined || !threshold.contenders.includes(row.contender)) continue
      return { asked: `>= ${threshold.atLeast}x`, ratio: times / threshold.atLeast }
    }
    if (row.contender !== "espalier") continue
    const than = threshold._tag === "Own" ? find(rows, row.workload, "espalier", threshold.than)?.value : 1
    if (than === undefined) continue
    const value = row.value / than
    const of = threshold._tag === "Own" ? `x ${threshold.than}` : ""
    return "atLeast" in threshold
      ? { asked: `>= ${threshold.atLeast.toLocaleString("en")}${of}`, ratio: value / threshold.atLeast }
      : { asked: `<= ${threshold.atMost.toLocaleString("en")}${of}`, ratio: threshold.atMost / value }
  }
  return undefined
}
