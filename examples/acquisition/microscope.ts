/**
 * The instrument: a stage that goes to a position, a camera that exposes, a light that pulses. A service of its own, so that a
 * real one can take the place of the simulated.
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"

/** Where the stage can go. */
export const Position = Schema.Literals(["A", "B"])
export type Position = typeof Position.Type

/** What the camera saw: the position, and how bright it was (arbitrary units). */
export const Frame = Schema.Struct({ position: Position, brightness: Schema.Int })
export type Frame = typeof Frame.Type

/** Whoever moves the stage or uses what is above it must have the stage to himself: a second one is a defect here. */
export class Microscope extends Context.Service<Microscope, {
  readonly moveTo: (position: Position) => Effect.Effect<void>
  readonly expose: (millis: number) => Effect.Effect<Frame>
  readonly pulse: (millis: number) => Effect.Effect<void>
}>()("acquisition/Microscope") {}

/** What can be seen of the simulated instrument from outside. */
export interface Bench {
  position: Position
  /** What the stage is doing, while it is doing something. */
  busy: string | undefined
  isLightOn: boolean
  readonly pulses: Record<Position, number>
}

export const makeBench = (): Bench => ({ position: "A", busy: undefined, isLightOn: false, pulses: { A: 0, B: 0 } })

/** How long the stage takes from one position to the other. */
export const travelMillis = 60

/** The sample glows after a pulse, and half as much each second later. */
const glow = (sincePulseMillis: number): number => 0.5 ** (sincePulseMillis / 1_000)

/** An instrument in memory that takes the time a real one would. */
export const layerSimulated = (bench: Bench = makeBench()): Layer.Layer<Microscope> => {
  const lastPulse: Record<Position, number> = { A: -Infinity, B: -Infinity }

  /** Whatever interrupts it, the instrument is left at rest. */
  const alone = <A>(what: string, effect: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        if (bench.busy !== undefined) throw new Error(`the stage cannot ${what} while it does ${bench.busy}`)
        bench.busy = what
      }),
      () => effect,
      () => Effect.sync(() => (bench.busy = undefined))
    )

  const lit = (millis: number): Effect.Effect<void> =>
    Effect.acquireUseRelease(
      Effect.sync(() => (bench.isLightOn = true)),
      () => Effect.sleep(millis),
      () => Effect.sync(() => (bench.isLightOn = false))
    )

  return Layer.succeed(Microscope, {
    moveTo: (position) =>
      alone(
        `move to ${position}`,
        Effect.andThen(
          Effect.sleep(bench.position === position ? 0 : travelMillis),
          Effect.sync(() => (bench.position = position))
        )
      ),
    expose: (millis) =>
      alone(
        `expose at ${bench.position}`,
        Effect.gen(function*() {
          const { position } = bench
          yield* lit(millis)
          const now = yield* Clock.currentTimeMillis
          return { position, brightness: Math.round(millis * (1 + 9 * glow(now - lastPulse[position]))) }
        })
      ),
    pulse: (millis) =>
      alone(
        `pulse at ${bench.position}`,
        Effect.gen(function*() {
          yield* lit(millis)
          lastPulse[bench.position] = yield* Clock.currentTimeMillis
          bench.pulses[bench.position] += 1
        })
      )
  })
}
