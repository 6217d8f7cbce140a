/**
 * Runs that do not remember all works that have settled.
 */
import { expect, it } from "vitest"
import { type Driver, ids, running, spec, tags } from "./support/driver.ts"

const settle = (run: Driver, ...names: ReadonlyArray<string>): void => {
  for (const name of names) {
    run.add(spec(name))
    run.cancel(name)
  }
}

it("a run that says nothing keeps all", () => {
  const run = running({}, spec("a"))
  run.succeed("a")
  settle(run, ...Array.from({ length: 100 }, (_, index) => `w${index}`))
  expect(run.state.works.size).toBe(101)
})

it("a run that keeps a count forgets the oldest beyond it", () => {
  const run = running({ retain: { count: 2 } })
  settle(run, "a", "b", "c", "d")
  expect(ids(run)).toEqual(["c", "d"])
})

it("the oldest is the one that settled first, not the one that came first", () => {
  const run = running({ retain: { count: 1 } }, spec("a"), spec("b"))
  run.succeed("b")
  run.tick(1)
  run.succeed("a")
  expect(ids(run)).toEqual(["a"])
})

it("a run that keeps an age forgets what is older, when time passes", () => {
  const run = running({ retain: { ageMillis: 1_000 } })
  settle(run, "a")
  expect(run.tick(900)).toEqual([])
  settle(run, "b")
  expect(run.tick(600)).toMatchObject([{ _tag: "WorksForgotten", ids: ["a"] }])
})

it("works that are not settled are never forgotten, and do not count", () => {
  const run = running({ retain: { count: 0 } }, spec("a"), spec("b"))
  expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded", "WorksForgotten"])
  expect(ids(run)).toEqual(["b"])
})

it("what an unsettled work waits or waited for is kept until that one has settled", () => {
  const run = running({ retain: { count: 0 } }, spec("a"), spec("b", { after: ["a"] }))
  expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
  run.schedule()
  expect(ids(run)).toEqual(["a", "b"])
  run.succeed("b")
  expect(ids(run)).toEqual([])
})

it("what is forgotten is as if it had never been there", () => {
  const run = running({ retain: { count: 0 } }, spec("a"))
  run.succeed("a")
  expect(run.refusal({ _tag: "CancelWork", id: "a", actor: "ada", reason: "" })).toBe("WorkNotFound")
  expect(run.refusal({ _tag: "Add", specs: [spec("b", { after: ["a"] })] })).toBe("InvalidWork")
  run.add(spec("a"))
  expect(run.schedule()).toEqual(["a"])
  expect(run.startOf("a")).toBe(1)
})

it("a run that is opened to keep fewer forgets at once, and one that keeps all again has lost them", () => {
  const run = running({})
  settle(run, "a", "b", "c")
  expect(run.crash({ retain: { count: 1 } })).toMatchObject([
    { _tag: "RunResumed" },
    { _tag: "WorksForgotten", ids: ["a", "b"] }
  ])
  run.crash({ retain: {} })
  expect(ids(run)).toEqual(["c"])
})

it("a run that is opened from a snapshot knows which settled first", () => {
  const run = running({ retain: { count: 2 } }, spec("a"), spec("b"))
  run.succeed("b")
  run.tick(1)
  run.succeed("a")
  run.restore()
  run.tick(1)
  settle(run, "c")
  expect([...ids(run)].sort()).toEqual(["a", "c"])
})
