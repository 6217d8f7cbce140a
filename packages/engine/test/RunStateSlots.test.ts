/**
 * Claims on pools by running works: asked for, granted, held across steps, given back.
 */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { by, Driver, running, spec, tags } from "./support/driver.ts"

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
    run.failAgain("a", 1_000)
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
    run.failAgain("b", 1_000)
    run.succeed("a")
    expect(run.schedule()).toEqual([])
    expect(run.state.pools.get("gpu")!.used).toBe(0)
  })

  it("of a pool that the run does not have are refused by name", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a"))
    for (const pool of ["cpu", "constructor"]) {
      const command = { _tag: "RequestSlots", id: "a", start: 1, hold: "h", claims: { [pool]: 1 } } as const
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
