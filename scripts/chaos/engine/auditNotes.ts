/**
 * The accounting of what really happened, by the notes of all lives of a round: nothing here looks at the journal.
 */
import type { Faults } from "./faults.ts"
import type { Observation } from "./observations.ts"
import { options, type Plan, toolsOf } from "./works.ts"

type StepNote = Extract<Observation, { readonly _tag: "run" | "did" | "got" }>

const nameOf = ({ generation, id, step }: StepNote): string => `${id} ${generation} ${step}`

/** What the effects of one life have in use at a moment: no more than what the engine has given them. */
class InUse {
  private readonly plans: ReadonlyMap<string, Plan>
  private readonly faults: Faults
  private readonly effects = new Set<string>()
  private readonly used = new Map<string, number>()

  constructor(plans: ReadonlyMap<string, Plan>, faults: Faults) {
    this.plans = plans
    this.faults = faults
  }

  /** The process is gone, and all of its effects. */
  clear(): void {
    this.effects.clear()
    this.used.clear()
  }

  begin(note: StepNote): void {
    this.effects.add(nameOf(note))
    this.change(note, 1)
  }

  end(note: StepNote): void {
    if (this.effects.delete(nameOf(note))) this.change(note, -1)
  }

  private change({ id, step }: StepNote, sign: 1 | -1): void {
    const { n, spec } = this.plans.get(id)!
    this.add("concurrency", sign, options.concurrency)
    if (spec?.key !== undefined) this.add(spec.key, sign, options.keyLimit)
    if (spec?.slots !== undefined) this.add("desk", sign * spec.slots["desk"]!, options.pools.desk)
    if (step === "second" && spec?.kind === "Chain") this.add("tool", sign * toolsOf(n), options.pools.tool)
  }

  private add(what: string, count: number, limit: number): void {
    const used = (this.used.get(what) ?? 0) + count
    this.used.set(what, used)
    if (used > limit) this.faults.add("more in use than there is", `${what}: ${used} of ${limit}`)
  }
}

/** The bench belongs to one work from the grant until the effect of its second step is over, whatever crashes in between. */
class Bench {
  private readonly faults: Faults
  private holder: string | undefined = undefined

  constructor(faults: Faults) {
    this.faults = faults
  }

  held(id: string): void {
    if (this.holder !== undefined && this.holder !== id) {
      this.faults.add("two had the bench", `${id} got it while ${this.holder} was between its steps`)
    }
    this.holder = id
  }

  did({ id, step }: StepNote): void {
    if (step === "second" && this.holder === id) this.holder = undefined
  }
}

const isSettlement = (json: string): boolean => /^\{"_tag":"Work(Succeeded|Failed|Skipped|Cancelled)"/.test(json)

/** Returns how many effects happened a second time because a crash came before their record. */
export const auditNotes = (
  notes: ReadonlyArray<Observation>,
  plans: ReadonlyMap<string, Plan>,
  faults: Faults
): { readonly repeated: number; readonly lives: number } => {
  const inUse = new InUse(plans, faults)
  const bench = new Bench(faults)
  const ran = new Map<string, Set<number>>()
  const got = new Set<string>()
  const settled = new Set<string>()
  const cancelled = new Set<string>()
  const undone = new Set<string>()
  const expected = new Set(Array.from(plans, ([id, { steps }]) => steps.map((step) => `${id} ${step}`)).flat())
  let lives = 0
  let repeated = 0

  const begin = (note: StepNote): void => {
    const name = nameOf(note)
    const starts = ran.get(name)
    if (!expected.has(name)) return faults.add("a step that must not run", name)
    if (got.has(name)) faults.add("a step ran again after its result was handed out", `${name}, start ${note.start}`)
    if (settled.has(note.id)) faults.add("a work ran after its end was shown", name)
    if (cancelled.has(note.id)) faults.add("a work ran after its cancel was acknowledged", name)
    if (starts === undefined) {
      ran.set(name, new Set([note.start]))
    } else {
      if (starts.has(note.start)) faults.add("a step ran twice in one start", `${name}, start ${note.start}`)
      starts.add(note.start)
      repeated += 1
    }
    inUse.begin(note)
  }

  for (const note of notes) {
    switch (note._tag) {
      case "life":
        lives += 1
        inUse.clear()
        break
      case "run":
        begin(note)
        break
      case "did":
        inUse.end(note)
        bench.did(note)
        break
      case "got":
        got.add(nameOf(note))
        break
      case "held":
        bench.held(note.id)
        break
      case "cancelled":
        cancelled.add(note.id)
        break
      case "undo":
        if (settled.has(note.id)) faults.add("a clean-up ran after the work's end was shown", note.id)
        undone.add(note.id)
        break
      case "readded":
        faults.add("works that were added are lost", `batch ${note.batch} could be added again`)
        break
      case "saw":
        if (isSettlement(note.json)) settled.add((JSON.parse(note.json) as { readonly id: string }).id)
        break
      default:
    }
  }
  for (const name of expected) if (!ran.has(name)) faults.add("a step never ran", name)
  for (const [id, { kind }] of plans) {
    if (kind === "Doomed" && !undone.has(id)) faults.add("a cancelled work was not undone", id)
  }
  return { repeated, lives }
}
