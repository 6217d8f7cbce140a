/**
 * From an ended job's outputs to its evidence: reads them once, as streams, in bounded memory. Where the outputs
 * come from is the layer's business.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type EvidenceRecord, type MetricRule, MetricsMissing } from "../Evidence.ts"
import { hasSucceeded, type JobHandle, type JobUsage, type LogStream, type TerminalStatus } from "../Execution.ts"
import { ErrorScan, summarize } from "./ErrorSummary.ts"
import { LineSplitter, logTail, Tail } from "./LogText.ts"
import { type CompiledRules, MetricScan, type Scanned } from "./MetricScan.ts"

/** How much of a job's output is kept. */
export interface Limits {
  /** Of the end of each output, in bytes. Default 4096. */
  readonly tailBytes?: number
  /** Of each line, in bytes: what is beyond is not searched. Default 16384. */
  readonly lineBytes?: number
}

/** What a layer knows of a job. */
export interface Sources<E> {
  readonly rules: CompiledRules
  readonly limits: Limits
  /** The bytes of an output that is complete. */
  readonly output: (stream: LogStream) => Stream.Stream<Uint8Array, E>
  readonly usage: JobUsage | undefined
}

/** What a person could have meant to print for a rule. */
const wanted = (rule: MetricRule): string => {
  switch (rule._tag) {
    case "KeyValue":
      return `${rule.key ?? rule.name}=<number>`
    case "JsonLines":
      return `a JSON line with a number at ${JSON.stringify(rule.field ?? rule.name)}`
    case "Regex":
      return `a line that matches /${rule.pattern}/ with a number in its group`
  }
}

const streamName: Record<LogStream, string> = {
  stdout: "its standard output",
  stderr: "its standard error",
  metrics: "$ESPALIER_JOB_DIR/metrics.jsonl"
}

const missingMessage = (job: JobHandle, scanned: Scanned): string => {
  const one = scanned.missing.length === 1
  const lacks = scanned.missing.map((rule) =>
    `${rule.name} (${wanted(rule)} on ${streamName[rule.stream ?? "stdout"]})`
  )
  const names = new Set(scanned.missing.map((rule) => rule.name))
  const refused = scanned.notes.filter((note) => names.has(note.metric)).map((note) =>
    ` ${note.metric}: ${note.message}.`
  )
  const seen = scanned.seen.length === 0
    ? "It gave no number under any name"
    : `It gave numbers under ${scanned.seen.slice(0, 16).join(", ")}`
  return `The job ${job.key} ended well, but did not give the required metric${one ? "" : "s"} ${lacks.join(", ")}.` +
    `${refused.join("")} ${seen}. Let the program print ${
      one ? "it" : "them"
    }, or correct the rule, or set required = false.`
}

/** Collects the evidence of an ended job. */
export const collect = Effect.fnUntraced(function*<E>(
  job: JobHandle,
  status: TerminalStatus,
  { limits, output, rules, usage }: Sources<E>
): Effect.fn.Return<EvidenceRecord, E | MetricsMissing> {
  const scan = new MetricScan(rules)
  const errors = { stdout: new ErrorScan(), stderr: new ErrorScan() }
  const tails = { stdout: new Tail(limits.tailBytes ?? 4096), stderr: new Tail(limits.tailBytes ?? 4096) }
  const failed = !hasSucceeded(status)
  for (const stream of ["stdout", "stderr", "metrics"] as const) {
    const splitter = new LineSplitter(limits.lineBytes ?? 16_384)
    const take = (lines: ReturnType<LineSplitter["end"]>): void => {
      for (const { cut, text } of lines) {
        scan.line(stream, text, cut)
        if (failed && stream !== "metrics") errors[stream].line(text)
      }
    }
    yield* Stream.runForEach(output(stream), (chunk) =>
      Effect.sync(() => {
        if (stream !== "metrics") tails[stream].push(chunk)
        take(splitter.push(chunk))
      }))
    take(splitter.end())
  }
  const scanned = scan.result()
  const times = status._tag === "Lost" ? { startedAt: null, endedAt: null } : status
  const evidence: EvidenceRecord = {
    metrics: scanned.metrics,
    missing: scanned.missing.map((rule) => rule.name),
    notes: scanned.notes,
    ...(usage === undefined ? {} : {
      system: {
        cpuSecondsUser: usage.cpuSecondsUser,
        cpuSecondsSystem: usage.cpuSecondsSystem,
        peakMemoryBytes: usage.peakMemoryBytes,
        samples: usage.samples
      }
    }),
    exitCode: status._tag === "Exited" ? status.exitCode : null,
    signal: status._tag === "Exited" ? status.signal : null,
    timedOut: status._tag === "Exited" && status.timedOut === true,
    errorSummary: summarize(status, errors.stdout, errors.stderr),
    logTail: logTail(tails.stdout, tails.stderr),
    durationMillis: times.startedAt === null || times.endedAt === null ? null : times.endedAt - times.startedAt
  }
  const [first, ...others] = evidence.missing
  if (failed || first === undefined) return evidence
  return yield* new MetricsMissing({
    missing: [first, ...others],
    seen: scanned.seen,
    logTail: evidence.logTail,
    evidence,
    message: missingMessage(job, scanned)
  })
})
