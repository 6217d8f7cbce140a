/**
 * Idempotency keys: works that are merged into others, or take their places.
 */
import { describe, expect, it } from "vitest"
import { child, Driver, ids, running, spec } from "./support/driver.ts"

describe("dedupe", () => {
  it("merges a work into a queued one with the same key", () => {
    const run = Driver.start({}, spec("a", { dedupe: "plan" }))
    expect(run.add(spec("b", { dedupe: "plan" }))).toEqual([])
    expect(ids(run)).toEqual(["a"])
  })

  it("merges within one batch, and adds the rest of it", () => {
    const run = Driver.start()
    run.add(spec("a", { dedupe: "plan" }), spec("b", { dedupe: "plan" }), spec("c", { dedupe: "other" }), spec("d"))
    expect(ids(run)).toEqual(["a", "c", "d"])
  })

  it("does not merge into a work that has begun", () => {
    const run = running({}, spec("a", { dedupe: "plan" }))
    run.add(spec("b", { dedupe: "plan" }))
    expect(ids(run)).toEqual(["a", "b"])
  })

  it("does not merge into a work that is queued again after it had begun", () => {
    const run = running({}, spec("a", { dedupe: "plan" }))
    run.crash()
    run.add(spec("b", { dedupe: "plan" }))
    expect(ids(run)).toEqual(["a", "b"])
  })

  it("does not merge into a work that was cancelled before it began", () => {
    const run = Driver.start({}, spec("a", { dedupe: "plan" }))
    run.cancel("a")
    run.add(spec("b", { dedupe: "plan" }))
    expect(ids(run)).toEqual(["a", "b"])
  })

  it("keeps the key of one that waits when another with it ends", () => {
    const run = running({ concurrency: 1 }, spec("a", { dedupe: "plan" }))
    run.add(spec("b", { dedupe: "plan" }))
    run.succeed("a")
    run.add(spec("c", { dedupe: "plan" }))
    expect(ids(run)).toEqual(["a", "b"])
  })

  it("merges children into what waits, and into each other", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b", { dedupe: "one" }))
    run.succeed(
      "a",
      child("c", "success", { dedupe: "one" }),
      child("d", "success", { dedupe: "two" }),
      child("e", "success", { dedupe: "two" })
    )
    expect(ids(run)).toEqual(["a", "b", "d"])
  })

  it("does not hide a duplicate id", () => {
    const run = Driver.start({}, spec("a", { dedupe: "plan" }))
    expect(run.refusal({ _tag: "Add", specs: [spec("b"), spec("a", { dedupe: "plan" })] })).toBe("DuplicateWork")
    expect(run.refusal({ _tag: "Add", specs: [spec("c"), spec("c")] })).toBe("DuplicateWork")
    expect(ids(run)).toEqual(["a"])
  })
})
