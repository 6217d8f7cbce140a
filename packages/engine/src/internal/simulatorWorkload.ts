/**
 * Makes a program of a seed.
 */
import type { Limits, PauseScope, RunConfig } from "../RunEvent.ts"
import type { WorkControl, WorkFilter } from "./command.ts"
import {
  type Deed,
  type Fault,
  faults,
  type Happening,
  type Pick,
  type Program,
  type Rogue
} from "./simulatorProgram.ts"
import { Random } from "./simulatorRandom.ts"
import { claimsOf, kinds, Specs } from "./simulatorSpecs.ts"
import { by, type Theme, themeOf } from "./simulatorThemes.ts"

/** States that a control asks for: it is given to a work that is in it, where there is one. */
const states: ReadonlyArray<string> = [
  "queued",
  "resumed",
  "delayed",
  "dependent",
  "retrying",
  "paused",
  "blocked",
  "running",
  "pausing",
  "pausing",
  "asking",
  "asking",
  "cancelling",
  "cleaning",
  "succeeded",
  "failed",
  "skipped",
  "cancelled"
]

const configOf = (random: Random, theme: Theme, isFirst: boolean): RunConfig => {
  const isLosing = !isFirst && random.chance(25)
  const kindsOfIt: Record<string, RunConfig["kinds"][string]> = {
    Undo: { onCancel: !(isLosing && random.chance(40)) },
    Single: { onCancel: false, limit: random.between(1, 2) },
    Pair: { onCancel: true, limit: 2 }
  }
  if (!(isLosing && random.chance(30))) kindsOfIt["Plain"] = { onCancel: false }
  const hasDisk = isFirst || random.chance(90)
  return {
    concurrency: random.between(1, by(theme, { slots: 4 }, 5)),
    pools: {
      gpu: random.between(theme === "slots" ? 2 : isFirst ? 1 : 0, 3),
      ...(hasDisk ? { disk: random.between(1, 3) } : {})
    },
    kinds: kindsOfIt,
    keepOpen: random.chance(by(theme, { quiet: 90 }, 65)),
    ...(theme === "keys" && random.chance(60) ? { keyLimit: random.between(1, 2) } : {}),
    ...(theme === "keys" && random.chance(40) ? { keyLimits: { red: random.between(0, 2) } } : {}),
    ...(theme === "failing fast" && random.chance(85) ? { failFast: true } : {}),
    ...(random.chance(by(theme, { crashes: 100 }, 40)) ? { maxCrashes: random.between(1, 3) } : {}),
    ...(random.chance(by(theme, { forgetting: 95, stuck: 15 }, 5)) ? { retain: retentionOf(random) } : {}),
    ...(random.chance(by(theme, { slots: 90 }, 50)) ? { reserveAfterMillis: random.pick([0, 0, 50, 300]) } : {})
  }
}

const retentionOf = (random: Random): NonNullable<RunConfig["retain"]> =>
  random.weighted([
    [3, { count: random.between(0, 3) }],
    [1, { ageMillis: random.between(0, 400) }],
    [1, { count: random.between(0, 3), ageMillis: random.between(0, 400) }]
  ])

const controlOf = (random: Random, theme: Theme): WorkControl =>
  random.weighted<WorkControl>([
    [by(theme, { cancels: 10 }, 4), { _tag: "CancelWork" }],
    [by(theme, { pauses: 14 }, 4), { _tag: "PauseWork" }],
    [by(theme, { pauses: 7 }, 3), { _tag: "ContinueWork" }],
    [4, { _tag: "RetryWork" }],
    [6, { _tag: "RetryWork", from: random.pick(["a", "a", "b", "at", "nothing"]) }],
    [3, { _tag: "Reprioritize", priority: random.pick([0, 0, 1, -1, 0.5, Infinity]) }]
  ])

const filterOf = (random: Random): WorkFilter => ({
  ...(random.chance(40) ? { kind: random.pick(kinds) } : {}),
  ...(random.chance(15) ? { key: random.pick(["red", "blue"]) } : {}),
  ...(random.chance(10) ? { parent: "w0" } : {}),
  ...(random.chance(15) ? { ids: ["w0", "w1", "w2"] } : {}),
  ...(random.chance(25) ? { state: random.pick(["queued", "waiting", "running", "failed", "cancelled"] as const) } : {})
})

const limitsOf = (random: Random): Limits => ({
  ...(random.chance(50) ? { concurrency: random.between(random.chance(25) ? 0 : 1, 5) } : {}),
  ...(random.chance(40) ? { pools: { [random.pick(["gpu", "gpu", "disk", "tape"])]: random.between(0, 3) } } : {}),
  ...(random.chance(25)
    ? { kinds: { [random.pick(["Single", "Pair", "Undo", "Nope"])]: random.chance(25) ? null : random.between(0, 2) } }
    : {}),
  ...(random.chance(10) ? { keyLimit: random.chance(40) ? null : random.between(1, 2) } : {}),
  ...(random.chance(15) ? { keyLimits: { red: random.chance(40) ? null : random.between(0, 2) } } : {})
})

const scopeOf = (random: Random): PauseScope =>
  random.weighted<PauseScope>([
    [3, { _tag: "Kind", kind: "Undo" }],
    [2, { _tag: "Kind", kind: "Single" }],
    [1, { _tag: "Kind", kind: "Nope" }],
    [4, { _tag: "Key", key: "red" }]
  ])

const pickOf = (random: Random): Pick => ({
  pick: random.below(1_000),
  state: random.chance(75) ? random.pick(states) : undefined
})

/** Whoever might be heard is chosen more often. */
const rogueOf = (random: Random): Pick => ({
  pick: random.below(1_000),
  state: random.pick(["running", "pausing", "asking", "cancelling", "cleaning", random.pick(states)])
})

const rogues: ReadonlyArray<Rogue> = [
  "RecordStep",
  "RecordStep",
  "Succeed",
  "Succeed",
  "Fail",
  "Interrupted",
  "Block",
  "ReleaseSlots",
  "Cleaned",
  "Cleaned",
  "Unstuck"
]

const runCommands = [[5, "Pause"], [6, "Continue"], [4, "Suspend"], [1.2, "Cancel"], [4, "Close"]] as const

/** A control of all works; where it changes only what somebody has changed before, that comes first. */
const eachOf = (random: Random, theme: Theme): ReadonlyArray<Deed> => {
  const each = (control: WorkControl): Deed => ({
    _tag: "Each",
    filter: random.chance(40) ? {} : filterOf(random),
    control
  })
  return random.weighted<() => ReadonlyArray<Deed>>([
    [6, () => [each(controlOf(random, theme))]],
    [
      2,
      () => [{ _tag: "Control", control: { _tag: "PauseWork" }, of: pickOf(random) }, each({ _tag: "ContinueWork" })]
    ],
    [2, () => [each({ _tag: "Reprioritize", priority: random.pick([2, -2]) })]]
  ])()
}

/** Another fiber of a handler: of one that is to be paused, of one that waits already, of one that is being cancelled. */
const asideOf = (random: Random): ReadonlyArray<Deed> => {
  const claims = (): Deed => ({
    _tag: "Ask",
    hold: random.pick(["h", "i"]),
    claims: random.chance(8) ? { tape: 1 } : claimsOf(random),
    until: random.chance(20) ? random.pick(["a", "b"]) : undefined,
    isWaitedFor: random.chance(50),
    of: of(random.pick(["running", "pausing", "asking"]))
  })
  const of = (state: string): Pick => ({ pick: random.below(1_000), state })
  const release = (): Deed => ({
    _tag: "Release",
    hold: random.pick(["h", "i"]),
    of: of(random.pick(["running", "pausing", "asking", "cancelling"]))
  })
  const control = (): Deed => ({
    _tag: "Control",
    control: { _tag: random.pick(["PauseWork", "PauseWork", "PauseWork", "CancelWork"]) },
    of: of(random.pick(["running", "asking"]))
  })
  return random.weighted<() => ReadonlyArray<Deed>>([
    [4, () => [claims()]],
    [2, () => [claims(), claims()]],
    [2, () => [release()]],
    [7, () => [control(), claims()]],
    [3, () => [claims(), control(), claims()]],
    [2, () => [claims(), control(), release()]]
  ])()
}

/** A work that needs most of a pool, more urgent than others, and one that runs and asks for what is left. */
const crowdOf = (random: Random, specs: Specs): ReadonlyArray<Deed> => {
  const large = specs.large()
  const running = random.pick(["running", "pausing", "pausing"])
  const of: Pick = { pick: random.below(1_000), state: "running" }
  const pause: ReadonlyArray<Deed> = running === "pausing"
    ? [{ _tag: "Control", control: { _tag: "PauseWork" }, of }]
    : []
  const ask: Deed = {
    _tag: "Ask",
    hold: "h",
    claims: { gpu: 1 },
    until: undefined,
    isWaitedFor: true,
    of: { pick: of.pick, state: running }
  }
  return [{ _tag: "Add", sketches: [large] }, ...pause, ask, {
    ...ask,
    hold: "i",
    of: { pick: of.pick + 1, state: running }
  }]
}

/** A handler that was given up ends, after something has been done to its work. */
const stuckOf = (random: Random): ReadonlyArray<Deed> => {
  const control = (tag: "PauseWork" | "CancelWork"): Deed => ({
    _tag: "Control",
    control: { _tag: tag },
    of: { pick: random.below(1_000), state: "stuck" }
  })
  const end = (state: string): Deed => ({ _tag: "EndStuck", state })
  return random.weighted<() => ReadonlyArray<Deed>>([
    [3, () => [end(random.pick(["asking", "blocked", "blocked", "cleaning", "running"]))]],
    [5, () => [control("PauseWork"), end("pausing")]],
    [4, () => [control("CancelWork"), end("cancelling")]],
    [1, () => [control("CancelWork"), end("cleaning")]]
  ])()
}

/** One thing that happens, or a few that belong together. */
const deedsOf = (random: Random, theme: Theme, specs: Specs): ReadonlyArray<Deed> => {
  const scope = scopeOf(random)
  const make = random.weighted<() => ReadonlyArray<Deed>>([
    [
      by(theme, { "same keys": 30, quiet: 3 }, 10),
      () => [{ _tag: "Add", sketches: specs.batch(random.pick([1, 1, 1, 2, 3])) }]
    ],
    [
      by(theme, { pauses: 28, cancels: 28, quiet: 4 }, 14),
      () => [{ _tag: "Control", control: controlOf(random, theme), of: pickOf(random) }]
    ],
    [by(theme, { quiet: 7 }, 6), () => eachOf(random, theme)],
    [
      by(theme, { pauses: 14, "failing fast": 16, quiet: 20 }, 6),
      () => [{ _tag: "Run", command: random.weighted(runCommands) }]
    ],
    [by(theme, { quiet: 8 }, 4), () => [{ _tag: "SetLimits", limits: limitsOf(random) }]],
    [
      by(theme, { quiet: 8 }, 4),
      () => {
        const command = random.pick(["PauseScope", "ContinueScope"] as const)
        const first: Deed = { _tag: "Scope", command, scope }
        return random.chance(40)
          ? [first, { _tag: "Scope", command: random.pick(["PauseScope", "ContinueScope"]), scope }]
          : [first]
      }
    ],
    [
      by(theme, { slots: 22, pauses: 12, stuck: 12, quiet: 0 }, 7),
      () => asideOf(random)
    ],
    [
      8,
      () => [{ _tag: "Rogue", message: random.pick(rogues), isLate: random.chance(50), of: rogueOf(random) }]
    ],
    [6, () => [{ _tag: "Sleep", millis: random.between(1, 120) }]],
    [by(theme, { "failing fast": 9 }, 0.3), () => [{ _tag: "Run", command: "Pause" }, { _tag: "Sleep", millis: 200 }]],
    [by(theme, { slots: 8 }, 0), () => crowdOf(random, specs)],
    [by(theme, { stuck: 16 }, 1), () => stuckOf(random)],
    [1.5, () => [{ _tag: "Snapshot" }]],
    [0.7, () => [{ _tag: "Stop" }]],
    [by(theme, { quiet: 3 }, 1), () => [{ _tag: "Start" }]]
  ])
  return make()
}

/** Mostly a fault meets a control: it strikes the append that carries it, or the next thing that a handler does. */
const withFaults = (random: Random, theme: Theme, happenings: Array<Happening>, turns: number): void => {
  const times = random.weighted([[2, 0], [5, 1], [4, 2], [by(theme, { crashes: 10 }, 1), 4]])
  for (let time = 0; time < times; time++) {
    const fault: Fault = random.pick(faults)
    const met = random.chance(80) ? happenings[random.below(happenings.length)] : undefined
    happenings.push({ turn: met?.turn ?? random.below(turns), deed: { _tag: "Fault", fault } })
  }
}

/** The program that a seed stands for. */
export const programOf = (seed: number): Program => {
  const theme = themeOf(seed)
  const random = new Random(seed, 2)
  const specs = new Specs(random, theme)
  const turns = random.between(40, 120)
  const sketches = specs.first(random.between(theme === "quiet" ? 0 : 1, theme === "quiet" ? 1 : 5))
  const happenings: Array<Happening> = []
  const count = random.between(14, 46)
  for (let index = 0; index < count; index++) {
    const turn = random.below(turns)
    for (const deed of deedsOf(random, theme, specs)) happenings.push({ turn, deed })
  }
  withFaults(random, theme, happenings, turns)
  happenings.sort((a, b) => a.turn - b.turn)
  const configs = [0, 1, 2].map((place) => configOf(random, theme, place === 0))
  return { seed, turns, startsAt: random.chance(8) ? random.between(2, 8) : 0, configs, sketches, happenings }
}
