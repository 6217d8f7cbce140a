/**
 * Turning events into the JSON texts that are stored: the one part of an append that the caller's thread has to do.
 *
 * `JSON.stringify` of many events at once costs less than one by one, and so does a row for many; but how long they are is
 * only known afterwards. So the pieces are cut by the length that the events before them had.
 */
import type { Json } from "../Journal.ts"

/** What a chunk aims at, in characters: larger ones make reading a short page costly, and save nothing. */
export const chunkLength = 65_536
/** The most entries of a chunk. */
export const chunkCount = 512

/** The chunks of one append: `bodies[i]` is a JSON array of `counts[i]` events. */
export interface Chunks {
  readonly counts: ReadonlyArray<number>
  readonly bodies: ReadonlyArray<string>
}

/** Cuts the appends of one writer, and learns from each how long its events are. */
export class Cutter {
  private meanLength = 128

  /** Throws what `JSON.stringify` throws. */
  cut(events: ReadonlyArray<Json>): Chunks {
    const counts: Array<number> = []
    const bodies: Array<string> = []
    for (let start = 0; start < events.length;) {
      const fitting = Math.min(chunkCount, Math.floor(chunkLength / this.meanLength))
      const count = Math.min(events.length - start, Math.max(1, fitting))
      const body = JSON.stringify(count === events.length ? events : events.slice(start, start + count))
      this.meanLength = body.length / count
      // Much longer than expected: once more with what is known now, which is less than half as many.
      if (body.length > 2 * chunkLength && count > 1) continue
      counts.push(count)
      bodies.push(body)
      start += count
    }
    return { counts, bodies }
  }
}
