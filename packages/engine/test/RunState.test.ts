/**
 * The finer rules of a run's state, one example each. The whole table is in `LifeOfAWork.test.ts`, the invariants are in
 * `RunStateProperties.test.ts`.
 */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { nextWake, obstacle } from "../src/RunState.ts"
import { boom, by, child, configOf, Driver, kind, spec, start, tags } from "./support/driver.ts"
import { projection } from "./support/projection.ts"

const ids = (run: Driver): ReadonlyArray<string> => Array.from(run.state.works.keys())

/** A run in which all works were added one after another and started as far as possible. */
const running = (
  options: Parameters<typeof Driver.start>[0],
  ...specs: Parameters<typeof Driver.start>[1][]
): Driver => {
  const run = Driver.start(options, ...specs)
  run.schedule()
  return run
}

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
    run.retry("a", 0)
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
    run.retry("a", 0)
    expect(run.schedule()).toEqual(["urgent"])
  })
})

describe("cancel", () => {
  it("beats a retry", () => {
    const run = running({}, spec("a"))
    run.cancel("a")
    expect(tags(run.retry("a", 1_000))).toEqual(["WorkCancelled"])
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
    run.retry("a", 1_000)
    run.retry("b", 2_000)
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
    expect(run.entry("a").live!.steps.get("launch")?.result).toBe("launch of a")
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
    for (const id of ["a", "b"]) run.give({ _tag: "Block", id, attempt: 1, what: "of another version" })
    expect(tags(run.cancel("a"))).toEqual(["WorkCancelled"])
    run.crash()
    expect(tags(run.cancel("b"))).toEqual(["WorkCancelled"])
  })

  it("of a work that had begun before its payload could not be read cleans up after the next open too", () => {
    const run = running({}, spec("a", { kind: "Undo" }))
    run.record("a", "launch")
    run.crash()
    run.schedule()
    run.give({ _tag: "Block", id: "a", attempt: 1, what: "of another version" })
    run.crash()
    expect(tags(run.cancel("a"))).toEqual(["WorkCancelling", "WorkCleaning"])
  })
})

describe("late messages", () => {
  it("of the attempt before are ignored", () => {
    const run = running({}, spec("a"))
    run.retry("a", 0)
    run.schedule()
    const before = projection(run.state)
    expect(run.refusal({ _tag: "Succeed", id: "a", attempt: 1, result: 1, children: [] })).toBe("Late")
    expect(run.refusal({ _tag: "RecordStep", id: "a", attempt: 1, step: "s", result: 1, children: [] })).toBe("Late")
    expect(projection(run.state)).toBe(before)
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
  })

  it("of a settled work do not change its outcome", () => {
    const run = running({}, spec("a"))
    run.fail("a")
    expect(run.refusal({ _tag: "Succeed", id: "a", attempt: 1, result: 1, children: [] })).toBe("Late")
    expect(run.entry("a").outcome).toEqual({ _tag: "Failed", failure: boom })
  })
})

describe("slots", () => {
  it("of a spec are held from start to end", () => {
    const run = Driver.start({ pools: { gpu: 2 } }, spec("a", { slots: { gpu: 2 } }), spec("b", { slots: { gpu: 1 } }))
    expect(run.schedule()).toEqual(["a"])
    expect(run.state.pools.get("gpu")).toEqual({ size: 2, used: 2 })
    run.succeed("a")
    expect(run.schedule()).toEqual(["b"])
  })

  it("a work that asks for what is taken lends its concurrency unit", () => {
    const run = running({ concurrency: 2, pools: { gpu: 1 } }, spec("a"), spec("b"), spec("c"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    expect(run.state.units).toBe(1)
    expect(run.schedule()).toEqual(["c"])
    expect(run.state.units).toBe(2)
  })

  it("a work that lent its unit goes on only when there is a unit again", () => {
    const run = running({ concurrency: 2, pools: { gpu: 1 } }, spec("a"), spec("b"), spec("c"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    run.schedule()
    run.release("a", "h")
    expect(run.schedule()).toEqual([])
    run.succeed("c")
    expect(run.schedule()).toEqual(["b/h"])
    expect(run.state.units).toBe(2)
  })

  it("a claim that is free is granted at once, and keeps the unit", () => {
    const run = running({ concurrency: 1, pools: { gpu: 1 } }, spec("a"), spec("b", { priority: -1 }))
    expect(tags(run.request("b", "h", { gpu: 1 }))).toEqual(["SlotsGranted"])
    expect(run.state.units).toBe(1)
    expect(run.schedule()).toEqual([])
  })

  it("a claim that is free is not granted at once when somebody who waits for it comes first", () => {
    const run = running({ concurrency: 3, pools: { gpu: 1 } }, spec("a"), spec("b"), spec("c"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    run.release("a", "h")
    expect(tags(run.request("c", "h", { gpu: 1 }))).toEqual(["SlotsRequested"])
    expect(run.schedule()).toEqual(["b/h"])
  })

  it("whoever started last does not overtake one that lent it the unit it runs on", () => {
    const run = running({ concurrency: 2, pools: { machine: 1 } }, spec("a"), spec("b"), spec("c"))
    run.request("a", "machine", { machine: 1 })
    run.request("b", "machine", { machine: 1 })
    expect(run.schedule()).toEqual(["c"])
    run.release("a", "machine")
    expect(tags(run.request("c", "machine", { machine: 1 }))).toEqual(["SlotsRequested"])
    expect(run.schedule()).toEqual(["b/machine"])
    run.succeed("b")
    expect(run.schedule()).toEqual(["c/machine"])
  })

  it("a claim that is free is granted at once when those who wait want other things", () => {
    const run = running({ concurrency: 1, pools: { gpu: 1, disk: 1 } }, spec("a", { priority: 5 }))
    run.add(spec("b"), spec("c", { slots: { disk: 1 } }))
    expect(tags(run.request("a", "h", { gpu: 1 }))).toEqual(["SlotsGranted"])
  })

  it("a claim that is free is granted at once when those before it could not go on anyway", () => {
    const run = running({ concurrency: 1, pools: { gpu: 1 } }, spec("a", { priority: 5 }))
    run.add(spec("no handler", { kind: "Lost", slots: { gpu: 1 } }), spec("too large", { slots: { gpu: 2 } }))
    expect(tags(run.request("a", "h", { gpu: 1 }))).toEqual(["SlotsGranted"])
  })

  it("a claim queues among the works that wait to start, in the same order", () => {
    const run = running(
      { concurrency: 1, pools: { gpu: 1 } },
      spec("holder", { priority: -9, slots: { gpu: 1 } })
    )
    run.request("holder", "more", { gpu: 1 })
    run.add(spec("asker", { priority: -1 }))
    expect(run.schedule()).toEqual(["asker"])
    run.request("asker", "h", { gpu: 1 })
    run.add(spec("urgent", { priority: -2, slots: { gpu: 1 } }), spec("later", { slots: { gpu: 1 } }))
    run.succeed("holder")
    expect(run.schedule()).toEqual(["urgent"])
    run.succeed("urgent")
    expect(run.schedule()).toEqual(["asker/h"])
  })

  it("the same claim asked twice is held once", () => {
    const run = running({ pools: { gpu: 2 } }, spec("a"))
    run.request("a", "h", { gpu: 1 })
    expect(run.request("a", "h", { gpu: 1 })).toEqual([])
    expect(run.state.pools.get("gpu")!.used).toBe(1)
  })

  it("a claim that is asked again while it waits takes the place of the earlier one", () => {
    const run = running({ pools: { gpu: 2 } }, spec("a"), spec("b"))
    run.request("a", "h", { gpu: 2 })
    run.request("b", "h", { gpu: 1 })
    expect(tags(run.request("b", "h", { gpu: 2 }))).toEqual(["SlotsRequested"])
    run.release("a", "h")
    expect(run.schedule()).toEqual(["b/h"])
    expect(run.state.pools.get("gpu")!.used).toBe(2)
    run.succeed("b")
    expect(run.state.pools.get("gpu")!.used).toBe(0)
  })

  it("a work with several claims under way gets its unit back with the last, and is not locked out by itself", () => {
    const run = running({ concurrency: 1, pools: { gpu: 1, disk: 1 } }, spec("a", { slots: { gpu: 1, disk: 1 } }))
    run.request("a", "one", { gpu: 1 })
    run.add(spec("b"))
    expect(run.schedule()).toEqual(["b"])
    run.request("b", "one", { gpu: 1 })
    run.request("b", "two", { disk: 1 })
    run.succeed("a")
    expect(run.schedule()).toEqual(["b/one", "b/two"])
    expect(run.state.units).toBe(1)
    expect(run.entry("b").live!.lent).toBe(false)
  })

  it("that are released go back once, and may be asked for again", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"))
    run.request("a", "h", { gpu: 1 })
    run.release("a", "h")
    expect(run.release("a", "h")).toEqual([])
    expect(run.state.pools.get("gpu")!.used).toBe(0)
    expect(tags(run.request("a", "h", { gpu: 1 }))).toEqual(["SlotsGranted"])
    run.succeed("a")
    expect(run.state.pools.get("gpu")!.used).toBe(0)
  })

  it("held until a step are given back with its record, and not before", () => {
    const run = running({ pools: { machine: 1 } }, spec("a"), spec("b"))
    run.request("a", "machine", { machine: 1 }, { until: "poll" })
    run.request("b", "machine", { machine: 1 }, { until: "poll" })
    run.record("a", "launch")
    expect(run.schedule()).toEqual([])
    run.record("a", "poll")
    expect(run.schedule()).toEqual(["b/machine"])
  })

  it("held until a step that is recorded already are not taken again", () => {
    const run = running({ pools: { machine: 1 } }, spec("a"))
    run.request("a", "machine", { machine: 1 }, { until: "poll" })
    run.record("a", "poll")
    run.crash()
    run.schedule()
    expect(run.request("a", "machine", { machine: 1 }, { until: "poll" })).toEqual([])
    expect(run.state.pools.get("machine")!.used).toBe(0)
  })

  it("of a step alone are given back with its record", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"))
    run.request("a", "step:build", { gpu: 1 }, { step: "build" })
    run.record("a", "build")
    expect(run.state.pools.get("gpu")!.used).toBe(0)
  })

  it("of a step alone are given back by a crash, and those that are held across steps are not", () => {
    const run = running(
      { pools: { gpu: 1, machine: 1 } },
      spec("a", { slots: {} }),
      spec("b", { slots: { machine: 1 } })
    )
    run.succeed("b")
    run.request("a", "machine", { machine: 1 }, { until: "poll" })
    run.request("a", "step:build", { gpu: 1 }, { step: "build" })
    run.add(spec("c", { priority: -1, slots: { machine: 1 } }), spec("d", { slots: { gpu: 1 } }))
    run.crash()
    expect(run.state.pools.get("gpu")!.used).toBe(0)
    expect(run.state.pools.get("machine")!.used).toBe(1)
    expect(run.schedule()).toEqual(["a", "d"])
    expect(run.request("a", "machine", { machine: 1 }, { until: "poll" })).toEqual([])
  })

  it("that are held stay held while the work waits for its retry", () => {
    const run = running({ pools: { machine: 1 } }, spec("a"), spec("b"))
    run.request("a", "machine", { machine: 1 })
    run.retry("a", 1_000)
    expect(tags(run.request("b", "machine", { machine: 1 }))).toEqual(["SlotsRequested"])
    expect(run.schedule()).toEqual([])
    run.tick(1_000)
    run.schedule()
    run.succeed("a")
    expect(run.schedule()).toEqual(["b/machine"])
  })

  it("that a dead attempt asked for are not granted to it", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"), spec("b"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    run.retry("b", 1_000)
    run.succeed("a")
    expect(run.schedule()).toEqual([])
    expect(run.state.pools.get("gpu")!.used).toBe(0)
  })

  it("of a pool that the run does not have are refused by name", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"))
    for (const pool of ["cpu", "constructor"]) {
      const command = { _tag: "RequestSlots", id: "a", attempt: 1, hold: "h", claims: { [pool]: 1 } } as const
      expect(run.refusal(command)).toBe("InvalidWork")
      const added = run.try({ _tag: "Add", specs: [spec("b", { slots: { [pool]: 2 } })] })
      expect(Result.isFailure(added) && added.failure).toMatchObject({
        _tag: "InvalidWork",
        id: "b",
        field: `slots.${pool}`,
        value: "2",
        message: expect.stringContaining("gpu")
      })
    }
  })

  it("are granted in a pausing run, which starts nothing", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"), spec("b"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    run.add(spec("c"))
    run.give({ _tag: "Pause", ...by })
    run.succeed("a")
    expect(run.schedule()).toEqual(["b/h"])
    run.succeed("b")
    expect(run.state.name).toBe("paused")
    expect(run.schedule()).toEqual([])
  })
})

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
    run.give({ _tag: "Fail", id: "a", attempt: 1, failure: boom, retryAt: start, children: all })
    expect(ids(run)).toEqual(["a"])
    run.schedule()
    run.succeed("a")
    expect(ids(run)).toEqual(["a"])
  })

  it("of a recorded step survive retries and crashes, and come when the work settles", () => {
    const run = running({}, spec("a"))
    run.record("a", "one", ...all)
    run.retry("a", 0)
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

describe("opening with another configuration", () => {
  it("a kind that is lost makes its works wait, and does not spoil them", () => {
    const run = running({}, spec("a"), spec("b", { kind: "Undo" }))
    run.crash({ kinds: { Undo: kind({ onCancel: true }) } })
    expect(run.schedule()).toEqual(["b"])
    expect(obstacle(run.state, "Plain", undefined)).toEqual({ _tag: "NoHandler", kind: "Plain" })
    run.crash({ kinds: configOf().kinds })
    expect(run.schedule()).toEqual(["a", "b"])
  })

  it("a pool that is lost makes its works wait", () => {
    const run = Driver.start({ pools: { gpu: 1 } }, spec("a", { slots: { gpu: 1 } }))
    run.crash({ pools: {} })
    expect(run.schedule()).toEqual([])
    expect(obstacle(run.state, "Plain", { gpu: 1 })).toEqual({ _tag: "Unsatisfiable", pool: "gpu", needs: 1, size: 0 })
  })

  it("a pool that got smaller than what is held gives out nothing until enough came back", () => {
    const run = running({ pools: { gpu: 3 } }, spec("a"), spec("b"))
    run.request("a", "h", { gpu: 2 })
    run.request("b", "h", { gpu: 1 })
    run.crash({ pools: { gpu: 2 } })
    run.add(spec("c", { slots: { gpu: 1 } }))
    expect(run.schedule()).toEqual(["a", "b"])
    expect(obstacle(run.state, "Plain", { gpu: 1 })).toEqual({ _tag: "Slot", pool: "gpu", needs: 1, free: -1 })
    run.release("b", "h")
    expect(run.schedule()).toEqual([])
    run.release("a", "h")
    expect(run.schedule()).toEqual(["c"])
  })

  it("a new limit and a new concurrency hold from then on", () => {
    const run = running({}, spec("a"), spec("b"), spec("c", { kind: "Undo" }), spec("d", { kind: "Undo" }))
    run.crash({ concurrency: 2, kinds: { Plain: kind({ limit: 1 }), Undo: kind() } })
    expect(run.schedule()).toEqual(["a", "c"])
    expect(obstacle(run.state, "Plain", undefined)).toEqual({ _tag: "KindLimit", kind: "Plain", limit: 1 })
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

describe("attempts", () => {
  it("are counted by failures, not by suspends and crashes", () => {
    const run = running({}, spec("a"))
    run.interrupted("a")
    run.schedule()
    expect(run.attempt("a")).toBe(1)
    run.crash()
    run.schedule()
    expect(run.attempt("a")).toBe(1)
    run.retry("a", 0)
    run.schedule()
    expect(run.attempt("a")).toBe(2)
    run.crash()
    run.schedule()
    expect(run.attempt("a")).toBe(2)
    run.fail("a")
    expect(run.entry("a").live!.failures.map((each) => each.attempt)).toEqual([1, 2])
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
    run.retry("a", 0)
    expect(run.entry("a").live!.livedMillis).toBe(0)
  })

  it("wait for their time, and are queued together when it has passed for several", () => {
    const run = running({}, spec("a"), spec("b"), spec("c"))
    run.retry("a", 3_000)
    run.retry("b", 1_000)
    run.retry("c", 2_000)
    expect(nextWake(run.state)).toBe(start + 1_000)
    expect(run.tick(999)).toEqual([])
    expect(run.tick(1_001)).toMatchObject([{ _tag: "WorkQueued", id: "b" }, { _tag: "WorkQueued", id: "c" }])
    expect(run.schedule()).toEqual(["b", "c"])
    expect(run.tick(1_000)).toMatchObject([{ _tag: "WorkQueued", id: "a" }])
  })

  it("wait through a crash", () => {
    const run = running({}, spec("a"))
    run.retry("a", 1_000)
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
    run.retry("b", 1_000)
    expect(run.state.name).toBe("suspended")
    expect(run.schedule()).toEqual([])
    run.crash()
    expect(run.schedule()).toEqual(["a"])
    expect(run.entry("a").live!.steps.has("one")).toBe(true)
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
