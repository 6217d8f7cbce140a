/**
 * One trial: one contender does one workload once, in a process of its own. What goes in and what comes out is JSON.
 */
import type { Contender } from "./Contenders.ts"

/** The workloads, by the names that `--only` takes. */
export const workloads = [
  "memory-fifo",
  "memory-priorities",
  "memory-backlog",
  "durable",
  "durable-steps",
  "latency-memory",
  "latency-durable",
  "resume",
  "bytes-per-work",
  "loop-delay"
] as const
export type Workload = typeof workloads[number]

/** A database that one trial alone uses. */
export interface PostgresAddress {
  /** The directory of its socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

/** What a trial is told. */
export interface Trial {
  readonly workload: Workload
  readonly contender: Contender
  /** Which of several forms of the workload, where there are several: which journal, from what a run is resumed. */
  readonly variant: string
  /** How many works (samples, for a latency) a round takes. */
  readonly works: number
  /** How many rounds are timed together; more than one where a round is too short for the clock. */
  readonly rounds: number
  /** How many works are done before the clock starts, so that code is compiled and connections are open. */
  readonly warmUp: number
  /** A directory for the trial's files, on the disk that is measured; empty, or a copy of what `prepare` left. */
  readonly directory: string
  readonly postgres?: PostgresAddress
  /** The socket of a private Redis. */
  readonly redis?: string
}

/** What a trial found: values by the unit that they are in. */
export type Measured = Readonly<Record<string, number>>

/** How a contender does a workload. */
export interface Bench {
  readonly measure: (trial: Trial) => Promise<Measured>
  /** Leaves in the trial's directory what every trial begins with; done once, in a process of its own, untimed. */
  readonly prepare?: (trial: Trial) => Promise<void>
}

/** What a contender's module exports: the workloads that it can do. */
export type Benches = { readonly [W in Workload]?: Bench }

/** The handler of every contender. It does nothing, asynchronously. */
export const noop = async (_payload: unknown): Promise<void> => {}

/** How many works are added in one call, where a contender can add many. */
export const batchSize = 1_000

/** How many works may be in flight in the durable workloads. */
export const inFlight = 1_000

/** How many works may be in flight in the workloads that keep nothing. */
export const memoryConcurrency = 16

/** How many priorities there are, in the workloads that have them. */
export const priorities = 1_000

/** The priority of the n-th work: all of them equally often, in no order (multiplicative hashing). */
export const priorityOf = (n: number): number => (Math.imul(n, 2_654_435_761) >>> 0) % priorities

/** The payload of the n-th work, where nothing else is asked for. */
export const payloadOf = (n: number): { readonly n: number } => ({ n })

/** The id of the n-th work where its length counts: 16 bytes, unique. */
export const shortId = (n: number): string => `work-${String(n).padStart(11, "0")}`

/** The payload of the n-th work where its size counts: 100 bytes of JSON, and no two alike. */
export const parcelOf = (n: number): { readonly data: string } => ({ data: String(n).padStart(89, "payload ") })

/** The numbers from 0 to `count`, in groups of at most `size`. */
export function* batches(count: number, size: number = batchSize): Generator<ReadonlyArray<number>> {
  for (let from = 0; from < count; from += size) {
    yield Array.from({ length: Math.min(size, count - from) }, (_, index) => from + index)
  }
}

/** Fails a trial whose contender did not do all that it was given. */
export const assertDone = (contender: string, done: number, works: number): void => {
  if (done !== works) throw new Error(`${contender} ended ${done} of ${works} works`)
}
