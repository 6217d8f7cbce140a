/**
 * The works of simulated programs: those that are added from outside, and those that handlers spawn.
 */
import type { ChildSpec, Claims, OnCollision, SpawnOn, WorkSpec } from "../WorkSpec.ts"
import type { Sketch } from "./simulatorProgram.ts"
import type { Random } from "./simulatorRandom.ts"
import { by, type Theme } from "./simulatorThemes.ts"

/** Kinds that every simulated deployment knows, at least at first. */
export const kinds: ReadonlyArray<string> = ["Plain", "Undo", "Undo", "Single", "Pair"]

export const claimsOf = (random: Random): Claims =>
  random.weighted<Claims>([
    [8, { gpu: 1 }],
    [3, { gpu: 2 }],
    [4, { disk: 1 }],
    [2, { disk: 2, gpu: 1 }],
    [2, { gpu: 1, disk: 2 }]
  ])

/** Makes specs under names that it gives out, and now and then takes again. */
export class Specs {
  private readonly ids: Array<string> = []
  private given = 0
  private readonly random: Random
  private readonly theme: Theme

  constructor(random: Random, theme: Theme) {
    this.random = random
    this.theme = theme
  }

  batch(size: number): ReadonlyArray<Sketch> {
    const { random } = this
    const reuse = by(this.theme, { forgetting: 25 }, 6)
    const ids: Array<string> = []
    for (let place = 0; place < size; place++) {
      ids.push(this.ids.length > 0 && random.chance(reuse) ? random.pick(this.ids) : `w${this.given++}`)
    }
    const sketches = ids.map((id, place) => this.sketch(id, ids, place))
    for (const id of ids) if (!this.ids.includes(id)) this.ids.push(id)
    return sketches
  }

  /** Works that a run can be started with, whatever they are: others would be refused, and nothing would happen. */
  first(size: number): ReadonlyArray<Sketch> {
    return this.batch(size).map(({ spec: { after: _, onCollision: __, slots, ...spec }, ...times }, place) => ({
      spec: {
        ...spec,
        id: `w${place}`,
        ...(slots?.["tape"] === undefined && slots !== undefined ? { slots: { gpu: 1 } } : {})
      },
      ...times
    }))
  }

  /** One that needs most of a pool, and comes before others. */
  large(): Sketch {
    const [it] = this.batch(1)
    const { after: _, dedupe: __, onCollision: ___, key: ____, ...spec } = it!.spec
    return { spec: { ...spec, priority: -2, slots: { gpu: this.random.between(2, 3) } } }
  }

  private sketch(id: string, batch: ReadonlyArray<string>, place: number): Sketch {
    const { random, theme } = this
    const after = this.after(batch, place)
    const isKeyed = random.chance(by(theme, { keys: 80 }, 30))
    const hasSlots = random.chance(by(theme, { slots: 70 }, 30))
    return {
      spec: {
        id,
        kind: random.pick(theme === "same keys" ? ["Plain", "Plain", "Undo"] : kinds),
        priority: random.pick([0, 0, 0, -1, 1, 0.5]),
        payload: null,
        ...(hasSlots ? { slots: random.chance(2) ? { tape: 1 } : this.slots() } : {}),
        ...(isKeyed ? { key: random.pick(["red", "blue"]) } : {}),
        ...(after.length > 0 ? { after } : {}),
        ...(after.length > 0 && random.chance(by(theme, { forgetting: 70 }, 35))
          ? { onDependencyFailure: "run" as const }
          : {}),
        ...this.dedupe(),
        ...(random.chance(by(theme, { times: 40 }, 5)) ? { timeToLiveMillis: random.between(1, 150) } : {})
      },
      ...(random.chance(by(theme, { times: 40, "same keys": 25 }, 12))
        ? { notBeforeIn: random.between(-20, 150) }
        : {}),
      ...(random.chance(by(theme, { times: 45, "failing fast": 40, forgetting: 20 }, 6))
        ? { deadlineIn: random.between(-5, 400) }
        : {})
    }
  }

  /** Where slots are what it is about, works that need most of a pool make others wait. */
  private slots(): Claims {
    const { random } = this
    return this.theme === "slots" && random.chance(40) ? { gpu: random.between(2, 3) } : claimsOf(random)
  }

  private dedupe(): Pick<WorkSpec, "dedupe" | "onCollision"> {
    const { random } = this
    if (!random.chance(by(this.theme, { "same keys": 90 }, 20))) return {}
    const dedupe = this.theme === "same keys" ? "k" : random.pick(["k", "l"])
    const onCollision = random.pick<OnCollision | undefined>([undefined, "keep", "replace", "reject"])
    return onCollision === undefined ? { dedupe } : { dedupe, onCollision }
  }

  /** Mostly earlier works; others of its batch; itself, which would be a circle; one that nobody knows. */
  private after(batch: ReadonlyArray<string>, place: number): ReadonlyArray<string> {
    const { random } = this
    if (!random.chance(by(this.theme, { forgetting: 55, "same keys": 40 }, 30))) return []
    const one = (): string =>
      random.weighted<() => string>([
        [this.ids.length > 0 ? 16 : 0, () => random.pick(this.ids)],
        [place > 0 ? 4 : 0, () => batch[random.below(place)]!],
        [1, () => random.pick(batch)],
        [1, () => "nobody"]
      ])()
    return random.chance(30) ? [one(), one()] : [one()]
  }
}

/** A child that a handler spawns. */
export const childOf = (random: Random, parent: WorkSpec, name: string): ChildSpec => ({
  on: random.pick<SpawnOn>(["success", "failure", "always"]),
  spec: {
    id: random.chance(10) ? "w0" : `${parent.id}.${name}`,
    kind: random.pick(kinds),
    priority: random.pick([0, 0, 1, -1]),
    payload: null,
    parent: parent.id,
    ...(random.chance(30) ? { slots: claimsOf(random) } : {}),
    ...(random.chance(30) ? { key: random.pick(["red", "blue"]) } : {}),
    ...(random.chance(20) ? { after: [random.pick([parent.id, "w1", `${parent.id}.a`, "nobody"])] } : {}),
    ...(random.chance(20) ? { onDependencyFailure: "run" as const } : {}),
    ...(random.chance(15) ? { dedupe: "k", onCollision: random.pick(["keep", "replace", "reject"] as const) } : {})
  }
})
