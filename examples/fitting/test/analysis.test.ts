/** The whole analysis, on a journal in memory, with the same handlers in this process. */
import { Journal } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { begin, result } from "../analysis.ts"
import { ChooseLive, FitLive, SampleLive, SummarizeLive } from "../handlers.ts"
import { Analysis, Choose, NoFit, type Summary } from "../kinds.ts"
import { truth } from "../model.ts"
import { lines, table } from "../screen.ts"

const AnalysisLive = Analysis.layer.pipe(Layer.provide([FitLive, ChooseLive, SampleLive, SummarizeLive]))

const request = {
  data: { seed: 7, points: 300, noise: 0.05 },
  starts: 6,
  plan: { chains: 4, warmup: 400, draws: 500 }
}

const known: Readonly<Record<string, number>> = { ...truth, noise: request.data.noise }

const isRight = ({ acceptance, divergences, draws, estimates }: Summary): void => {
  assert.deepStrictEqual(estimates.map(({ name }) => name), Object.keys(known))
  for (const { deviation, effectiveSize, high, low, mean, name, rHat } of estimates) {
    assert.isBelow(Math.abs(mean - known[name]!) / deviation, 3.5, `${name}: ${mean} ± ${deviation}`)
    assert.isBelow(deviation, 0.1 * known[name]!, name)
    assert.isTrue(low < mean && mean < high)
    assert.isBelow(rHat, 1.02, name)
    assert.isAbove(effectiveSize, 200, name)
  }
  assert.strictEqual(draws, 2_000)
  assert.strictEqual(divergences, 0)
  assert.isAbove(acceptance, 0.7)
}

describe("an analysis", () => {
  it.live("finds what the data were made with, and chains that agree on it", () =>
    Effect.gen(function*() {
      const run = yield* begin(request)
      const status = yield* run.await
      assert.strictEqual(status.state, "completed")
      assert.strictEqual(status.counts.succeeded, 6 + 1 + 4 + 1)
      const summary = yield* result(run)
      isRight(summary)
      assert.match(table(summary), /^slowRate +0\.\d{4} /m)
      assert.match(lines(status)[0]!, /^completed: 12 works done, 0 failed, 0 wait$/)
      // Asked again, it tells the same without computing anything.
      assert.deepStrictEqual(yield* result(run), summary)
    }).pipe(Effect.scoped, Effect.provide(AnalysisLive.pipe(Layer.provide(Journal.layerMemory)))), 60_000)

  it.live("starts from the best of its fits, also when others failed, and not without any", () =>
    Effect.gen(function*() {
      const run = yield* (yield* Analysis).open("choosing", { concurrency: 4, pools: { worker: 2 } })
      const none = yield* run.submit(Choose, { data: request.data, fits: [], plan: request.plan }, { id: "none" })
      const error = yield* Effect.flip(none.await)
      assert.instanceOf(error, NoFit)
      assert.match(error.message, /none of 0 starts/)
    }).pipe(Effect.scoped, Effect.provide(AnalysisLive.pipe(Layer.provide(Journal.layerMemory)))))
})
