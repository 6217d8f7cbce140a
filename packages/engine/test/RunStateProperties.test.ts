/**
 * The invariants of DESIGN section 10, over random programs of commands, handler messages (that keep to the protocol and
 * that do not), clocks and crashes. Each program is held against the naive model of `src/internal/simulatorModel.ts`, answer by
 * answer and event by event, and each property sees every event. The seed is fixed: a failure is the same on every
 * machine, and comes with its smallest program. The simulator (`npm run simulate`) does the same with a world around it.
 */
import { Result } from "effect"
import fc from "fast-check"
import { expect, it } from "vitest"
import { checkEnd, invariants } from "../src/internal/simulatorInvariants.ts"
import { RunEvent } from "../src/RunEvent.ts"
import { fold, fromSnapshot, toSnapshot } from "../src/RunState.ts"
import { program } from "./support/program.ts"
import { projection } from "./support/projection.ts"
import { patience, Properties } from "./support/properties.ts"
import { Simulation } from "./support/simulation.ts"

const always = new Properties({ seed: 20_261, numRuns: 400 })

always.agrees("every answer, every event and every state is what the naive model says (5)")

for (const [sentence, make] of invariants) always.holds(sentence, make)

always.holds(
  "everything is brought to its end: no work is lost, none is doubled, and nothing is held or in use (2, 3)",
  () => ({}),
  ({ events, naive }) => checkEnd(naive, events)
)

always.holds(
  "when everything is settled no key, place in a queue, timer or dependency is left",
  () => ({}),
  ({ live, naive }) => {
    const left = {
      // A cancelled run is not opened again: what handlers kept that were given up is not counted any more.
      used: Array.from(live.pools.values()).filter((pool) => pool.used !== 0 && naive.stuck.length === 0),
      running: Array.from(live.kinds.values()).filter((kind) => kind.running !== 0),
      keys: Array.from(live.keys.values()).filter((key) => key.running !== 0 || key.queued !== 0),
      begun: live.begun.size,
      dedupe: live.dedupe.size,
      wakes: live.wakes.items.length,
      expiries: live.expiries.items.length,
      dependents: live.dependents.size,
      needed: live.needed.size,
      doomed: live.doomed.length,
      groups: Array.from(live.groups.values()).filter((group) => group.heap.items.length > 0)
    }
    expect(left).toEqual({
      used: [],
      running: [],
      keys: [],
      begun: 0,
      dedupe: 0,
      wakes: 0,
      expiries: 0,
      dependents: 0,
      needed: 0,
      doomed: 0,
      groups: []
    })
  }
)

const reached = new Map<string, number>()
const count = (tag: string): void => void reached.set(tag, (reached.get(tag) ?? 0) + 1)

always.holds("a claim that waits is granted to a work that runs", () => ({
  after: (event, naive, source) => {
    count(event._tag)
    if (event._tag === "SlotsGranted" && source._tag === "Schedule") {
      count("granted later")
      expect(naive.jobs.find((job) => job.spec.id === event.id)?.status).toBe("running")
    }
    if ((event._tag === "WorkSucceeded" || event._tag === "WorkFailed") && event.children.length > 0) count("children")
  },
  answered: (_command, outcome) => {
    if (Result.isFailure(outcome)) count(outcome.failure._tag)
  }
}))

it("the programs reach every event and every refusal many times", () => {
  const refusals = [
    "RunNotAccepting",
    "DuplicateWork",
    "DuplicateKey",
    "WorkNotFound",
    "WorkSettled",
    "WorkNotAccepting",
    "InvalidWork",
    "Late"
  ]
  const tags = RunEvent.members.map((member) => member.fields._tag.schema.literal)
  const expected = [...tags, ...refusals, "granted later", "children"]
  expect(expected.filter((tag) => (reached.get(tag) ?? 0) < 30)).toEqual([])
})

it("folding the journal from its JSON gives the state that was reached live (7)", patience, () => {
  fc.assert(
    fc.property(program(), (each) => {
      let rounds = 0
      const simulation: Simulation = new Simulation({
        scheduled: () => {
          if (rounds++ % 3 !== 0) return
          expect(projection(simulation.auditor.replica)).toBe(projection(simulation.live))
        }
      })
      simulation.run(each).drain()
      expect(projection(fold(simulation.events))).toBe(projection(simulation.live))
    }),
    { seed: 7, numRuns: 100 }
  )
})

it("a snapshot at any moment, and the events after it, give the state that was reached live (7)", patience, () => {
  fc.assert(
    fc.property(program(), fc.nat(30), (each, moment) => {
      let rounds = 0
      let restored: ReturnType<typeof fromSnapshot> | undefined
      let after = 0
      const simulation: Simulation = new Simulation({
        scheduled: () => {
          if (rounds++ !== moment) return
          const parts = JSON.parse(JSON.stringify(toSnapshot(simulation.live)))
          expect(projection(fromSnapshot(parts))).toBe(projection(simulation.live))
          restored = fromSnapshot(parts)
          after = simulation.events.length
        },
        // What came after the snapshot may have been lost with the process.
        restarted: () => {
          if (restored !== undefined && simulation.events.length < after) restored = undefined
        }
      })
      simulation.run(each).drain()
      if (restored === undefined) return
      for (const event of simulation.events.slice(after)) simulation.core.evolve(restored, event)
      expect(projection(restored)).toBe(projection(simulation.live))
    }),
    { seed: 9, numRuns: 150 }
  )
})

it("deciding changes nothing, and a refused command leaves the state as it was", patience, () => {
  fc.assert(
    fc.property(program(), (each) => void new Simulation({}, { checksPurity: true }).run(each)),
    { seed: 8, numRuns: 60 }
  )
})
