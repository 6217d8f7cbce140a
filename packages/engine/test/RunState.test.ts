/**
 * The finer rules of a run's state, one example each: order, cancel, attempts, the run itself. Files beside this one are about
 * one subject each. The whole table is in `LifeOfAWork.test.ts`, the invariants are in `RunStateProperties.test.ts`.
 */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { nextWake } from "../src/internal/ready.ts"
import { boom, by, child, Driver, ids, kind, running, spec, start, tags } from "./support/driver.ts"
import { projection } from "./support/projection.ts"

describe("order", () => {
  it("lower priorities start first, and ties in order of arrival", () => {
    const run = Driver.start(
      {},
      spec("a", { priority: 1 }),
      spec("b"),
      spec("c", { priority: -0.5 }),
      spec("d"),
      spec("e", { priority: -0.5 })
    )
    expect(run.schedule()).toEqual(["c", "e", "b", "d", "a"])
  })

  it("works of different kinds and claims share one order", () => {
    const run = Driver.start(
      { pools: { gpu: 9 } },
      spec("a", { slots: { gpu: 1 } }),
      spec("b"),
      spec("c", { kind: "Undo" }),
      spec("d", { slots: { gpu: 1 } })
    )
    expect(run.schedule()).toEqual(["a", "b", "c", "d"])
  })

  it("what cannot start does not block what can", () => {
    const run = Driver.start(
      { pools: { gpu: 1 }, kinds: { Plain: kind(), Single: kind({ limit: 1 }) } },
      spec("too large", { priority: -9, slots: { gpu: 2 } }),
      spec("no handler", { priority: -8, kind: "Lost" }),
      spec("first of one", { kind: "Single" }),
      spec("second of one", { kind: "Single" }),
      spec("last", { priority: 5 })
    )
    expect(run.schedule()).toEqual(["first of one", "last"])
  })

  it("concurrency bounds what runs, and the next starts when one ends", () => {
    const run = Driver.start({ concurrency: 2 }, spec("a"), spec("b"), spec("c"))
    expect(run.schedule()).toEqual(["a", "b"])
    expect(run.schedule()).toEqual([])
    run.fail("b")
    expect(run.schedule()).toEqual(["c"])
  })

  it("a retry keeps its place in the order of arrival", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"), spec("c"))
    run.failAgain("a", 0)
    expect(run.status("a")).toBe("queued")
    expect(run.schedule()).toEqual(["a"])
    expect(run.entry("a").live?.attempt).toBe(2)
  })

  it("what a crash interrupted goes before everything else, in its own order", () => {
    const run = running({ concurrency: 2 }, spec("a"), spec("b"), spec("c"))
    run.add(spec("urgent", { priority: -100 }))
    run.crash()
    expect(run.schedule()).toEqual(["a", "b"])
    run.succeed("a")
    expect(run.schedule()).toEqual(["urgent"])
  })

  it("a second crash keeps those first that the first one interrupted", () => {
    const run = running({ concurrency: 1 }, spec("a"))
    run.add(spec("urgent", { priority: -100 }))
    run.crash()
    run.crash()
    expect(run.schedule()).toEqual(["a"])
  })

  it("after a retry a work that was taken up first goes in its normal place", () => {
    const run = running({ concurrency: 1 }, spec("a"))
    run.crash()
    run.schedule()
    run.add(spec("urgent", { priority: -100 }))
    run.failAgain("a", 0)
    expect(run.schedule()).toEqual(["urgent"])
  })
})

describe("cancel", () => {
  it("beats a retry", () => {
    const run = running({}, spec("a"))
    run.cancel("a")
    expect(tags(run.failAgain("a", 1_000))).toEqual(["WorkCancelled"])
    expect(run.status("a")).toBe("cancelled")
    expect(nextWake(run.state)).toBeUndefined()
  })

  it("beats a success that comes after it", () => {
    const run = running({}, spec("a"))
    run.cancel("a")
    expect(tags(run.succeed("a", child("b", "always")))).toEqual(["WorkCancelled"])
    expect(run.entry("a").outcome).toEqual({ _tag: "Cancelled", ...by })
    expect(ids(run)).toEqual(["a"])
  })

  it("takes a waiting work out of the queue of times", () => {
    const run = running({}, spec("a"), spec("b"))
    run.failAgain("a", 1_000)
    run.failAgain("b", 2_000)
    run.cancel("a")
    expect(nextWake(run.state)).toBe(start + 2_000)
    expect(run.tick(5_000)).toMatchObject([{ _tag: "WorkQueued", id: "b" }])
  })

  it("keeps a step that was recorded after it, for the clean-up to know", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.cancel("a")
    run.record("a", "launch")
    run.interrupted("a")
    expect(run.status("a")).toBe("cleaning")
    expect(run.entry("a").live!.steps!.get("launch")?.result).toBe("launch of a")
  })

  it("withdraws what the work asked for", () => {
    const run = running({ concurrency: 1, pools: { gpu: 1 } }, spec("a", { slots: { gpu: 1 } }), spec("b"))
    run.request("a", "more", { gpu: 1 })
    expect(run.schedule()).toEqual(["b"])
    run.request("b", "h", { gpu: 1 })
    run.cancel("b")
    run.succeed("a")
    expect(run.schedule()).toEqual([])
    expect(tags(run.interrupted("b"))).toEqual(["WorkCancelled"])
    expect([run.state.units, run.state.pools.get("gpu")!.used]).toEqual([0, 0])
  })

  it("keeps what is held until the clean-up is through", () => {
    const run = running({ pools: { machine: 1 } }, spec("a", { kind: "Undo" }), spec("b"))
    run.request("a", "machine", { machine: 1 })
    run.request("b", "machine", { machine: 1 })
    run.cancel("a")
    run.interrupted("a")
    expect(run.schedule()).toEqual([])
    run.give({ _tag: "Cleaned", id: "a" })
    expect(run.schedule()).toEqual(["b/machine"])
  })

  it("survives a crash, and so does the clean-up", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.cancel("a")
    expect(tags(run.crash())).toEqual(["RunResumed", "WorkCleaning"])
    expect(tags(run.crash())).toEqual(["RunResumed"])
    expect(run.status("a")).toBe("cleaning")
    expect(run.give({ _tag: "Cleaned", id: "a" })).toMatchObject([{ _tag: "WorkCancelled", id: "a", ...by }])
  })

  it("of a run settles at once what has not begun, and waits for what has", () => {
    const run = running({ concurrency: 2 }, spec("a"), spec("b", { kind: "Undo" }), spec("c"))
    expect(tags(run.give({ _tag: "Cancel", ...by }))).toEqual([
      "RunCancelling",
      "WorkCancelling",
      "WorkCancelling",
      "WorkCancelled"
    ])
    expect(run.schedule()).toEqual([])
    run.interrupted("a")
    run.interrupted("b")
    expect(run.state.name).toBe("cancelling")
    expect(tags(run.give({ _tag: "Cleaned", id: "b" }))).toEqual(["WorkCancelled", "RunCancelled"])
    expect(run.state.finishedAt).toBe(start)
  })

  it("of a run is carried through although the journal's tail was torn off within it", () => {
    const run = running({ concurrency: 1 }, spec("a", { kind: "Undo" }), spec("b"), spec("c"))
    expect(run.give({ _tag: "Cancel", ...by })).toHaveLength(4)
    run.die(3)
    expect(run.state.name).toBe("cancelling")
    expect(run.status("a")).toBe("running")
    run.crash()
    expect(["a", "b", "c"].map((id) => run.status(id))).toEqual(["cleaning", "cancelled", "cancelled"])
    expect(run.entry("c").outcome).toEqual({ _tag: "Cancelled", ...by })
  })

  it("of a work whose payload could not be read cleans nothing, before and after the next open", () => {
    const run = running({}, spec("a", { kind: "Undo" }), spec("b", { kind: "Undo" }))
    for (const id of ["a", "b"]) run.give({ _tag: "Block", id, start: 1, what: "of another version" })
    expect(tags(run.cancel("a"))).toEqual(["WorkCancelled"])
    run.crash()
    expect(tags(run.cancel("b"))).toEqual(["WorkCancelled"])
  })

  it("of a work that had begun before its payload could not be read cleans up after the next open too", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.record("a", "launch")
    run.crash()
    run.schedule()
    run.give({ _tag: "Block", id: "a", start: 2, what: "of another version" })
    run.crash()
    expect(tags(run.cancel("a"))).toEqual(["WorkCancelling", "WorkCleaning"])
  })
})

describe("late messages", () => {
  it("of the attempt before are ignored", () => {
    const run = running({}, spec("a"))
    run.failAgain("a", 0)
    run.schedule()
    const before = projection(run.state)
    expect(run.refusal({ _tag: "Succeed", id: "a", start: 1, result: 1, children: [] })).toBe("Late")
    expect(run.refusal({ _tag: "RecordStep", id: "a", start: 1, step: "s", result: 1, children: [] })).toBe("Late")
    expect(projection(run.state)).toBe(before)
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
  })

  it("of a settled work do not change its outcome", () => {
    const run = running({}, spec("a"))
    run.fail("a")
    expect(run.refusal({ _tag: "Succeed", id: "a", start: 1, result: 1, children: [] })).toBe("Late")
    expect(run.entry("a").outcome).toEqual({ _tag: "Failed", failure: boom })
  })
})

describe("attempts", () => {
  it("are counted by failures, not by suspends and crashes", () => {
    const run = running({}, spec("a"))
    run.interrupted("a")
    run.schedule()
    expect(run.attempt("a")).toBe(1)
    run.crash()
    run.schedule()
    expect(run.attempt("a")).toBe(1)
    run.failAgain("a", 0)
    run.schedule()
    expect(run.attempt("a")).toBe(2)
    run.crash()
    run.schedule()
    expect(run.attempt("a")).toBe(2)
    run.fail("a")
    expect(run.entry("a").live!.failures!.map((each) => each.attempt)).toEqual([1, 2])
  })

  it("count the time that they lived through suspends and crashes, and a new one begins at zero", () => {
    const run = running({}, spec("a"))
    run.interrupted("a")
    expect(run.entry("a").live!.livedMillis).toBe(10)
    run.schedule()
    run.now += 500
    run.record("a", "one")
    run.now += 60_000
    run.crash()
    expect(run.entry("a").live!.livedMillis).toBe(510)
    run.schedule()
    run.failAgain("a", 0)
    expect(run.entry("a").live!.livedMillis).toBe(0)
  })

  it("wait for their time, and are queued together when it has passed for several", () => {
    const run = running({}, spec("a"), spec("b"), spec("c"))
    run.failAgain("a", 3_000)
    run.failAgain("b", 1_000)
    run.failAgain("c", 2_000)
    expect(nextWake(run.state)).toBe(start + 1_000)
    expect(run.tick(999)).toEqual([])
    expect(run.tick(1_001)).toMatchObject([{ _tag: "WorkQueued", id: "b" }, { _tag: "WorkQueued", id: "c" }])
    expect(run.schedule()).toEqual(["b", "c"])
    expect(run.tick(1_000)).toMatchObject([{ _tag: "WorkQueued", id: "a" }])
  })

  it("wait through a crash", () => {
    const run = running({}, spec("a"))
    run.failAgain("a", 1_000)
    run.now += 5_000
    expect(tags(run.crash())).toEqual(["RunResumed", "WorkQueued"])
    expect(run.schedule()).toEqual(["a"])
  })
})

describe("a run", () => {
  it("without works that is not kept open completes as it starts", () => {
    expect(tags(Driver.start({ keepOpen: false }).events)).toEqual(["RunStarted", "RunCompleted"])
  })

  it("is extended by new work after it has completed", () => {
    const run = running({ keepOpen: false }, spec("a"))
    run.succeed("a")
    expect(run.state.finishedAt).toBe(start)
    run.add(spec("b"))
    expect([run.state.name, run.state.finishedAt]).toEqual(["running", undefined])
    expect(run.schedule()).toEqual(["b"])
  })

  it("starts nothing while it is pausing or paused, and goes on where it was", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"))
    run.give({ _tag: "Pause", ...by })
    expect(run.state.cause).toEqual({ actor: by.actor, reason: by.reason })
    run.succeed("a")
    expect(run.state.name).toBe("paused")
    expect(run.schedule()).toEqual([])
    run.give({ _tag: "Continue", ...by })
    expect(run.state.cause).toBeUndefined()
    expect(run.schedule()).toEqual(["b"])
  })

  it("that is paused stays so through a crash", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"))
    run.give({ _tag: "Pause", ...by })
    run.crash()
    expect(run.state.name).toBe("paused")
    expect(run.schedule()).toEqual([])
  })

  it("settles nothing by being suspended, and goes on with all of it", () => {
    const run = running({}, spec("a"), spec("b"))
    run.record("a", "one")
    run.give({ _tag: "Suspend", ...by })
    run.interrupted("a")
    expect(run.state.name).toBe("suspending")
    run.failAgain("b", 1_000)
    expect(run.state.name).toBe("suspended")
    expect(run.schedule()).toEqual([])
    run.crash()
    expect(run.schedule()).toEqual(["a"])
    expect(run.entry("a").live!.steps!.has("one")).toBe(true)
    expect(run.status("b")).toBe("waiting")
  })

  it("may be cancelled while it is suspending: the handlers that end are cancelled then", () => {
    const run = running({}, spec("a"))
    run.give({ _tag: "Suspend", ...by })
    run.give({ _tag: "Cancel", ...by })
    expect(tags(run.interrupted("a"))).toEqual(["WorkCancelled", "RunCancelled"])
  })

  it("refuses what it cannot take with what to do about it", () => {
    const run = Driver.start({ keepOpen: false })
    const paused = run.try({ _tag: "Pause", ...by })
    expect(Result.isFailure(paused) && paused.failure).toMatchObject({
      _tag: "RunNotAccepting",
      command: "Pause",
      state: "completed",
      message: "Pause is not possible while the run is completed: adding work extends it"
    })
  })

  it("tells what a command would do without doing it", () => {
    const run = running({}, spec("a"))
    const before = projection(run.state)
    expect(tags(run.wouldDo({ _tag: "CancelWork", id: "a", ...by }))).toEqual(["WorkCancelling"])
    expect(projection(run.state)).toBe(before)
  })
})
