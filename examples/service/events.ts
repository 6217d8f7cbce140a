/**
 * The run's events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). The id of each is its
 * number in the journal, so whoever lost the connection goes on where it broke: without a gap, and without a double.
 */
import { type RunEvent, RunState } from "@espalier/engine"
import { type Effect, Stream } from "effect"
import * as Sse from "effect/encoding/Sse"
import type { JobsRun } from "./deployment.ts"

/** Says that somebody is still there, and finds out whether the client is. */
const heartbeat = Stream.map(Stream.tick("15 seconds"), () => ": \n\n")

/**
 * Of events that are no longer kept a client gets what they amount to. What the run itself makes of them is as large as the run;
 * the counts are enough to go on from.
 */
const dataOf = ({ event }: RunEvent.Sequenced): unknown =>
  event._tag === "RunSnapshot"
    ? { _tag: event._tag, at: event.at, counts: RunState.fromSnapshot(event.parts).counts }
    : event

const textOf = (sequenced: RunEvent.Sequenced): string =>
  Sse.encoder.write({
    _tag: "Event",
    id: String(sequenced.seq),
    event: sequenced.event._tag,
    data: JSON.stringify(dataOf(sequenced))
  })

/** All events after a number, then those to come, until the run is at rest or the service stops. */
export const eventStream = (run: JobsRun, after: number, stopping: Effect.Effect<void>) =>
  run.events({ after }).pipe(
    Stream.map(textOf),
    Stream.merge(heartbeat, { haltStrategy: "left" }),
    Stream.interruptWhen(stopping),
    Stream.encodeText
  )
