/**
 * A timed plan as data: every round images both positions; every fourth one stimulates them as well.
 */
import type { WorkSpec } from "@espalier/engine"
import { Image, type Place, Stimulate } from "./kinds.ts"

const positions = ["A", "B"] as const
const stimulateEvery = 4

/** What is added as a spec is taken as it stands: the policies of its kind (stage, priority) are written into it here. */
const event = <K extends typeof Image | typeof Stimulate>(
  kind: K,
  notBefore: number,
  payload: K["payload"]["Encoded"] & typeof Place.Encoded
): WorkSpec.WorkSpec => ({
  id: `${kind.kind.toLowerCase()}/${payload.position}/${String(payload.round).padStart(2, "0")}`,
  kind: kind.kind,
  priority: kind.policies.priority ?? 0,
  slots: kind.policies.slots ?? {},
  notBefore,
  payload
})

/**
 * The events of some rounds, as works of a run.
 *
 * @param options.startsAt when the first of these rounds is due, in milliseconds since the epoch
 * @param options.firstRound its number: ids are made of it, so each round of a run has its own
 */
export const plan = (options: {
  readonly startsAt: number
  readonly firstRound: number
  readonly rounds: number
  readonly periodMillis: number
}): ReadonlyArray<WorkSpec.WorkSpec> =>
  Array.from({ length: options.rounds }, (_, index) => {
    const round = options.firstRound + index
    const at = options.startsAt + index * options.periodMillis
    return [
      ...positions.map((position) => event(Image, at, { position, round, exposureMillis: 40 })),
      ...(round % stimulateEvery > 0
        ? []
        : positions.map((position) => event(Stimulate, at, { position, round, pulseMillis: 30 })))
    ]
  }).flat()
