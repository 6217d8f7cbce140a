/**
 * A run that is opened by another deployment: kinds, pools and limits that are lost, found, or changed.
 */
import { describe, expect, it } from "vitest"
import { configOf, Driver, kind, running, spec, tags } from "./support/driver.ts"

describe("opening with another configuration", () => {
  it("a kind that is lost makes its works wait, and does not spoil them", () => {
    const run = running({}, spec("a"), spec("b", { kind: "Undo" }))
    run.crash({ kinds: { Undo: kind({ onCancel: true }) } })
    expect(run.schedule()).toEqual(["b"])
    expect(run.reason("a")).toEqual({ _tag: "NoHandler", kind: "Plain" })
    run.crash({ kinds: configOf().kinds })
    expect(run.schedule()).toEqual(["a", "b"])
  })

  it("a pool that is lost makes its works wait", () => {
    const run = Driver.start({ pools: { gpu: 1 } }, spec("a", { slots: { gpu: 1 } }))
    run.crash({ pools: {} })
    expect(run.schedule()).toEqual([])
    expect(run.reason("a")).toEqual({ _tag: "Unsatisfiable", pool: "gpu", needs: 1, size: 0 })
  })

  it("a pool that got smaller than what is held gives out nothing until enough came back", () => {
    const run = running({ pools: { gpu: 3 } }, spec("a"), spec("b"))
    run.request("a", "h", { gpu: 2 })
    run.request("b", "h", { gpu: 1 })
    run.crash({ pools: { gpu: 2 } })
    run.add(spec("c", { slots: { gpu: 1 } }))
    expect(run.schedule()).toEqual(["a", "b"])
    expect(run.reason("c")).toEqual({ _tag: "Slot", pool: "gpu", needs: 1, free: -1 })
    run.release("b", "h")
    expect(run.schedule()).toEqual([])
    run.release("a", "h")
    expect(run.schedule()).toEqual(["c"])
  })

  it("a new limit and a new concurrency hold from then on", () => {
    const run = running({}, spec("a"), spec("b"), spec("c", { kind: "Undo" }), spec("d", { kind: "Undo" }))
    run.crash({ concurrency: 2, kinds: { Plain: kind({ limit: 1 }), Undo: kind() } })
    expect(run.schedule()).toEqual(["a", "c"])
    expect(run.reason("b")).toEqual({ _tag: "KindLimit", kind: "Plain", limit: 1 })
    run.crash({ concurrency: 3, kinds: configOf().kinds })
    expect(run.schedule()).toEqual(["a", "b", "c"])
  })

  it("a kind that now declares onCancel cleans what was cancelled under the old one", () => {
    const run = running({}, spec("a"))
    run.cancel("a")
    expect(tags(run.crash({ kinds: { Plain: kind({ onCancel: true }) } }))).toEqual(["RunResumed", "WorkCleaning"])
  })

  it("a kind that no longer declares onCancel has nothing left to clean", () => {
    const run = running({}, spec("a", { kind: "Undo" }), spec("b", { kind: "Undo" }))
    run.cancel("a")
    run.interrupted("a")
    run.cancel("b")
    run.crash({ kinds: { Undo: kind() } })
    expect([run.status("a"), run.status("b")]).toEqual(["cancelled", "cancelled"])
  })

  it("a clean-up waits for a program that has its kind", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.cancel("a")
    run.crash({ kinds: {} })
    expect(run.status("a")).toBe("cleaning")
    run.crash({ kinds: {} })
    expect(run.status("a")).toBe("cleaning")
  })

  it("a run that is kept open by it does not complete until it is closed", () => {
    const run = running({ keepOpen: false }, spec("a"))
    run.crash({ keepOpen: true })
    run.schedule()
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
    expect(tags(run.give({ _tag: "Close" }))).toEqual(["RunClosed", "RunCompleted"])
  })

  it("a completed run that is kept open by it can be closed, and completes again after more work", () => {
    const run = running({ keepOpen: false }, spec("a"))
    run.succeed("a")
    expect(run.state.name).toBe("completed")
    run.crash({ keepOpen: true })
    expect(tags(run.give({ _tag: "Close" }))).toEqual(["RunClosed"])
    run.add(spec("b"))
    run.schedule()
    expect(tags(run.succeed("b"))).toEqual(["WorkSucceeded", "RunCompleted"])
  })
})
