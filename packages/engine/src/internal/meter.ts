/**
 * Effect metrics of a run, brought up to date once a turn. Each carries the attribute `run`.
 */
import { type Context, Metric } from "effect"
import type { RunEvent } from "../RunEvent.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const counters: { readonly [tag in RunEvent["_tag"]]?: Metric.Counter<number> } = {
  WorkAdded: counter("espalier_works_added", "works added from outside; children are not counted"),
  WorkStarted: counter("espalier_works_started", "starts of works, retries and resumed ones included"),
  WorkSucceeded: counter("espalier_works_succeeded", "works that succeeded"),
  WorkFailed: counter("espalier_works_failed", "works that failed for good"),
  WorkSkipped: counter("espalier_works_skipped", "works that were skipped"),
  WorkCancelled: counter("espalier_works_cancelled", "works that were cancelled"),
  WorkRetryScheduled: counter("espalier_retries", "failed attempts that are tried again"),
  StepRecorded: counter("espalier_steps_recorded", "steps and cursors recorded"),
  WorkStuck: counter("espalier_handlers_stuck", "handlers that were given up")
}

export class Meter {
  private readonly context: Context.Context<never>
  private readonly metrics = new Map<string, Metric.Metric<number, unknown>>()
  private readonly counts = new Map<string, number>()

  constructor(runId: string, context: Context.Context<never>) {
    this.context = context
    for (const [tag, metric] of Object.entries(counters)) {
      this.metrics.set(tag, Metric.withAttributes(metric, { run: runId }))
    }
  }

  record(events: ReadonlyArray<RunEvent>): void {
    const { counts } = this
    // Events of a turn come in long rows of one sort.
    for (let from = 0, to = 0; from < events.length; from = to) {
      const { _tag } = events[from]!
      while (to < events.length && events[to]!._tag === _tag) to += 1
      counts.set(_tag, (counts.get(_tag) ?? 0) + to - from)
    }
    for (const [tag, count] of counts) this.metrics.get(tag)?.updateUnsafe(count, this.context)
    counts.clear()
  }
}
