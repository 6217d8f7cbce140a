/**
 * The real engine, from seeds: random works, controls, crashes and faults of the journal, to the end of the run. One seed again:
 *
 *     ESPALIER_SEED=123 npm exec -- vitest run --project unit packages/engine/test/unit/TestingRunSimulator.test.ts
 */
import { RunSimulator } from "@espalier/engine/testing"
import { assert, describe, it } from "vitest"

const again = (seed: number) =>
  `ESPALIER_SEED=${seed} npm exec -- vitest run --project unit packages/engine/test/unit/TestingRunSimulator.test.ts`

const check = (seed: number): void => {
  const report = RunSimulator.simulate(RunSimulator.programOf(seed))
  if (report.violations.length === 0) return
  const small = RunSimulator.shrink(report.program)
  assert.fail(`${again(seed)}\n${RunSimulator.describe(small)}`)
}

describe("a simulated run", () => {
  const only = process.env["ESPALIER_SEED"]
  const seeds = only === undefined ? Array.from({ length: 100 }, (_, index) => index + 1) : [Number(only)]
  for (let from = 0; from < seeds.length; from += 10) {
    const some = seeds.slice(from, from + 10)
    it(`comes to its end soundly: seeds ${some[0]} to ${some.at(-1)}`, { timeout: 60_000 }, () => some.forEach(check))
  }

  it("is the same each time: a seed replays", { timeout: 60_000 }, () => {
    for (const seed of [3, 17, 20]) {
      const [one, other] = [1, 2].map(() => RunSimulator.simulate(RunSimulator.programOf(seed)))
      assert.deepStrictEqual(JSON.stringify(other!.events), JSON.stringify(one!.events))
      assert.deepStrictEqual(other!.log, one!.log)
    }
  })
})
