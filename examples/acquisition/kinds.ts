/**
 * The two kinds of events: who submits them needs no more than this.
 */
import { WorkKind } from "@espalier/engine"
import { Schema } from "effect"
import { Frame, Position } from "./microscope.ts"

const place = { position: Position, round: Schema.Int }

/** Where an event happens and in which round: what the payloads of both kinds have in common. */
export const Place = Schema.Struct(place)

/** Takes a frame. It may be taken again after a crash: one image too many harms nobody. */
export class Image extends WorkKind.make("Image", {
  payload: { ...place, exposureMillis: Schema.Int },
  success: Frame,
  slots: { stage: 1 },
  priority: 0
}) {}

/** The process ended between the decision to pulse and the record of it: nobody knows whether the sample got its light. */
export class PulseInDoubt extends Schema.TaggedError<PulseInDoubt>()("PulseInDoubt", { message: Schema.String }) {}

/** Stimulates the sample with light: at most once, whatever crashes. */
export class Stimulate extends WorkKind.make("Stimulate", {
  payload: { ...place, pulseMillis: Schema.Int },
  error: PulseInDoubt,
  slots: { stage: 1 },
  priority: 10
}) {}
