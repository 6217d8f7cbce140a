/**
 * What went wrong, as data: a closed set of kinds, one policy for each kind, and the record that a node, the report
 * and a person see.
 *
 * The kind is chosen where the failure happens, by code that knows; it is never guessed from the text of a message.
 * An expected failure arrives here as a typed error; a defect is wrapped by {@link fromDefect}.
 */
import { Schema } from "effect"

/** Every sort of failure that an experiment, or the run around it, can have. */
export const FailureKind = Schema.Literals([
  "code_change_failed",
  "source_restore_failed",
  "build_failed",
  "launch_failed",
  "job_startup_failed",
  "job_runtime_failed",
  "job_failed",
  "job_stalled",
  "job_lost",
  "metrics_collection_failed",
  "analysis_failed",
  "planning_failed",
  "setup_instrumentation_failed",
  "setup_source_failed",
  "budget_exhausted",
  "infrastructure_failed",
  "unexpected_exception",
  "interrupted"
])
export type FailureKind = typeof FailureKind.Type

/** Where in the life of an experiment, or of the run, a failure happened. */
export const FailurePhase = Schema.Literals([
  "prepare",
  "source",
  "code_change",
  "build",
  "launch",
  "job",
  "metrics",
  "analysis",
  "planning",
  "setup",
  "instrumentation",
  "runner"
])
export type FailurePhase = typeof FailurePhase.Type

/**
 * What can be done about a failure.
 *
 * - `retryStep`: the same step again may succeed: nothing in the experiment has to change.
 * - `repairSource`: the experiment's source must change; a repair gets the diff, the error and the log tail.
 * - `resume`: the run goes on from here when it is resumed; nothing is wrong with the experiment.
 * - `none`: it would fail in the same way again.
 */
export const Recovery = Schema.Literals(["retryStep", "repairSource", "resume", "none"])
export type Recovery = typeof Recovery.Type

/**
 * What is known about a kind of failure before it happens.
 *
 * - `phase`: where it happens unless the record says otherwise.
 * - `blamesChanges`: whether it speaks against the change set itself. A search must not propose such a change set
 *   again, and may learn from it; the other kinds say nothing about the changes.
 * - `lookAt`: what a person should look at first.
 */
export interface FailurePolicy {
  readonly kind: FailureKind
  readonly phase: FailurePhase
  readonly recovery: Recovery
  readonly blamesChanges: boolean
  readonly lookAt: string
}

const table: Readonly<Record<FailureKind, Omit<FailurePolicy, "kind">>> = {
  code_change_failed: {
    phase: "code_change",
    recovery: "repairSource",
    blamesChanges: true,
    lookAt: "the edit that was rejected, and the file it names at the experiment's base commit"
  },
  source_restore_failed: {
    phase: "source",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt: "the repository: free disk space, locks left by another git process, whether the base commit still exists"
  },
  build_failed: {
    phase: "build",
    recovery: "repairSource",
    blamesChanges: true,
    lookAt: "the build's log, then diff.patch"
  },
  launch_failed: {
    phase: "launch",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt: "whether the job's program exists and may be executed, and how loaded the machine is"
  },
  job_startup_failed: {
    phase: "job",
    recovery: "repairSource",
    blamesChanges: true,
    lookAt: "stderr.log of the job, then diff.patch: it ended before it did any work"
  },
  job_runtime_failed: {
    phase: "job",
    recovery: "repairSource",
    blamesChanges: true,
    lookAt: "stderr.log of the job, from the first error on"
  },
  job_failed: {
    phase: "job",
    recovery: "none",
    blamesChanges: true,
    lookAt: "exit.json and stderr.log of the job: its exit code, signal, time-out or memory limit"
  },
  job_stalled: {
    phase: "job",
    recovery: "none",
    blamesChanges: true,
    lookAt: "the last lines of stdout.log: after them the job printed nothing until it was cancelled"
  },
  job_lost: {
    phase: "job",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt:
      "whether the machine was restarted or killed the job's processes (out of memory) at that time; on a cluster, " +
      "whether it was preempted or its node failed (details.status), and verdict.json of the job"
  },
  metrics_collection_failed: {
    phase: "metrics",
    recovery: "retryStep",
    blamesChanges: true,
    lookAt: "stdout.log of the job beside the rules under [[metrics]]: the job ended well but printed no usable value"
  },
  analysis_failed: {
    phase: "analysis",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt: "the agent's answer in agent/; the measurements stand, only their reading is missing"
  },
  planning_failed: {
    phase: "planning",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt: "the planner's answer in agent/, or the declared space"
  },
  setup_instrumentation_failed: {
    phase: "instrumentation",
    recovery: "repairSource",
    blamesChanges: false,
    lookAt: "the program's source: what prints the metrics was not added"
  },
  setup_source_failed: {
    phase: "setup",
    recovery: "none",
    blamesChanges: false,
    lookAt: "[source] in espalier.toml: the repository, the ref, and whether there are uncommitted changes"
  },
  budget_exhausted: {
    phase: "runner",
    recovery: "resume",
    blamesChanges: false,
    lookAt: "[limits] in espalier.toml: raise the limit and resume"
  },
  infrastructure_failed: {
    phase: "runner",
    recovery: "retryStep",
    blamesChanges: false,
    lookAt: "disk space, memory, network and the scheduler of this machine; resume when they are well"
  },
  unexpected_exception: {
    phase: "runner",
    recovery: "none",
    blamesChanges: false,
    lookAt: "the stack in details: this is a fault in the engine, a layer or a handler, not in the experiment"
  },
  interrupted: {
    phase: "runner",
    recovery: "resume",
    blamesChanges: false,
    lookAt: "who stopped the run or the experiment, and why; resume to go on"
  }
}

/** The policy of a kind. */
export const policyOf = (kind: FailureKind): FailurePolicy => ({ kind, ...table[kind] })

/** Every policy, in the order of {@link FailureKind}: what the documentation and the report list. */
export const policies: ReadonlyArray<FailurePolicy> = FailureKind.literals.map(policyOf)

/**
 * A failure as it is journaled and shown. Plain JSON.
 *
 * - `retryable`: whether something can be done about it (the kind's recovery is not `none`).
 * - `details`: whatever helps to understand it, shortened to {@link limits}.
 * - `exceptionType`: the class or tag of the error it came from.
 * - `createdAt`: epoch milliseconds.
 * - `logTail`: the end of the log that shows it.
 * - `attempt`: the attempt that failed, from 1.
 */
export const FailureRecord = Schema.Struct({
  kind: FailureKind,
  phase: FailurePhase,
  message: Schema.String,
  retryable: Schema.Boolean,
  details: Schema.Record(Schema.String, Schema.Json),
  exceptionType: Schema.optionalKey(Schema.String),
  jobId: Schema.optionalKey(Schema.String),
  createdAt: Schema.Finite,
  logTail: Schema.optionalKey(Schema.String),
  attempt: Schema.Int.check(Schema.isGreaterThan(0))
})
export type FailureRecord = typeof FailureRecord.Type

/**
 * How much of a failure is kept, in characters (UTF-16 code units) unless said otherwise. A record lies in the
 * journal and in every snapshot of the tree; the whole log is in the job's directory.
 */
export const limits = {
  message: 2_000,
  logTail: 8_000,
  /** one text inside `details`, such as a stack */
  detail: 4_000,
  /** keys of one object, and elements of one list, inside `details` */
  entries: 40,
  /** levels inside `details` */
  depth: 5,
  /** all of `details`, as JSON */
  details: 32_000
} as const

/** Neither half of a surrogate pair may be left over: a lone half is not valid UTF-8 on disk. */
const isLowSurrogate = (text: string, index: number): boolean => (text.charCodeAt(index) & 0xfc00) === 0xdc00

const keepStart = (text: string, most: number): string => {
  if (text.length <= most) return text
  const end = isLowSurrogate(text, most) ? most - 1 : most
  return `${text.slice(0, end)}… (${text.length - end} more characters)`
}

const keepEnd = (text: string, most: number): string => {
  if (text.length <= most) return text
  const start = isLowSurrogate(text, text.length - most) ? text.length - most + 1 : text.length - most
  return `(${start} characters before) …${text.slice(start)}`
}

/** Any value as JSON that is short enough: nothing that is thrown or attached may make the record itself fail. */
const toJson = (value: unknown, depth: number, above: ReadonlyArray<unknown>): Schema.Json => {
  switch (typeof value) {
    case "string":
      return keepStart(value, limits.detail)
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "boolean":
      return value
    case "object": {
      if (value === null) return null
      if (above.includes(value)) return "(circular)"
      if (depth >= limits.depth) return "(too deep)"
      const inside = [...above, value]
      if (Array.isArray(value)) {
        const kept = value.slice(0, limits.entries).map((item) => toJson(item, depth + 1, inside))
        return value.length > limits.entries ? [...kept, `… (${value.length - limits.entries} more)`] : kept
      }
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
      if (value instanceof Error) return toJson(describeError(value), depth, inside)
      return recordToJson(value, depth, inside)
    }
    case "undefined":
      return null
    default:
      return keepStart(String(value), limits.detail)
  }
}

const recordToJson = (
  value: object,
  depth: number,
  above: ReadonlyArray<unknown>
): { readonly [key: string]: Schema.Json } => {
  const entries = readEntries(value).filter(([, item]) => item !== undefined)
  const kept = entries.slice(0, limits.entries).map(([key, item]) => [key, toJson(item, depth + 1, above)] as const)
  return Object.fromEntries(
    entries.length > limits.entries ? [...kept, ["…", `${entries.length - limits.entries} more`]] : kept
  )
}

/** A getter or a proxy may throw when it is read; a failure must still be recorded. */
const readEntries = (value: object): ReadonlyArray<readonly [string, unknown]> => {
  if (value instanceof Map) return [...value].map(([key, item]) => [String(key), item])
  if (value instanceof Set) return [...value].map((item, index) => [String(index), item])
  return Object.keys(value).map((key) => {
    try {
      return [key, Reflect.get(value, key)]
    } catch (error) {
      return [key, `(unreadable: ${error instanceof Error ? error.message : typeof error})`]
    }
  })
}

const describeError = (error: Error): Record<string, unknown> => ({
  type: exceptionTypeOf(error),
  message: error.message,
  stack: error.stack,
  cause: error.cause
})

const exceptionTypeOf = (error: unknown): string => {
  if (typeof error === "object" && error !== null) {
    if ("_tag" in error && typeof error._tag === "string") return error._tag
    if (error instanceof Error) return error.name
    const constructor: unknown = error.constructor
    return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "object"
  }
  return typeof error
}

const shortDetails = (details: object): FailureRecord["details"] => {
  const whole = recordToJson(details, 0, [details])
  const length = JSON.stringify(whole).length
  if (length <= limits.details) return whole
  const kept: Array<readonly [string, Schema.Json]> = []
  let room = limits.details
  for (const [key, value] of Object.entries(whole)) {
    room -= JSON.stringify(value).length + key.length
    if (room < 0) {
      kept.push(["…", `${length} characters of details were cut here, at ${key}`])
      break
    }
    kept.push([key, value])
  }
  return Object.fromEntries(kept)
}

/**
 * Makes the record of a failure. Phase and recovery come from the kind's policy; texts and details that are too long
 * are shortened (the log keeps its end, all else its beginning) and whatever JSON cannot hold is put into words.
 *
 * @param options.createdAt epoch milliseconds: this module has no clock
 * @param options.attempt from 1, 1 when absent
 * @param options.phase where it happened, when that is not the kind's usual phase
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { Failure } from "@espalier/workflow"
 *
 * const failure = Failure.make({
 *   kind: "job_failed",
 *   message: "The job of node-7 exited with code 137 after 12 s: killed for using too much memory.",
 *   createdAt: 1_790_000_000_000,
 *   details: { exitCode: 137 },
 *   logTail: "allocating 64 buffers\n"
 * })
 * assert.equal(failure.phase, "job")
 * assert.equal(failure.retryable, false)
 * assert.match(Failure.policyOf(failure.kind).lookAt, /exit\.json/)
 * ```
 */
export const make = (options: {
  readonly kind: FailureKind
  readonly message: string
  readonly createdAt: number
  readonly attempt?: number | undefined
  readonly phase?: FailurePhase | undefined
  readonly details?: object | undefined
  readonly exceptionType?: string | undefined
  readonly jobId?: string | undefined
  readonly logTail?: string | undefined
}): FailureRecord => {
  const policy = table[options.kind]
  return {
    kind: options.kind,
    phase: options.phase ?? policy.phase,
    message: keepStart(options.message, limits.message),
    retryable: policy.recovery !== "none",
    details: shortDetails(options.details ?? {}),
    ...(options.exceptionType === undefined ? {} : { exceptionType: options.exceptionType }),
    ...(options.jobId === undefined ? {} : { jobId: options.jobId }),
    createdAt: options.createdAt,
    ...(options.logTail === undefined ? {} : { logTail: keepEnd(options.logTail, limits.logTail) }),
    attempt: options.attempt ?? 1
  }
}

/**
 * The record of a defect: something was thrown that no one declared. Keeps its type, its stack and its chain of
 * causes; whatever was thrown, this does not throw.
 *
 * @param defect what was thrown, of any type
 * @param options.phase what was being done when it was thrown
 */
export const fromDefect = (defect: unknown, options: {
  readonly phase: FailurePhase
  readonly createdAt: number
  readonly attempt?: number | undefined
  readonly jobId?: string | undefined
}): FailureRecord => {
  const isError = defect instanceof Error
  const message = isError ? defect.message : typeof defect === "string" ? defect : JSON.stringify(toJson(defect, 0, []))
  return make({
    kind: "unexpected_exception",
    phase: options.phase,
    message: `Unexpected ${exceptionTypeOf(defect)} during ${options.phase}: ${message}`,
    createdAt: options.createdAt,
    attempt: options.attempt,
    jobId: options.jobId,
    exceptionType: exceptionTypeOf(defect),
    details: isError ? { stack: defect.stack, cause: defect.cause } : { thrown: defect }
  })
}

/** A failure on one line for people: what happened, whether something can be done, and where to look. */
export const describe = (failure: FailureRecord): string => {
  const { lookAt, recovery } = table[failure.kind]
  const remedy = recovery === "none" ? "not retryable" : recoveryInWords[recovery]
  return `${failure.kind} in ${failure.phase}: ${failure.message} (${remedy}; look at ${lookAt})`
}

const recoveryInWords: Readonly<Record<Exclude<Recovery, "none">, string>> = {
  retryStep: "the step can be retried",
  repairSource: "its source can be repaired",
  resume: "goes on when the run is resumed"
}
