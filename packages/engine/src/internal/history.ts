import { Effect, Result } from "effect"
import type { Journal, JournalError, RunNotFound } from "../Journal.ts"
import * as RunEvent from "../RunEvent.ts"
import { RunQuarantined } from "../RunError.ts"

const pageSize = 10_000

/** Reads and decodes the events with `after < seq <= upTo`. What cannot be read quarantines the run. */
export const readEvents = Effect.fnUntraced(function*(
  journal: Journal["Service"],
  runId: string,
  after: number,
  upTo: number
): Effect.fn.Return<ReadonlyArray<RunEvent.Sequenced>, JournalError | RunNotFound | RunQuarantined> {
  const events: Array<RunEvent.Sequenced> = []
  let last = after
  while (last < upTo) {
    const page = yield* journal.read(runId, { after: last, limit: Math.min(pageSize, upTo - last) })
    if (page.length === 0) break
    for (const entry of page) {
      const decoded = RunEvent.decode(entry.body)
      if (Result.isFailure(decoded)) {
        return yield* new RunQuarantined({
          runId,
          seq: entry.seq,
          message: `event ${entry.seq} of run "${runId}" cannot be read by this version: ${decoded.failure.message}. ` +
            "The run is left as it is: open it with the version that wrote it, or a newer one"
        })
      }
      events.push({ seq: entry.seq, event: decoded.success })
    }
    last = page[page.length - 1]!.seq
  }
  return events
})
