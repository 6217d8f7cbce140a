/**
 * From an ended job's outputs to its evidence: reads them once, as streams, in bounded memory. Where the outputs
 * come from is the layer's business.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type EvidenceRecord, type MetricRule, MetricsMissing } from "../Evidence.ts"
import {
  durations,
  hasSucceeded,
  type JobHandle,
  type JobUsage,
  type LogStream,
  type TerminalStatus
} from "../Execution.ts"
import type { FoundFiles } from "../internal/evidenceFiles.ts"
import type { FileSource } from "../internal/metricRules.ts"
import { ErrorScan, summarize } from "./ErrorSummary.ts"
import { LineSplitter, logTail, Tail } from "./LogText.ts"
import { type CompiledRules, MetricScan, type Scanned } from "./MetricScan.ts"

/** A file is chosen to be read: its lines may be long. */
const fileLineBytes = 2 ** 20

/** How much of a job's output is kept, and how much of its files is read. */
export interface Limits {
  /** Of the end of each output, in bytes. Default 4096. */
  readonly tailBytes?: number
  /** Of the end of each output, in lines. Default 100. */
  readonly tailLines?: number
  /** Of each line, in bytes: what is beyond is not searched, and a note says so. Default 16384; in files 1 MiB, if that is more. */
  readonly lineBytes?: number
  /** How many files a rule may read. When more match, none is read, and a note says so. Default 100. */
  readonly files?: number
  /** How long a file may be that a rule reads, in bytes. When one is longer, none is read. Default 1 GiB. */
  readonly fileBytes?: number
}

/** What a layer knows of a job. */
export interface Sources<E> {
  readonly rules: CompiledRules
  readonly limits: Limits
  /** The bytes of an output that is complete. */
  readonly output: (stream: LogStream) => Stream.Stream<Uint8Array, E>
  /** The files of the job that a rule reads. `metric` is the first one that does, for messages. */
  readonly files: (
    source: FileSource,
    limits: { readonly files: number; readonly bytes: number },
    metric: string
  ) => Effect.Effect<FoundFiles<E>, E>
  /** Why an output is not there though the job made something of its name, where the layer can tell: for a note. */
  readonly notRead?: (stream: LogStream) => Effect.Effect<string | undefined, E>
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
    case "Csv":
      return typeof rule.column === "string"
        ? `a row with a number under a header ${JSON.stringify(rule.column)}`
        : `a row with a number in column ${rule.column}, counted from 0`
  }
}

const streamName: Record<LogStream, string> = {
  stdout: "its standard output",
  stderr: "its standard error",
  metrics: "$ESPALIER_JOB_DIR/metrics.jsonl"
}

const placeOf = (rule: MetricRule): string =>
  rule.files === undefined
    ? `on ${streamName[rule.stream ?? "stdout"]}`
    : `in ${rule.files} of ${rule.within === "job" ? "$ESPALIER_JOB_DIR" : "its working tree"}`

const missingMessage = (job: JobHandle, scanned: Scanned): string => {
  const one = scanned.missing.length === 1
  const lacks = scanned.missing.map((rule) => `${rule.name} (${wanted(rule)} ${placeOf(rule)})`)
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

/** Reads bytes as lines, and gives them on in batches. */
const readLines = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  limit: number,
  take: (lines: ReturnType<LineSplitter["end"]>) => void
): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const splitter = new LineSplitter(limit)
    return Effect.map(
      Stream.runForEach(bytes, (chunk) => Effect.sync(() => take(splitter.push(chunk)))),
      () => take(splitter.end())
    )
  })

/** Reads the files that rules name. What could not be read is noted with each of their metrics. */
const readFiles = Effect.fnUntraced(function*<E>(
  scan: MetricScan,
  { files, limits, rules }: Pick<Sources<E>, "files" | "limits" | "rules">
): Effect.fn.Return<void, E> {
  const sources = new Map(rules.rules.flatMap(({ files, source }) => files === undefined ? [] : [[source, files]]))
  for (const [source, wanted] of sources) {
    const readers = rules.rules.filter((one) => one.source === source).map(({ rule }) => rule)
    const limit = { files: limits.files ?? 100, bytes: limits.fileBytes ?? 2 ** 30 }
    const found = yield* files(wanted, limit, readers[0]!.name)
    for (const { name, required } of readers) {
      for (const message of found.refused) scan.note(name, message)
      if (found.files.length + found.refused.length === 0 && required !== false) {
        scan.note(name, `no file matches ${wanted.text}`)
      }
    }
    for (const file of found.files) {
      scan.start(source)
      yield* readLines(
        file.bytes,
        Math.max(fileLineBytes, limits.lineBytes ?? 0),
        (lines) => scan.lines(source, lines)
      )
      scan.end(source)
    }
  }
})

/** What the job used, without the series over time: that is for a view of the job, not for its record. */
const systemOf = (usage: JobUsage): NonNullable<EvidenceRecord["system"]> => ({
  cpuSecondsUser: usage.cpuSecondsUser,
  cpuSecondsSystem: usage.cpuSecondsSystem,
  peakMemoryBytes: usage.peakMemoryBytes,
  samples: usage.samples,
  ...(usage.io === undefined ? {} : { io: usage.io }),
  ...(usage.gpus === undefined ? {} : { gpus: usage.gpus })
})

/** Collects the evidence of an ended job. */
export const collect = Effect.fnUntraced(function*<E>(
  job: JobHandle,
  status: TerminalStatus,
  sources: Sources<E>
): Effect.fn.Return<EvidenceRecord, E | MetricsMissing> {
  const { limits, output, rules, usage } = sources
  const scan = new MetricScan(rules)
  const errors = { stdout: new ErrorScan(), stderr: new ErrorScan() }
  const tail = (): Tail => new Tail(limits.tailBytes ?? 4096, limits.tailLines ?? 100)
  const tails = { stdout: tail(), stderr: tail() }
  const failed = !hasSucceeded(status)
  for (const stream of ["stdout", "stderr", "metrics"] as const) {
    const bytes = stream === "metrics"
      ? output(stream)
      : Stream.tap(output(stream), (chunk) => Effect.sync(() => tails[stream].push(chunk)))
    yield* readLines(bytes, limits.lineBytes ?? 16_384, (lines) => {
      scan.lines(stream, lines)
      if (failed && stream !== "metrics") { for (const { text } of lines) errors[stream].line(text) }
    })
  }
  for (const { files, rule } of rules.rules) {
    const reason = files === undefined
      ? yield* sources.notRead?.(rule.stream ?? "stdout") ?? Effect.succeed(undefined)
      : undefined
    if (reason !== undefined) scan.note(rule.name, reason)
  }
  yield* readFiles(scan, sources)
  const scanned = scan.result()
  const evidence: EvidenceRecord = {
    metrics: scanned.metrics,
    samples: scanned.samples,
    missing: scanned.missing.map((rule) => rule.name),
    notes: scanned.notes,
    ...(usage === undefined ? {} : { system: systemOf(usage) }),
    exitCode: status._tag === "Exited" ? status.exitCode : null,
    signal: status._tag === "Exited" ? status.signal : null,
    timedOut: status._tag === "Exited" && status.timedOut === true,
    outOfMemory: status._tag === "Exited" && status.outOfMemory === true,
    errorSummary: summarize(status, errors.stdout, errors.stderr),
    logTail: logTail(tails.stdout, tails.stderr),
    durationMillis: durations(status).ranMillis
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
