/**
 * Many more seeds than the unit test has. `ESPALIER_RUNS` says how many (20,000), `ESPALIER_SEED` where to begin (1).
 */
import { RunSimulator } from "@espalier/engine/testing"
import { assert, describe, it } from "vitest"

const first = Number(process.env["ESPALIER_SEED"] ?? 1)
const runs = Number(process.env["ESPALIER_RUNS"] ?? 20_000)

describe("simulated runs", () => {
  it(`come to their end soundly: ${runs} from seed ${first} on`, () => {
    const coverage = new Map<string, number>()
    for (let seed = first; seed < first + runs; seed++) {
      const report = RunSimulator.simulate(RunSimulator.programOf(seed))
      for (const [what, count] of report.coverage) coverage.set(what, (coverage.get(what) ?? 0) + count)
      if (report.violations.length === 0) continue
      assert.fail(
        `ESPALIER_SEED=${seed} ESPALIER_RUNS=1 npm run test:long -- RunSimulator\n` +
          RunSimulator.describe(RunSimulator.shrink(report.program))
      )
    }
    console.log(
      Array.from(coverage).sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => `${count} ${what}`).join("\n")
    )
  })
})
