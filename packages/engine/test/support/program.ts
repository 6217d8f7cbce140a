/**
 * Random programs: what users, handlers, clocks and crashes do to a run, in a form that does not know the run. A
 * program is a list of batches; after each the run is scheduled, as the runner does after each commit. Works are named by number,
 * and resolved when the program runs, so that a program that is made smaller still makes sense.
 */
import fc from "fast-check"
import type { KindConfig, RunConfig } from "../../src/RunEvent.ts"
import type { Claims, SpawnOn } from "../../src/WorkSpec.ts"

export interface SpecSketch {
  readonly kind: string
  readonly priority: number
  readonly slots: Claims | undefined
  readonly dedupe: string | undefined
  /** Takes an id that was given out before, if there is one. */
  readonly reuse: number | undefined
}

export interface ChildSketch extends SpecSketch {
  readonly on: SpawnOn
}

export type Message =
  | { readonly _tag: "RecordStep"; readonly step: string; readonly children: ReadonlyArray<ChildSketch> }
  | {
    readonly _tag: "RequestSlots"
    readonly hold: string
    readonly claims: Claims
    readonly until: string | undefined
    readonly step: string | undefined
  }
  | { readonly _tag: "ReleaseSlots"; readonly hold: string }
  | { readonly _tag: "Succeed"; readonly children: ReadonlyArray<ChildSketch> }
  | { readonly _tag: "Fail"; readonly retryIn: number | undefined; readonly children: ReadonlyArray<ChildSketch> }
  | { readonly _tag: "Interrupted"; readonly livedMillis: number }
  | { readonly _tag: "Block" }
  | { readonly _tag: "Cleaned" }

export type Action =
  | { readonly _tag: "Add"; readonly specs: ReadonlyArray<SpecSketch> }
  | {
    readonly _tag: "Handler"
    readonly pick: number
    readonly message: Message
    /** `obeys`: from a live handler; the others break the protocol: any work, a wrong attempt, an unknown id. */
    readonly manner: "obeys" | "any work" | "another attempt" | "unknown work"
  }
  | { readonly _tag: "CancelWork"; readonly pick: number }
  | { readonly _tag: "Run"; readonly command: "Pause" | "Continue" | "Suspend" | "Cancel" | "Close" }
  | { readonly _tag: "Start"; readonly config: RunConfig; readonly specs: ReadonlyArray<SpecSketch> }
  | { readonly _tag: "Tick"; readonly millis: number }
  /** The process dies before the last `lose` events are durable; another opens the run. */
  | { readonly _tag: "Crash"; readonly lose: number; readonly config: RunConfig }

export interface Program {
  readonly config: RunConfig
  readonly specs: ReadonlyArray<SpecSketch>
  readonly batches: ReadonlyArray<ReadonlyArray<Action>>
}

/** A value so many times in a hundred. */
const maybe = <A>(percent: number, arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> =>
  fc.oneof({ weight: 100 - percent, arbitrary: fc.constant(undefined) }, { weight: percent, arbitrary })

const claims: fc.Arbitrary<Claims> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Claims>({ gpu: 1 }) },
  { weight: 1, arbitrary: fc.constant<Claims>({ gpu: 2 }) },
  { weight: 2, arbitrary: fc.constant<Claims>({ disk: 1 }) },
  { weight: 1, arbitrary: fc.constant<Claims>({ disk: 2, gpu: 1 }) },
  { weight: 1, arbitrary: fc.constant<Claims>({ gpu: 1, disk: 2 }) }
)

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant("Plain") },
  { weight: 3, arbitrary: fc.constant("Undo") },
  { weight: 2, arbitrary: fc.constant("Single") },
  { weight: 1, arbitrary: fc.constant("Pair") }
)

const sketchFields = {
  kind,
  priority: fc.constantFrom(0, 0, 0, -1, 1, 0.5),
  slots: maybe(40, claims),
  dedupe: maybe(20, fc.constantFrom("k", "l"))
}

const spec: fc.Arbitrary<SpecSketch> = fc.record({ ...sketchFields, reuse: maybe(2, fc.nat(50)) })

const child: fc.Arbitrary<ChildSketch> = fc.record({
  ...sketchFields,
  reuse: maybe(15, fc.nat(50)),
  on: fc.constantFrom<SpawnOn>("success", "failure", "always")
})

const children = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(child, { minLength: 1, maxLength: 3 }) }
)

const step = fc.constantFrom("one", "two", "three")

const hold = fc.constantFrom("h", "i")

const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("RecordStep"), step, children }) },
  {
    weight: 14,
    arbitrary: fc.record({
      _tag: fc.constant("RequestSlots"),
      hold,
      claims,
      until: maybe(30, step),
      step: maybe(30, step)
    })
  },
  { weight: 7, arbitrary: fc.record({ _tag: fc.constant("ReleaseSlots"), hold }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Succeed"), children }) },
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Fail"), retryIn: maybe(70, fc.nat(2_000)), children }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Interrupted"), livedMillis: fc.nat(500) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Block") }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Cleaned") }) }
)

const limited = (limit: number | undefined, onCancel: boolean): KindConfig => ({
  onCancel,
  ...(limit === undefined ? {} : { limit })
})

/** What the runs are opened with: mostly all kinds and room, now and then a lost kind, a lost pool, a smaller one. */
const config: fc.Arbitrary<RunConfig> = fc.record({
  concurrency: fc.integer({ min: 1, max: 5 }),
  gpu: fc.constantFrom(1, 1, 2, 2, 3, 0),
  disk: maybe(90, fc.constantFrom(2, 2, 3, 1)),
  hasPlain: fc.constantFrom(true, true, true, true, false),
  hasUndo: fc.constantFrom(true, true, true, true, true, false),
  undo: fc.constantFrom(true, true, true, true, false),
  singleLimit: fc.constantFrom(1, 1, 1, 2),
  keepOpen: fc.constantFrom(true, true, false)
}).map(({ concurrency, disk, gpu, hasPlain, hasUndo, keepOpen, singleLimit, undo }) => ({
  concurrency,
  pools: { gpu, ...(disk === undefined ? {} : { disk }) },
  kinds: {
    ...(hasPlain ? { Plain: limited(undefined, false) } : {}),
    ...(hasUndo ? { Undo: limited(undefined, undo) } : {}),
    Single: limited(singleLimit, false),
    Pair: limited(2, true)
  },
  keepOpen
}))

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({ _tag: fc.constant("Add"), specs: fc.array(spec, { minLength: 1, maxLength: 4 }) })
  },
  {
    weight: 75,
    arbitrary: fc.record({
      _tag: fc.constant("Handler"),
      pick: fc.nat(1_000),
      message,
      manner: fc.oneof(
        { weight: 85, arbitrary: fc.constant("obeys") },
        { weight: 8, arbitrary: fc.constant("any work") },
        { weight: 5, arbitrary: fc.constant("another attempt") },
        { weight: 2, arbitrary: fc.constant("unknown work") }
      )
    })
  },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("CancelWork"), pick: fc.nat(1_000) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      _tag: fc.constant("Run"),
      command: fc.oneof(
        { weight: 6, arbitrary: fc.constant("Pause") },
        { weight: 10, arbitrary: fc.constant("Continue") },
        { weight: 3, arbitrary: fc.constant("Suspend") },
        { weight: 1, arbitrary: fc.constant("Cancel") },
        { weight: 3, arbitrary: fc.constant("Close") }
      )
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Start"),
      config,
      specs: fc.array(spec, { maxLength: 1 })
    })
  },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("Tick"), millis: fc.nat(2_000) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("Crash"),
      lose: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) }),
      config
    })
  }
) as fc.Arbitrary<Action>

/** Any program of up to so many batches. */
export const program = (maxBatches = 40): fc.Arbitrary<Program> =>
  fc.record({
    config: config.map((it) => ({ ...it, pools: { disk: 2, ...it.pools } })),
    specs: fc.array(fc.record({ ...sketchFields, reuse: fc.constant(undefined) }), { maxLength: 6 }),
    batches: fc.array(fc.array(action, { minLength: 1, maxLength: 3, size: "max" }), {
      minLength: 5,
      maxLength: maxBatches,
      size: "max"
    })
  })
