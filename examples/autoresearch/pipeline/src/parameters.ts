/** The settings of the pipeline: read from `parameters.json`, checked before anything starts. */

import { readFileSync } from "node:fs"
import { UsageError } from "./errors.ts"
import { batchBytes, type Precision } from "./format.ts"

export interface Parameters {
  /** Samples of one training step. */
  readonly batchSize: number
  /** Threads that load batches; 0 loads on the main thread, between the steps. */
  readonly workers: number
  /** Batches that are asked for ahead of training. */
  readonly prefetchBatches: number
  /** Reads in flight while a batch is loaded. */
  readonly readConcurrency: number
  /** Neighbouring records that one read brings in; a read never goes beyond its batch. */
  readonly recordsPerRead: number
  /** Records being decompressed at a time while a batch is loaded. */
  readonly decompressConcurrency: number
  /** How a worker's batch gets to the main thread: copied, moved, or written to memory that both see. */
  readonly handOff: "clone" | "transfer" | "shared"
  /** Number format of the tensors. */
  readonly precision: Precision
}

type Rule = { readonly min: number; readonly max: number } | { readonly oneOf: ReadonlyArray<string> }

const rules: Record<keyof Parameters, Rule> = {
  batchSize: { min: 1, max: 256 },
  workers: { min: 0, max: 8 },
  prefetchBatches: { min: 1, max: 64 },
  readConcurrency: { min: 1, max: 64 },
  recordsPerRead: { min: 1, max: 256 },
  decompressConcurrency: { min: 1, max: 256 },
  handOff: { oneOf: ["clone", "transfer", "shared"] },
  precision: { oneOf: ["float32", "float64"] }
}

/** What the loader may hold in batches: the share of a training host's pinned memory that it is given. */
export const MEMORY_BUDGET_BYTES = 24 * 1024 * 1024

const check = (name: string, value: unknown, rule: Rule): void => {
  const shown = JSON.stringify(value)
  if ("oneOf" in rule) {
    if (typeof value !== "string" || !rule.oneOf.includes(value)) {
      throw new UsageError(`parameter ${name} is ${shown}: it must be one of ${rule.oneOf.join(", ")}`)
    }
  } else if (typeof value !== "number" || !Number.isInteger(value) || value < rule.min || value > rule.max) {
    throw new UsageError(`parameter ${name} is ${shown}: it must be a whole number from ${rule.min} to ${rule.max}`)
  }
}

/** Checks a decoded `parameters.json`: every parameter must be there, and no other. */
export const decodeParameters = (input: unknown): Parameters => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new UsageError("the parameters must be one JSON object")
  }
  const known = Object.keys(rules)
  for (const name of Object.keys(input)) {
    if (!known.includes(name)) {
      throw new UsageError(`unknown parameter ${name}: known are ${known.join(", ")}`)
    }
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value = (input as Record<string, unknown>)[name]
    if (value === undefined) throw new UsageError(`parameter ${name} is missing`)
    check(name, value, rule)
  }
  const parameters = input as Parameters
  const alive = parameters.prefetchBatches + 1
  const bytes = alive * batchBytes(parameters.precision, parameters.batchSize)
  if (bytes > MEMORY_BUDGET_BYTES) {
    const mebibytes = (count: number) => (count / 1024 / 1024).toFixed(1)
    throw new UsageError(
      `out of memory budget: ${alive} batches of ${parameters.batchSize} samples in ${parameters.precision} take ` +
        `${mebibytes(bytes)} MiB, allowed are ${mebibytes(MEMORY_BUDGET_BYTES)} MiB: ` +
        "lower batchSize or prefetchBatches, or use float32"
    )
  }
  return parameters
}

/** Reads and checks `parameters.json`. */
export const readParameters = (file: string | URL): Parameters => {
  const text = readFileSync(file, "utf8")
  let input: unknown
  try {
    input = JSON.parse(text)
  } catch (cause) {
    throw new UsageError(`the parameters in ${String(file)} are not JSON: ${(cause as Error).message}`, { cause })
  }
  return decodeParameters(input)
}
