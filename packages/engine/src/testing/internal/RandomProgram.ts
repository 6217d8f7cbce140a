/**
 * Programs from seeds.
 *
 * Two sorts. In a `steady` program the outcome of every work follows from the program alone: nothing is cancelled and no time runs
 * out, so whatever goes wrong the outcomes must be those of a run in which nothing does. A `wild` one uses everything.
 *
 * A program must be able to come to its end. Works that hold units of pools while they wait for others could wait for
 * each other in a circle, which would be the program's fault: so units are asked for in the order gpu (by the spec), disk (by
 * `Slots.hold`), tape (by a step), never two claims on one pool, and never more than the pool has when nobody changed it.
 */
import type {
  Addition,
  Child,
  Control,
  Deployment,
  End,
  Fault,
  KindName,
  Life,
  Operation,
  Options,
  Program,
  Target,
  Whose,
  Work
} from "./Program.ts"
import { Random } from "./Random.ts"

const horizon = 3_000

/** Draws a program. */
class Draw {
  private readonly random: Random
  private readonly isSteady: boolean
  private readonly options: Options
  private readonly ids: Array<string> = []
  private children = 0

  constructor(random: Random, isSteady: boolean, options: Options) {
    this.random = random
    this.isSteady = isSteady
    this.options = options
  }

  private maybe<A>(percent: number, draw: () => A): A | undefined {
    return this.random.chance(percent) ? draw() : undefined
  }

  additions(): ReadonlyArray<Addition> {
    const { random } = this
    const additions: Array<Addition> = []
    const count = random.between(1, 9)
    for (let each = 0; each < count; each++) {
      const size = random.weighted([[6, 1], [2, 2], [1, 4]])
      const works = Array.from({ length: size }, () => {
        const work = this.work(`w${this.ids.length + 1}`, 0)
        this.ids.push(work.id)
        return work
      })
      additions.push({ at: random.chance(40) ? 0 : random.below(horizon), works })
    }
    return additions.sort((a, b) => a.at - b.at).map((addition, index) => this.renamed(addition, index, additions))
  }

  /** Dependencies are drawn among the works that are added before, whatever the order of drawing was. */
  private renamed(addition: Addition, index: number, all: ReadonlyArray<Addition>): Addition {
    const before = all.slice(0, index).flatMap(({ works }) => works.map(({ id }) => id))
    const works = addition.works.map((work, place) => {
      const candidates = [...before, ...addition.works.slice(0, place).map(({ id }) => id)]
      if (candidates.length === 0 || !this.random.chance(35)) return work
      const after = Array.from(
        new Set(Array.from({ length: this.random.between(1, 2) }, () => this.random.pick(candidates)))
      )
      const operations: ReadonlyArray<Operation> = this.random.chance(50)
        ? [{ _tag: "Read", id: after[0]! }, ...work.operations]
        : work.operations
      return { ...work, after, operations, ...(this.random.chance(40) ? { onDependencyFailure: "run" as const } : {}) }
    })
    return { at: addition.at, works }
  }

  private work(id: string, depth: number): Work {
    const { isSteady, options, random } = this
    const kind: KindName = isSteady
      ? random.weighted<KindName>([[4, "Plain"], [2, "Undo"], [2, "Single"]])
      : random.weighted<KindName>([
        [3, "Plain"],
        [5, "Undo"],
        [2, "Single"],
        [1, "Timed"],
        [1, "Stalling"],
        [1, "Stubborn"],
        [1, "Keeper"]
      ])
    const optional = {
      key: this.maybe(30, () => random.pick(["red", "blue"])),
      slots: this.maybe(30, () => ({ gpu: random.between(1, options.pools.gpu) })),
      notBeforeIn: this.maybe(12, () => random.between(-50, 1_500)),
      ...(isSteady ? {} : {
        deadlineIn: this.maybe(8, () => random.between(-50, 3_000)),
        timeToLive: this.maybe(8, () => random.between(1, 1_500)),
        dedupe: this.maybe(10, () => random.pick(["k", "l"])),
        onCollision: this.maybe(50, () => random.pick(["keep", "replace", "reject"] as const))
      })
    }
    const operations = this.operations(id, depth, kind)
    // What a work holds across steps it holds while it waits for a retry too, and what it needs to start it does not: with both,
    // two works could wait for each other.
    const holds = operations.some(({ _tag }) => _tag === "Hold")
    const given = Object.entries(optional).filter(([name, value]) =>
      value !== undefined && !(holds && (name === "slots" || name === "key"))
    )
    return {
      id,
      kind,
      priority: random.pick([0, 0, 0, -1, 1]),
      ...Object.fromEntries(given),
      operations,
      end: this.end(kind),
      cleanUp: { fails: random.weighted([[3, 0], [1, 1], [1, 3]]), millis: random.pick([0, 0, 20, 700]) }
    }
  }

  private end(kind: KindName): End {
    const { isSteady, random } = this
    if (kind === "Single" && random.chance(40)) return { _tag: "Fail", until: random.between(0, 2) }
    return random.weighted<End>([
      [12, { _tag: "Succeed" }],
      [3, { _tag: "Fail", until: random.between(1, 2) }],
      [1, { _tag: "Fail", until: 9 }],
      [1, { _tag: "Die" }],
      [isSteady ? 0 : kind === "Timed" || kind === "Stalling" ? 6 : 0, { _tag: "Hang" }]
    ])
  }

  private child(id: string, depth: number, isSteady: boolean): Child {
    this.children += 1
    return {
      on: this.random.pick(["success", "success", "failure", "always"]),
      work: { ...this.work(`${id}.${isSteady ? this.children : this.random.below(6)}`, depth + 1) }
    }
  }

  private millis(): number {
    return this.random.pick(this.isSteady ? [0, 0, 1, 5, 30, 100, 400] : [0, 0, 1, 5, 30, 100, 400, 900])
  }

  private operations(id: string, depth: number, kind: KindName): ReadonlyArray<Operation> {
    const { isSteady, options, random } = this
    const operations: Array<Operation> = []
    const count = random.weighted([[2, 0], [3, 1], [3, 2], [2, 4]])
    let holds: string | undefined
    for (let at = 0; at < count; at++) {
      const name = `s${at}`
      const spawns = depth < 2 && this.children < 12 && random.chance(20)
      const children = spawns ? { children: [this.child(id, depth, isSteady)] } : {}
      operations.push(
        random.weighted<() => Operation>([
          [6, () => ({
            _tag: "Step",
            name,
            millis: this.millis(),
            ...(random.chance(25) ? { slots: { tape: random.between(1, options.pools.tape) } } : {}),
            ...(random.chance(15) ? { fails: random.between(1, 2) } : {}),
            ...children
          })],
          [1, () => ({ _tag: "Cursor", name, to: random.between(1, 4), millis: this.millis() })],
          [2, () => ({ _tag: "Sleep", millis: this.millis() })],
          [1, () => ({ _tag: "Report", current: at })],
          [1, () => ({ _tag: "Look" })],
          [spawns ? 3 : 0, () => ({ _tag: "Spawn", child: this.child(id, depth, isSteady) })],
          [holds === undefined && kind !== "Single" ? 3 : 0, () => ({
            _tag: "Hold",
            name: holds = `h${at}`,
            claims: { disk: random.between(1, options.pools.disk) },
            ...(random.chance(60) && at + 1 < count ? { until: `s${random.between(at + 1, count - 1)}` } : {}),
            ...(!isSteady && random.chance(20) ? { patience: random.pick([1, 50, 400]) } : {})
          })],
          [holds === undefined ? 0 : 1, () => ({ _tag: "Release", name: holds! })],
          [1, () => ({
            _tag: "Both",
            left: [{ _tag: "Step", name: `${name}l`, millis: this.millis() }],
            right: [{ _tag: "Step", name: `${name}r`, millis: this.millis() }, { _tag: "Sleep", millis: this.millis() }]
          })],
          [isSteady ? 0 : 1, () => ({ _tag: "Finalizer", millis: random.pick([1, 50, 500]) })],
          [isSteady || (kind !== "Stubborn" && kind !== "Keeper") ? 0 : 8, () => ({
            _tag: "Stubborn",
            millis: random.pick([50, 300, 2_000])
          })]
        ])()
      )
    }
    return operations
  }

  controls(): ReadonlyArray<Control> {
    const { random } = this
    const count = random.weighted([[1, 0], [3, random.between(1, 5)], [3, random.between(4, this.isSteady ? 12 : 25)]])
    return Array.from({ length: count }, () => this.control()).sort((a, b) => a.at - b.at)
  }

  private control(): Control {
    const { isSteady, options, random } = this
    const at = random.below(horizon)
    const id = this.ids.length === 0 ? "w1" : random.pick(this.ids)
    const kind = random.pick(["Plain", "Undo", "Single"] as const)
    const scope = random.weighted<{ readonly kind?: KindName; readonly key?: string }>([
      [3, {}],
      [1, { kind }],
      [1, { key: random.pick(["red", "blue"]) }]
    ])
    const wild = isSteady ? 0 : 1
    const of = (states: ReadonlyArray<Whose["state"]>): Target =>
      random.chance(75) ? { id, whose: { state: random.pick(states), nth: random.below(5) } } : { id }
    return random.weighted<Control>([
      [4, { at, _tag: "Pause", ...scope }],
      [6, { at, _tag: "Resume", ...scope }],
      [1, { at, _tag: "PauseEngine" }],
      [2, { at, _tag: "UnpauseEngine" }],
      [3, { at, _tag: "PauseWork", ...of(["running", "pending", "asking", "holding"]) }],
      [3, { at, _tag: "ResumeWork", ...of(["pending", "running"]) }],
      [2, { at, _tag: "Reprioritize", ...of(["pending", "asking", "running"]), priority: random.pick([-2, 2, 0]) }],
      [2, { at, _tag: "Concurrency", to: random.between(1, 5) }],
      [2, {
        at,
        _tag: "Pool",
        ...random.pick([{ name: "gpu" }, { name: "disk" }, { name: "tape" }]),
        to: random.between(0, options.pools.gpu + 1)
      }],
      [1, { at, _tag: "KindLimit", kind: "Single", to: random.pick([null, 1, 2, 0]) }],
      [1, { at, _tag: "KeyLimit", to: random.pick([null, 1, 2]), ...(random.chance(50) ? { key: "red" } : {}) }],
      [3, { at, _tag: "Look" }],
      [2, { at, _tag: "Await", ...of(["running", "pending", "settled"]), millis: random.pick([0, 10, 500]) }],
      [2, { at, _tag: "Watch", back: random.below(20) }],
      [isSteady ? 0.5 : 1, { at, _tag: "Suspend" }],
      [isSteady ? 0 : 1, { at, _tag: "Close" }],
      [6 * wild, { at, _tag: "CancelWork", ...of(["running", "running", "pending", "asking", "holding", "cleaning"]) }],
      [4 * wild, {
        at,
        _tag: "Retry",
        ...of(["settled", "settled", "pending"]),
        ...(random.chance(40) ? { from: random.pick(["s0", "s1", "s2"]) } : {})
      }],
      [wild, { at, _tag: "Each", control: random.pick(["cancel", "pause", "resume", "retry"] as const), kind }],
      [0.3 * wild, { at, _tag: "Cancel" }]
    ])
  }

  lives(): ReadonlyArray<Life> {
    const { random } = this
    const count = random.weighted([[1, 0], [3, 1], [3, 2], [2, 4]])
    return Array.from({ length: count }, () => this.life())
  }

  private life(): Life {
    const { random } = this
    const deployment: Deployment = {
      ...(random.chance(10) ? { Plain: random.pick(["missing", "changed"] as const) } : {}),
      ...(random.chance(10) ? { Undo: random.pick(["missing", "without onCancel"] as const) } : {})
    }
    return {
      faults: [
        ...(random.chance(25) ? [this.hitch()] : []),
        ...(random.chance(25) ? [this.hitch()] : []),
        this.ending()
      ],
      ...(Object.keys(deployment).length === 0 ? {} : { deployment }),
      ...(random.chance(20)
        ? {
          options: {
            concurrency: random.between(1, 5),
            pools: { gpu: random.between(0, 4), disk: random.between(0, 3), tape: random.between(0, 3) }
          }
        }
        : {})
    }
  }

  /** What ends a process. */
  private ending(): Fault {
    const { random } = this
    return random.weighted<Fault>([
      [4, { _tag: "CrashAtEffect", effects: random.between(1, random.pick([100, 1_000, 5_000])) }],
      [3, {
        _tag: "CrashAtFailpoint",
        name: random.pick(["append.before", "append.after", "step.done *", "step.recorded *", "snapshot*"]),
        nth: random.between(1, 12)
      }],
      [1, { _tag: "CrashAtFailpoint", name: "recover.*", nth: random.between(1, 2) }],
      [2, { _tag: "CrashAt", millis: random.between(0, horizon) }],
      [2, { _tag: "Stop", millis: random.between(0, horizon) }],
      [2, {
        _tag: "Journal",
        operation: "append",
        nth: random.between(1, 20),
        when: random.pick(["before", "after"] as const)
      }],
      [1, { _tag: "LoseLock", millis: random.between(0, horizon) }]
    ])
  }

  /** What makes life harder and does not end it. */
  private hitch(): Fault {
    const { random } = this
    return random.weighted<Fault>([
      [3, {
        _tag: "Journal",
        operation: "append",
        nth: random.between(1, 15),
        when: random.pick(["before", "after"] as const),
        slow: random.pick([1, 50, 600])
      }],
      [2, {
        _tag: "Journal",
        operation: random.pick(["saveSnapshot", "trim"] as const),
        nth: random.between(1, 3),
        when: random.pick(["before", "after"] as const),
        ...(random.chance(50) ? { slow: random.pick([1, 200]) } : {})
      }],
      [1, { _tag: "Journal", operation: "read", nth: random.between(1, 4), when: "before" }],
      [1, { _tag: "Journal", operation: random.pick(["snapshot", "open"] as const), nth: 1, when: "before" }],
      [1, { _tag: "StandStill", at: random.between(1, 2_000), millis: random.pick([10, 500, 5_000]) }]
    ])
  }
}

/** The program of a seed. */
export const programOf = (seed: number): Program => {
  const random = new Random(seed)
  const isSteady = random.chance(50)
  const optional = {
    keyLimit: random.chance(30) ? random.between(1, 2) : undefined,
    capacity: random.chance(15) ? random.between(4, 8) : undefined,
    reserveAfter: random.chance(50) ? random.pick([0, 100, 1_000]) : undefined,
    failFast: !isSteady && random.chance(5) ? true : undefined,
    maxCrashes: isSteady ? 1_000 : random.chance(30) ? random.between(1, 3) : undefined,
    retain: !isSteady && random.chance(15) ? random.below(4) : undefined,
    snapshots: random.chance(60)
      ? { everyEvents: random.pick([1, 5, 20, 60]), atEndEvents: random.pick([1, 10, 1_000]) }
      : undefined
  }
  const options: Options = {
    concurrency: random.between(1, 4),
    pools: { gpu: random.between(1, 3), disk: random.between(1, 2), tape: random.between(1, 2) },
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined))
  }
  const draw = new Draw(random, isSteady, options)
  const additions = draw.additions()
  return { seed, isSteady, options, additions, controls: draw.controls(), lives: draw.lives() }
}
