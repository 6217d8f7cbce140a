/**
 * Handlers that do not end when they are told to, and what they keep.
 */
import { describe, expect, it } from "vitest"
import type { AttemptEnd } from "../src/internal/command.ts"
import { type Driver, running, spec, tags } from "./support/driver.ts"

const used = (run: Driver, pool: string): number => run.state.pools.get(pool)!.used

const interrupted = (run: Driver, id: string): AttemptEnd => ({
  _tag: "Interrupted",
  id,
  start: run.startOf(id),
  livedMillis: 5
})

const giveUp = (run: Driver, id: string, keepsSlots: boolean, end?: AttemptEnd): ReturnType<Driver["give"]> =>
  run.give({ _tag: "Stuck", id, start: run.startOf(id), keepsSlots, end: end ?? run.failing(id, undefined) })

/** One that has a slot by its spec, one for a step, and one across steps. */
const holding = (): Driver => {
  const run = running({ concurrency: 1, pools: { gpu: 1, disk: 1, machine: 1 } }, spec("a", { slots: { gpu: 1 } }))
  run.request("a", "step:s", { disk: 1 }, { step: "s" })
  run.request("a", "held", { machine: 1 })
  return run
}

describe("a handler that is given up", () => {
  it("ends as it would have ended, and its unit is free", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"))
    expect(tags(giveUp(run, "a", false))).toEqual(["WorkStuck", "WorkFailed"])
    expect(run.schedule()).toEqual(["b"])
  })

  it("gives its slots back", () => {
    const run = holding()
    giveUp(run, "a", false)
    expect([used(run, "gpu"), used(run, "disk"), used(run, "machine")]).toEqual([0, 0, 0])
  })

  it("keeps those of its work and its step when its kind says so, until it ends at last", () => {
    const run = holding()
    giveUp(run, "a", true)
    expect([used(run, "gpu"), used(run, "disk"), used(run, "machine")]).toEqual([1, 1, 0])
    expect(tags(run.give({ _tag: "Unstuck", id: "a", start: 1 }))).toEqual(["WorkUnstuck"])
    expect([used(run, "gpu"), used(run, "disk")]).toEqual([0, 0])
  })

  it("keeps them until its process dies", () => {
    const run = holding()
    giveUp(run, "a", true)
    run.crash()
    expect([used(run, "gpu"), used(run, "disk")]).toEqual([0, 0])
    expect(run.refusal({ _tag: "Unstuck", id: "a", start: 1 })).toBe("Late")
  })

  it("leaves what is held across steps to its work", () => {
    const run = holding()
    giveUp(run, "a", true, interrupted(run, "a"))
    expect(used(run, "machine")).toBe(1)
    expect(run.schedule()).toEqual([])
    run.give({ _tag: "Unstuck", id: "a", start: 1 })
    expect(run.schedule()).toEqual(["a"])
    expect([used(run, "gpu"), used(run, "machine")]).toEqual([1, 1])
  })

  it("is heard no more, although its work runs again", () => {
    const run = running({}, spec("a"))
    giveUp(run, "a", false, interrupted(run, "a"))
    expect(run.schedule()).toEqual(["a"])
    expect(run.refusal({ _tag: "Succeed", id: "a", start: 1, result: 1, children: [] })).toBe("Late")
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
    expect(tags(run.give({ _tag: "Unstuck", id: "a", start: 1 }))).toEqual(["WorkUnstuck"])
  })

  it("of a work that is being cancelled lets the clean-up begin", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.cancel("a")
    expect(tags(giveUp(run, "a", false, interrupted(run, "a")))).toEqual(["WorkStuck", "WorkCleaning"])
  })

  it("does not keep a run from being suspended", () => {
    const run = running({}, spec("a"))
    run.give({ _tag: "Suspend", actor: "ada", reason: "" })
    expect(tags(giveUp(run, "a", true, interrupted(run, "a")))).toEqual([
      "WorkStuck",
      "WorkInterrupted",
      "RunSuspended"
    ])
  })

  it("ends at last once, and nobody else's end is its", () => {
    const run = running({}, spec("a"), spec("b"))
    giveUp(run, "a", false)
    expect(run.refusal({ _tag: "Unstuck", id: "b", start: 1 })).toBe("Late")
    expect(run.refusal({ _tag: "Unstuck", id: "a", start: 2 })).toBe("Late")
    run.give({ _tag: "Unstuck", id: "a", start: 1 })
    expect(run.refusal({ _tag: "Unstuck", id: "a", start: 1 })).toBe("Late")
  })

  it("gives its slots back although its work has been forgotten", () => {
    const run = running({ pools: { gpu: 1 }, retain: { count: 0 } }, spec("a", { slots: { gpu: 1 } }))
    expect(tags(giveUp(run, "a", true))).toEqual(["WorkStuck", "WorkFailed", "WorksForgotten"])
    expect(used(run, "gpu")).toBe(1)
    run.give({ _tag: "Unstuck", id: "a", start: 1 })
    expect(used(run, "gpu")).toBe(0)
  })
})
