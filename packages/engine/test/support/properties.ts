/**
 * Properties over random programs. All of them watch the same programs, so that a program is run once and not once for
 * each. One that fails is run again alone, on the same programs, so that fast-check finds the smallest that shows it.
 */
import fc from "fast-check"
import { beforeAll, it } from "vitest"
import { type Watch, watchAll } from "../../src/internal/simulatorAuditor.ts"
import { type Program, program } from "./program.ts"
import { Simulation } from "./simulation.ts"

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
    asked: guard(watch.asked),
    answered: guard(watch.answered),
    scheduling: guard(watch.scheduling),
    scheduled: guard(watch.scheduled),
    restarted: guard(watch.restarted)
  }
}

/** On a machine that has other things to do. */
export const patience = { timeout: 120_000 }

/** What holds of a program that has run to its end. */
export type AtEnd = (simulation: Simulation) => void

interface Property {
  readonly make: () => Watch
  readonly atEnd: AtEnd
}

export class Properties {
  private readonly properties = new Map<string, Property>()
  private readonly parameters: { readonly seed: number; readonly numRuns: number }
  /** The properties that failed, with what they said first. */
  private readonly failures = new Map<string, unknown>()

  constructor(parameters: { readonly seed: number; readonly numRuns: number }) {
    this.parameters = parameters
    beforeAll(() => this.together(), patience.timeout)
  }

  /** States a property. `make` gives a watch for one program, so that what it remembers is of that program alone. */
  holds(sentence: string, make: () => Watch, atEnd: AtEnd = () => undefined): void {
    const property = { make, atEnd }
    this.properties.set(sentence, property)
    it(sentence, patience, () => {
      if (!this.failures.has(sentence)) return
      this.forAll((each) => atEnd(new Simulation(make(), { isAudited: false }).run(each).drain()))
      throw this.failures.get(sentence)
    })
  }

  /** That the state does in all programs what the naive model says. Others are not seen after it has failed. */
  agrees(sentence: string): void {
    it(sentence, patience, () => {
      if (!this.failures.has(sentence)) return
      this.forAll((each) => void new Simulation({}).run(each).drain())
      throw this.failures.get(sentence)
    })
    this.agreement = sentence
  }

  private agreement = ""

  private together(): void {
    this.forAll((each) => {
      const open = Array.from(this.properties).filter(([sentence]) => !this.failures.has(sentence))
      const fail = (sentence: string) => (cause: unknown) => void this.failures.set(sentence, cause)
      const watches = open.map(([sentence, { make }]) => guarded(make(), fail(sentence)))
      const simulation = new Simulation(watchAll(watches))
      try {
        simulation.run(each).drain()
      } catch (cause) {
        return fail(this.agreement)(cause)
      }
      for (const [sentence, { atEnd }] of open) {
        try {
          atEnd(simulation)
        } catch (cause) {
          fail(sentence)(cause)
        }
      }
    })
  }

  private forAll(run: (program: Program) => void): void {
    fc.assert(fc.property(program(), run), this.parameters)
  }
}
