/**
 * What the handler of a work does, and how each of its attempts ends: it follows from the seed and the work's name, so it is the
 * same however often it is begun.
 */
import type { ChildSpec, Claims, WorkSpec } from "../WorkSpec.ts"
import { numberOf, Random } from "./simulatorRandom.ts"
import { childOf, claimsOf } from "./simulatorSpecs.ts"
import { type Theme, themeOf } from "./simulatorThemes.ts"

export type Operation =
  /** Something that is done to the world once, and then recorded; perhaps with claims of its own. */
  | {
    readonly _tag: "Step"
    readonly name: string
    readonly slots?: Claims
    readonly children: ReadonlyArray<ChildSpec>
  }
  | { readonly _tag: "Cursor"; readonly name: string; readonly to: number; readonly children: ReadonlyArray<ChildSpec> }
  | { readonly _tag: "Hold"; readonly name: string; readonly claims: Claims; readonly until?: string }
  | { readonly _tag: "Release"; readonly name: string }
  | { readonly _tag: "Spawn"; readonly child: ChildSpec }
  | { readonly _tag: "Sleep"; readonly millis: number }

/** How an attempt ends if nothing comes between. */
export type Ending =
  | { readonly _tag: "Succeed" }
  | { readonly _tag: "Fail"; readonly retryIn: number | undefined; readonly from: string | undefined }
  | { readonly _tag: "Block" }
  /** It goes on until it is stopped, or runs out of time. */
  | { readonly _tag: "Hang" }

export interface Temper {
  readonly ending: Ending
  /** Does not end when it is interrupted: it is given up. */
  readonly isStubborn: boolean
  /** So many turns its finalizers take when it is interrupted. */
  readonly finalizerTurns: number
  /** Given up, it keeps its slots. */
  readonly keepsSlots: boolean
  /** Does not say that it was interrupted, but how it came out. */
  readonly isQuick: boolean
}

export const scriptOf = (seed: number, spec: WorkSpec): ReadonlyArray<Operation> => {
  const random = new Random(seed, 3, numberOf(spec.id))
  const isCrowded = themeOf(seed) === "slots"
  // The children of children spawn nothing: a run has to come to its end.
  const maySpawn = !spec.id.includes(".")
  const children = (name: string): ReadonlyArray<ChildSpec> =>
    maySpawn && random.chance(12) ? [childOf(random, spec, name)] : []
  const names = ["a", "b", "c"]
  const operations: Array<Operation> = []
  const count = random.between(0, 4)
  for (let index = 0; index < count; index++) {
    const name = names[index % 3]!
    operations.push(
      random.weighted<() => Operation>([
        [index < 3 ? 8 : 0, () => ({ _tag: "Step", name, children: children(name) })],
        [index < 3 ? (isCrowded ? 6 : 2) : 0, () => ({ _tag: "Step", name, slots: claimsOf(random), children: [] })],
        [
          index === 0 ? 3 : 0,
          () => ({ _tag: "Cursor", name: "at", to: random.between(1, 3), children: children("at") })
        ],
        [
          isCrowded ? 6 : 2,
          () => ({
            _tag: "Hold",
            name: random.pick(["h", "i"]),
            claims: claimsOf(random),
            ...(random.chance(50) ? { until: random.pick(names) } : {})
          })
        ],
        [2, () => ({ _tag: "Release", name: random.pick(["h", "i"]) })],
        [maySpawn ? 2 : 0, () => ({ _tag: "Spawn", child: childOf(random, spec, `s${index}`) })],
        [2, () => ({ _tag: "Sleep", millis: random.between(1, 60) })]
      ])()
    )
  }
  return operations
}

const endingOf = (random: Random, theme: Theme): Ending =>
  random.weighted<Ending>([
    [12, { _tag: "Succeed" }],
    [theme === "failing fast" ? 6 : 4, { _tag: "Fail", retryIn: undefined, from: undefined }],
    [4, { _tag: "Fail", retryIn: random.below(120), from: undefined }],
    [2, { _tag: "Fail", retryIn: random.below(60), from: random.pick(["a", "b", "at"]) }],
    [theme === "stuck" ? 4 : 1.5, { _tag: "Block" }],
    [theme === "stuck" ? 14 : theme === "cancels" || theme === "pauses" ? 8 : 3, { _tag: "Hang" }]
  ])

/** The temper of one start of a work. */
export const temperOf = (seed: number, spec: WorkSpec, start: number): Temper => {
  const random = new Random(seed, 4, numberOf(spec.id), start)
  const theme = themeOf(seed)
  return {
    ending: endingOf(random, theme),
    isStubborn: random.chance(theme === "stuck" ? 55 : 8),
    finalizerTurns: random.pick([0, 0, 1, 2]),
    keepsSlots: random.chance(50),
    isQuick: random.chance(25)
  }
}
