/**
 * Random programs: what users, handlers, clocks and crashes do to a run, in a form that does not know the run. A
 * program is a list of batches; after each the run is scheduled, as the runner does after each commit. Works are named by number,
 * and resolved when the program runs, so that a program that is made smaller still makes sense.
 */
import fc from "fast-check"
import type { KindConfig, Limits, PauseScope, RunConfig } from "../../src/RunEvent.ts"
import type { Claims, OnCollision, OnDependencyFailure, SpawnOn } from "../../src/WorkSpec.ts"

export interface SpecSketch {
  readonly kind: string
  readonly priority: number
  readonly slots: Claims | undefined
  readonly key: string | undefined
  readonly dedupe: string | undefined
  readonly onCollision: OnCollision | undefined
  readonly notBeforeIn: number | undefined
  readonly deadlineIn: number | undefined
  readonly timeToLiveMillis: number | undefined
  /** Works that it comes after: earlier ones of the run, or others of its batch, or one that is not there. */
  readonly after: ReadonlyArray<{ readonly of: "run" | "batch" | "nobody"; readonly pick: number }>
  readonly onDependencyFailure: OnDependencyFailure | undefined
  /** Takes an id that was given out before, if there is one. */
  readonly reuse: number | undefined
}

export interface ChildSketch extends SpecSketch {
  readonly on: SpawnOn
}

export type EndSketch =
  | { readonly _tag: "Succeed"; readonly children: ReadonlyArray<ChildSketch> }
  | {
    readonly _tag: "Fail"
    readonly retryIn: number | undefined
    readonly from: string | undefined
    readonly children: ReadonlyArray<ChildSketch>
  }
  | { readonly _tag: "Interrupted"; readonly livedMillis: number }
  | { readonly _tag: "Block" }

export type Message =
  | {
    readonly _tag: "RecordStep"
    readonly step: string
    readonly cursor: boolean
    readonly children: ReadonlyArray<ChildSketch>
  }
  | {
    readonly _tag: "RequestSlots"
    readonly hold: string
    readonly claims: Claims
    readonly until: string | undefined
    readonly step: string | undefined
  }
  | { readonly _tag: "ReleaseSlots"; readonly hold: string }
  | EndSketch
  | { readonly _tag: "Stuck"; readonly keepsSlots: boolean; readonly end: EndSketch }
  | { readonly _tag: "Unstuck"; readonly pick: number }
  | { readonly _tag: "Cleaned" }

export type ControlSketch =
  | { readonly _tag: "CancelWork" }
  | { readonly _tag: "PauseWork" }
  | { readonly _tag: "ContinueWork" }
  | { readonly _tag: "RetryWork"; readonly from: string | undefined }
  | { readonly _tag: "Reprioritize"; readonly priority: number }

export interface FilterSketch {
  readonly ids: ReadonlyArray<number> | undefined
  readonly kind: string | undefined
  readonly key: string | undefined
  readonly isChildOf: number | undefined
  readonly state: ReadonlyArray<"queued" | "waiting" | "running" | "failed" | "skipped" | "cancelled"> | undefined
}

export type Action =
  | { readonly _tag: "Add"; readonly specs: ReadonlyArray<SpecSketch> }
  | {
    readonly _tag: "Handler"
    readonly pick: number
    readonly message: Message
    /** `obeys`: from a live handler; the others break the protocol: any work, a wrong start, an unknown id. */
    readonly manner: "obeys" | "any work" | "another start" | "unknown work"
  }
  | { readonly _tag: "Control"; readonly pick: number; readonly control: ControlSketch }
  | { readonly _tag: "Each"; readonly filter: FilterSketch; readonly control: ControlSketch }
  | { readonly _tag: "Run"; readonly command: "Pause" | "Continue" | "Suspend" | "Cancel" | "Close" }
  | { readonly _tag: "Limits"; readonly limits: Limits }
  | { readonly _tag: "Scope"; readonly command: "PauseScope" | "ContinueScope"; readonly scope: PauseScope }
  | { readonly _tag: "Start"; readonly config: RunConfig; readonly specs: ReadonlyArray<SpecSketch> }
  | { readonly _tag: "Tick"; readonly millis: number }
  /** The process dies before the last `lose` answers are durable; another opens the run. */
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
  { weight: 8, arbitrary: fc.constant<Claims>({ gpu: 1 }) },
  { weight: 3, arbitrary: fc.constant<Claims>({ gpu: 2 }) },
  { weight: 4, arbitrary: fc.constant<Claims>({ disk: 1 }) },
  { weight: 2, arbitrary: fc.constant<Claims>({ disk: 2, gpu: 1 }) },
  { weight: 2, arbitrary: fc.constant<Claims>({ gpu: 1, disk: 2 }) },
  { weight: 1, arbitrary: fc.constant<Claims>({ tape: 1 }) }
)

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant("Plain") },
  { weight: 3, arbitrary: fc.constant("Undo") },
  { weight: 2, arbitrary: fc.constant("Single") },
  { weight: 1, arbitrary: fc.constant("Pair") }
)

const key = fc.constantFrom("red", "blue")

const sketchFields = {
  kind,
  priority: fc.constantFrom(0, 0, 0, -1, 1, 0.5),
  slots: maybe(40, claims),
  key: maybe(40, key),
  dedupe: maybe(35, fc.constantFrom("k", "k", "k", "l")),
  onCollision: maybe(60, fc.constantFrom<OnCollision>("keep", "replace", "replace", "reject")),
  notBeforeIn: maybe(15, fc.integer({ min: -100, max: 1_500 })),
  deadlineIn: maybe(10, fc.integer({ min: -100, max: 4_000 })),
  timeToLiveMillis: maybe(10, fc.integer({ min: 1, max: 1_500 })),
  onDependencyFailure: maybe(30, fc.constantFrom<OnDependencyFailure>("run", "run", "skip"))
}

const dependency = fc.record({
  of: fc.oneof(
    { weight: 12, arbitrary: fc.constant<"run">("run") },
    { weight: 3, arbitrary: fc.constant<"batch">("batch") },
    { weight: 1, arbitrary: fc.constant<"nobody">("nobody") }
  ),
  pick: fc.nat(1_000)
})

const after = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(dependency, { minLength: 1, maxLength: 3 }) }
)

const spec: fc.Arbitrary<SpecSketch> = fc.record({ ...sketchFields, after, reuse: maybe(2, fc.nat(50)) })

const child: fc.Arbitrary<ChildSketch> = fc.record({
  ...sketchFields,
  after,
  reuse: maybe(15, fc.nat(50)),
  on: fc.constantFrom<SpawnOn>("success", "failure", "always")
})

const children = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(child, { minLength: 1, maxLength: 3 }) }
)

const step = fc.constantFrom("one", "two", "three")

const hold = fc.constantFrom("h", "i")

const fail = fc.record({
  _tag: fc.constant("Fail"),
  retryIn: maybe(70, fc.nat(2_000)),
  from: maybe(25, step),
  children
})

const interrupted = fc.record({ _tag: fc.constant("Interrupted"), livedMillis: fc.nat(500) })

const endOfStuck = fc.oneof(
  { weight: 3, arbitrary: fail },
  { weight: 2, arbitrary: interrupted }
) as fc.Arbitrary<EndSketch>

const message = fc.oneof(
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("RecordStep"), step, cursor: fc.constant(false), children }) },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("RecordStep"),
      step: fc.constant("at"),
      cursor: fc.constant(true),
      children
    })
  },
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
  { weight: 5, arbitrary: fail },
  { weight: 3, arbitrary: interrupted },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Block") }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Cleaned") }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Stuck"), keepsSlots: fc.boolean(), end: endOfStuck }) },
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Unstuck"), pick: fc.nat(10) }) }
) as fc.Arbitrary<Message>

const limited = (limit: number | undefined, onCancel: boolean): KindConfig => ({
  onCancel,
  ...(limit === undefined ? {} : { limit })
})

const given = <Name extends string, A>(name: Name, value: A | undefined): { readonly [_ in Name]?: A } =>
  value === undefined ? {} : { [name]: value } as { readonly [_ in Name]: A }

/** What the runs are opened with: mostly all kinds and room, now and then a lost kind, a lost pool, a smaller one. */
const config: fc.Arbitrary<RunConfig> = fc.record({
  concurrency: fc.integer({ min: 1, max: 5 }),
  gpu: fc.constantFrom(1, 1, 2, 2, 3, 0),
  disk: maybe(90, fc.constantFrom(2, 2, 3, 1)),
  hasPlain: fc.constantFrom(true, true, true, true, false),
  hasUndo: fc.constantFrom(true, true, true, true, true, false),
  undo: fc.constantFrom(true, true, true, true, false),
  singleLimit: fc.constantFrom(1, 1, 1, 2),
  keepOpen: fc.constantFrom(true, true, false),
  keyLimit: maybe(20, fc.integer({ min: 1, max: 2 })),
  keyLimits: maybe(20, fc.record({ red: fc.nat(2) })),
  failFast: maybe(5, fc.constant(true)),
  maxCrashes: maybe(60, fc.integer({ min: 1, max: 3 })),
  retain: maybe(
    25,
    fc.oneof(
      fc.record({ count: fc.nat(4) }),
      fc.record({ ageMillis: fc.nat(2_000) }),
      fc.record({ count: fc.nat(4), ageMillis: fc.nat(2_000) })
    )
  ),
  reserveAfterMillis: maybe(70, fc.constantFrom(0, 300, 1_000))
}).map((it) => ({
  concurrency: it.concurrency,
  pools: { gpu: it.gpu, ...given("disk", it.disk) },
  kinds: {
    ...(it.hasPlain ? { Plain: limited(undefined, false) } : {}),
    ...(it.hasUndo ? { Undo: limited(undefined, it.undo) } : {}),
    Single: limited(it.singleLimit, false),
    Pair: limited(2, true)
  },
  keepOpen: it.keepOpen,
  ...given("keyLimit", it.keyLimit),
  ...given("keyLimits", it.keyLimits),
  ...given("failFast", it.failFast),
  ...given("maxCrashes", it.maxCrashes),
  ...given("retain", it.retain),
  ...given("reserveAfterMillis", it.reserveAfterMillis)
}))

const control: fc.Arbitrary<ControlSketch> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<ControlSketch>({ _tag: "CancelWork" }) },
  { weight: 5, arbitrary: fc.constant<ControlSketch>({ _tag: "PauseWork" }) },
  { weight: 5, arbitrary: fc.constant<ControlSketch>({ _tag: "ContinueWork" }) },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("RetryWork" as const), from: maybe(40, step) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Reprioritize" as const),
      priority: fc.constantFrom(0, 1, -1, 0.5, 2, Infinity)
    })
  }
)

const filter: fc.Arbitrary<FilterSketch> = fc.record({
  ids: maybe(20, fc.array(fc.nat(50), { maxLength: 4 })),
  kind: maybe(40, kind),
  key: maybe(20, key),
  isChildOf: maybe(10, fc.nat(50)),
  state: maybe(
    30,
    fc.array(fc.constantFrom("queued", "waiting", "running", "failed", "skipped", "cancelled"), { maxLength: 3 })
  )
})

const count = fc.nat(3)

const limits: fc.Arbitrary<Limits> = fc.record({
  concurrency: fc.integer({ min: 0, max: 5 }),
  pools: fc.oneof(fc.record({ gpu: count }), fc.record({ disk: count }), fc.constant({ tape: 1 })),
  kinds: fc.oneof(
    fc.record({ Single: fc.option(count) }),
    fc.record({ Plain: fc.option(count) }),
    fc.constant({ Nope: 1 })
  ),
  keyLimit: fc.option(fc.integer({ min: 0, max: 3 })),
  keyLimits: fc.record({ red: fc.option(count) })
}, { requiredKeys: [] })

const scope: fc.Arbitrary<PauseScope> = fc.oneof(
  fc.record({
    _tag: fc.constant("Kind" as const),
    kind: fc.constantFrom("Plain", "Plain", "Undo", "Single", "Nope")
  }),
  fc.record({ _tag: fc.constant("Key" as const), key })
)

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
        { weight: 5, arbitrary: fc.constant("another start") },
        { weight: 2, arbitrary: fc.constant("unknown work") }
      )
    })
  },
  { weight: 16, arbitrary: fc.record({ _tag: fc.constant("Control"), pick: fc.nat(1_000), control }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Each"), filter, control }) },
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
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Limits"), limits }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Scope"),
      command: fc.constantFrom("PauseScope", "ContinueScope", "ContinueScope"),
      scope
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
  { weight: 10, arbitrary: fc.record({ _tag: fc.constant("Tick"), millis: fc.nat(2_000) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("Crash"),
      lose: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4) }),
      config
    })
  }
) as fc.Arbitrary<Action>

/** Any program of up to so many batches. */
export const program = (maxBatches = 40): fc.Arbitrary<Program> =>
  fc.record({
    config: config.map((it) => ({ ...it, pools: { disk: 2, ...it.pools } })),
    specs: fc.array(
      fc.record({
        ...sketchFields,
        slots: maybe(40, fc.constant<Claims>({ gpu: 1 })),
        onCollision: fc.constant(undefined),
        after: fc.constant([]),
        reuse: fc.constant(undefined)
      }),
      { maxLength: 6 }
    ),
    batches: fc.array(fc.array(action, { minLength: 1, maxLength: 3, size: "max" }), {
      minLength: 5,
      maxLength: maxBatches,
      size: "max"
    })
  })
