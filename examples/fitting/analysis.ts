/** An analysis as one run: asked for again, it goes on where it was, or tells what it has found. */
import { Effect } from "effect"
import { Analysis, Choose, Fit, type Plan, Summarize, workers } from "./kinds.ts"
import type { DataSpec } from "./model.ts"

export interface Request {
  readonly data: DataSpec
  readonly starts: number
  readonly plan: Plan
}

/** Opens the run and gives it its works, those that it has not. */
export const begin = Effect.fn("begin")(function*({ data, plan, starts }: Request) {
  const run = yield* (yield* Analysis).open("analysis", {
    concurrency: workers + 2,
    pools: { worker: workers },
    owner: "fitting"
  })
  const fits: Array<string> = []
  for (let start = 1; start <= starts; start++) {
    const id = `fit/${start}`
    fits.push(id)
    yield* Effect.catchTag(run.submit(Fit, { data, start }, { id }), "DuplicateWork", () => Effect.void)
  }
  yield* run
    .submit(Choose, { data, fits, plan }, { id: "choose", after: fits, onDependencyFailure: "run" })
    .pipe(Effect.catchTag("DuplicateWork", () => Effect.void))
  yield* run.close
  return run
})

export type AnalysisRun = Effect.Success<ReturnType<typeof begin>>

/** What the run has found, when it is completed. */
export const result = Effect.fn("result")(function*(run: AnalysisRun) {
  return yield* (yield* run.job(Summarize, "summary")).await
})
