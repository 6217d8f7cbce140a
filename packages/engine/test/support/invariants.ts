/**
 * Properties over random programs. All of them watch the same programs, so that a program is run once and not once for
 * each. One that fails is run again alone, on the same programs, so that fast-check finds the smallest that shows it.
 */
import fc from "fast-check"
import { beforeAll, it } from "vitest"
import { type Program, program } from "./program.ts"
import { Simulation, type Watch } from "./simulation.ts"

/** Throws with a message that is only made when it is needed: these checks are made millions of times. */
export const check = (isTrue: boolean, message: () => string): void => {
  if (!isTrue) throw new Error(message())
}

/** Watches on behalf of a property until it fails. */
const guarded = (watch: Watch, failed: (cause: unknown) => void): Watch => {
  let isOver = false
  const guard =
    <Args extends ReadonlyArray<unknown>>(hook: ((...args: Args) => void) | undefined) => (...args: Args): void => {
      if (isOver || hook === undefined) return
      try {
        hook(...args)
      } catch (cause) {
        isOver = true
        failed(cause)
      }
    }
  return {
    before: guard(watch.before),
    after: guard(watch.after),
    answered: guard(watch.answered),
    scheduled: guard(watch.scheduled),
    died: guard(watch.died),
    drained: guard(watch.drained)
  }
}

const all = (watches: ReadonlyArray<Watch>): Watch => ({
  before: (moment) => {
    for (const watch of watches) watch.before?.(moment)
  },
  after: (moment) => {
    for (const watch of watches) watch.after?.(moment)
  },
  answered: (command, outcome, simulation) => {
    for (const watch of watches) watch.answered?.(command, outcome, simulation)
  },
  scheduled: (simulation) => {
    for (const watch of watches) watch.scheduled?.(simulation)
  },
  died: (simulation) => {
    for (const watch of watches) watch.died?.(simulation)
  },
  drained: (simulation) => {
    for (const watch of watches) watch.drained?.(simulation)
  }
})

/** On a machine that has other things to do. */
export const patience = { timeout: 120_000 }

export class Invariants {
  private readonly watches = new Map<string, () => Watch>()
  private readonly parameters: { readonly seed: number; readonly numRuns: number }
  /** The properties that failed, with what they said first. */
  private readonly failures = new Map<string, unknown>()

  constructor(parameters: { readonly seed: number; readonly numRuns: number }) {
    this.parameters = parameters
    beforeAll(() => this.together(), patience.timeout)
  }

  /** States a property. `make` gives a watch for one program, so that what it remembers is of that program alone. */
  holds(sentence: string, make: () => Watch): void {
    this.watches.set(sentence, make)
    it(sentence, patience, () => {
      if (!this.failures.has(sentence)) return
      this.forAll((each) => new Simulation(make()).run(each))
      throw this.failures.get(sentence)
    })
  }

  /** Looks on while the properties are checked, and states nothing. */
  watch(make: () => Watch): void {
    this.watches.set(`watch ${this.watches.size}`, make)
  }

  private together(): void {
    this.forAll((each) => {
      const watches = Array.from(this.watches)
        .filter(([sentence]) => !this.failures.has(sentence))
        .map(([sentence, make]) => guarded(make(), (cause) => this.failures.set(sentence, cause)))
      new Simulation(all(watches)).run(each)
    })
  }

  private forAll(run: (program: Program) => void): void {
    fc.assert(fc.property(program(), run), this.parameters)
  }
}
