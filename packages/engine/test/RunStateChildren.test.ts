/**
 * Works that handlers spawn: which come, and when.
 */
import { describe, expect, it } from "vitest"
import { boom, child, ids, running, spec, start, tags } from "./support/driver.ts"

describe("children", () => {
  const all = [child("s", "success"), child("f", "failure"), child("x", "always")]

  it("for success come with success", () => {
    const run = running({}, spec("a"))
    run.succeed("a", ...all)
    expect(ids(run)).toEqual(["a", "s", "x"])
  })

  it("for failure come with failure", () => {
    const run = running({}, spec("a"))
    run.fail("a", ...all)
    expect(ids(run)).toEqual(["a", "f", "x"])
  })

  it("die with an attempt that is tried again", () => {
    const run = running({}, spec("a"))
    run.give({ _tag: "Fail", id: "a", start: 1, failure: boom, retryAt: start, children: all })
    expect(ids(run)).toEqual(["a"])
    run.schedule()
    run.succeed("a")
    expect(ids(run)).toEqual(["a"])
  })

  it("of a recorded step survive retries and crashes, and come when the work settles", () => {
    const run = running({}, spec("a"))
    run.record("a", "one", ...all)
    run.failAgain("a", 0)
    run.schedule()
    run.crash()
    run.schedule()
    expect(ids(run)).toEqual(["a"])
    run.succeed("a", child("own"))
    expect(ids(run)).toEqual(["a", "s", "x", "own"])
  })

  it("do not come with cancellation", () => {
    const run = running({}, spec("a"))
    run.record("a", "one", ...all)
    run.cancel("a")
    run.succeed("a", ...all)
    expect(run.status("a")).toBe("cancelled")
    expect(ids(run)).toEqual(["a"])
  })

  it("that are there already are not added again", () => {
    const run = running({}, spec("a"), spec("b"))
    run.succeed("a", child("c"))
    run.record("b", "one", child("d"))
    expect(run.succeed("b", child("c"), child("d"))).toMatchObject([{ _tag: "WorkSucceeded", children: [{ id: "d" }] }])
    expect(ids(run)).toEqual(["a", "b", "c", "d"])
    expect(run.state.unsettled).toBe(2)
  })

  it("keep the run from completing", () => {
    const run = running({ keepOpen: false }, spec("a"))
    expect(tags(run.succeed("a", child("b")))).toEqual(["WorkSucceeded"])
    run.schedule()
    expect(tags(run.succeed("b"))).toEqual(["WorkSucceeded", "RunCompleted"])
  })
})
