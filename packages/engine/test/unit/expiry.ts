/**
 * What the tests of deadlines and times to live share.
 */
import { type Outcome, WorkEngine, WorkKind } from "@espalier/engine"
import { DateTime, Effect, Schedule, Schema } from "effect"
import { Boom, engineOf, mortalJournal, Stage } from "./laboratory.ts"

export const at = DateTime.makeUnsafe

export const expired = (by: "deadline" | "timeToLive", when: number): Outcome.Outcome => ({
  _tag: "Skipped",
  cause: { _tag: "Expired", by, at: when }
})

export class Shaky extends WorkKind.make("Shaky", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Boom,
  retry: Schedule.spaced("10 seconds"),
  timeToLive: "30 seconds"
}) {}

export class Shakes extends WorkEngine.Service<Shakes>()("test/unit/Shakes", { kinds: [Shaky] }) {}

export const shakes = Effect.gen(function*() {
  const { layer, state } = yield* mortalJournal
  const stage = new Stage()
  return { engine: yield* engineOf(Shakes, Shaky.toLayer(stage.handler), layer), stage, state }
})
