/**
 * Who starts among many: keys that take turns, limits, and units of pools that are kept back for one that has waited.
 */
import { describe, expect, it } from "vitest"
import { by, Driver, kind, running, spec } from "./support/driver.ts"

const keyed = (...names: ReadonlyArray<string>) =>
  names.map((name) => spec(name, name.includes(".") ? { key: name.split(".")[0]! } : {}))

describe("keys", () => {
  it("take turns at equal priority, and works without a key share one turn", () => {
    const run = Driver.start({}, ...keyed("x.1", "x.2", "x.3", "y.1", "n1", "n2", "y.2"))
    expect(run.schedule()).toEqual(["x.1", "y.1", "n1", "x.2", "y.2", "n2", "x.3"])
  })

  it("take turns only among works of equal priority", () => {
    const run = Driver.start({}, ...keyed("x.1", "x.2"), spec("y.1", { key: "y", priority: 1 }))
    expect(run.schedule()).toEqual(["x.1", "x.2", "y.1"])
  })

  it("with a flood of works do not hold up one that comes later", () => {
    const run = Driver.start({ concurrency: 1 }, ...keyed("x.1", "x.2", "x.3", "x.4"))
    run.schedule()
    run.add(...keyed("y.1"))
    run.succeed("x.1")
    expect(run.schedule()).toEqual(["x.2"])
    run.succeed("x.2")
    expect(run.schedule()).toEqual(["y.1"])
  })

  it("that come back from nothing have just had their turn", () => {
    const run = running({ concurrency: 1 }, ...keyed("x.1", "y.1", "y.2"))
    run.succeed("x.1")
    run.schedule()
    run.add(...keyed("x.2"))
    run.succeed("y.1")
    expect(run.schedule()).toEqual(["y.2"])
  })

  it("keep their place while something of them runs", () => {
    const run = running({ concurrency: 2 }, ...keyed("x.1", "y.1", "y.2"))
    run.add(...keyed("x.2"))
    run.succeed("y.1")
    expect(run.schedule()).toEqual(["x.2"])
  })

  it("do not matter to what was taken up after a crash", () => {
    const run = running({ concurrency: 2 }, ...keyed("x.1", "x.2", "y.1"))
    expect(run.state.units).toBe(2)
    run.succeed("y.1")
    run.schedule()
    run.add(...keyed("y.2"))
    run.crash()
    expect(run.schedule()).toEqual(["x.1", "x.2"])
  })
})

describe("limits", () => {
  it("of a key bound how many of its works run", () => {
    const run = Driver.start({ keyLimit: 1 }, ...keyed("x.1", "x.2", "y.1", "n1", "n2"))
    expect(run.schedule()).toEqual(["x.1", "y.1", "n1", "n2"])
    expect(run.reason("x.2")).toEqual({ _tag: "KeyLimit", key: "x", limit: 1 })
    run.succeed("x.1")
    expect(run.schedule()).toEqual(["x.2"])
  })

  it("of one key come before the limit of all", () => {
    const run = Driver.start({ keyLimit: 1, keyLimits: { x: 2 } }, ...keyed("x.1", "x.2", "x.3", "y.1", "y.2"))
    expect(run.schedule()).toEqual(["x.1", "y.1", "x.2"])
  })

  it("count works that wait for a claim, and works that are being cancelled", () => {
    const run = running({ keyLimit: 1, pools: { gpu: 0 } }, ...keyed("x.1", "x.2", "y.1", "y.2"))
    run.request("x.1", "h", { gpu: 1 })
    run.cancel("y.1")
    expect(run.schedule()).toEqual([])
    run.interrupted("y.1")
    expect(run.schedule()).toEqual(["y.2"])
  })

  it("that are changed hold at once for what starts, and leave alone what runs", () => {
    const run = running({ concurrency: 3 }, spec("a"), spec("b"), spec("c"), spec("d"))
    run.give({ _tag: "SetLimits", limits: { concurrency: 1 }, ...by })
    run.succeed("a")
    run.succeed("b")
    expect(run.schedule()).toEqual([])
    run.succeed("c")
    expect(run.schedule()).toEqual(["d"])
  })

  it("of kinds, keys and pools are changed one by one, and null takes one away", () => {
    const run = running(
      { keyLimit: 1, keyLimits: { x: 1 }, kinds: { Plain: kind({ limit: 1 }) }, pools: { gpu: 0 } },
      spec("a", { key: "x" }),
      spec("b", { key: "x" }),
      spec("c", { slots: { gpu: 1 } })
    )
    run.give({ _tag: "SetLimits", limits: { kinds: { Plain: null } }, ...by })
    expect(run.schedule()).toEqual([])
    run.give({ _tag: "SetLimits", limits: { pools: { gpu: 1 } }, ...by })
    expect(run.schedule()).toEqual(["c"])
    run.give({ _tag: "SetLimits", limits: { keyLimits: { x: null } }, ...by })
    expect(run.schedule()).toEqual([])
    run.give({ _tag: "SetLimits", limits: { keyLimit: null }, ...by })
    expect(run.schedule()).toEqual(["b"])
  })

  it("that the run was opened with come back when it is opened again", () => {
    const run = Driver.start({ concurrency: 1 }, spec("a"), spec("b"))
    run.give({ _tag: "SetLimits", limits: { concurrency: 2 }, ...by })
    run.crash({ concurrency: 1 })
    expect(run.schedule()).toEqual(["a"])
  })

  it("that make no sense are refused", () => {
    const run = Driver.start({ pools: { gpu: 1 } })
    const bad = [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { pools: { gpu: -1 } },
      { kinds: { Nobody: 1 } },
      { kinds: { Plain: -1 } },
      { keyLimit: 0 },
      { keyLimits: { x: -1 } }
    ]
    expect(bad.map((limits) => run.refusal({ _tag: "SetLimits", limits, ...by }))).toEqual(
      bad.map(() => "InvalidWork")
    )
  })
})

describe("a reservation", () => {
  /** `large` needs the whole pool, of which `holder` has one unit; small ones come after it. */
  const crowded = (reserveAfterMillis: number): Driver => {
    const run = running({ pools: { gpu: 2 }, reserveAfterMillis }, spec("holder", { priority: -1, slots: { gpu: 1 } }))
    run.add(spec("large", { slots: { gpu: 2 } }), spec("small", { slots: { gpu: 1 } }), spec("other"))
    return run
  }

  it("keeps units back for one that has waited long enough, and from none that does not want them", () => {
    const run = crowded(1_000)
    run.now += 1_000
    expect(run.schedule()).toEqual(["other"])
    run.succeed("holder")
    expect(run.schedule()).toEqual(["large"])
    run.succeed("large")
    expect(run.schedule()).toEqual(["small"])
  })

  it("does nothing before", () => {
    const run = crowded(1_000)
    run.now += 999
    expect(run.schedule()).toEqual(["small", "other"])
  })

  it("is not in the way of what is more urgent", () => {
    const run = crowded(0)
    run.add(spec("urgent", { priority: -1, slots: { gpu: 1 } }))
    expect(run.schedule()).toEqual(["urgent", "other"])
  })

  it("is not in the way of a running work that holds some of the pool", () => {
    const run = crowded(0)
    run.schedule()
    expect(run.request("holder", "more", { gpu: 1 })).toMatchObject([{ _tag: "SlotsGranted" }])
  })

  it("is not in the way of a work that holds some of the pool and is queued again", () => {
    const run = running({ pools: { gpu: 3 }, reserveAfterMillis: 0 }, spec("a", { slots: { gpu: 1 }, priority: 1 }))
    run.request("a", "kept", { gpu: 1 })
    run.failAgain("a", 0)
    run.add(spec("large", { slots: { gpu: 3 } }))
    expect(run.schedule()).toEqual(["a"])
  })

  it("lets a claim of a running work wait although it is free", () => {
    const run = running({ pools: { gpu: 2 }, reserveAfterMillis: 0 }, spec("holder", { slots: { gpu: 1 } }), spec("a"))
    run.add(spec("large", { priority: -1, slots: { gpu: 2 } }))
    expect(run.request("a", "h", { gpu: 1 })).toMatchObject([{ _tag: "SlotsRequested" }])
    expect(run.schedule()).toEqual([])
    run.succeed("holder")
    expect(run.schedule()).toEqual(["large"])
  })

  it("is not made for a claim that is larger than its pool", () => {
    const run = running({ pools: { gpu: 2 }, reserveAfterMillis: 0 }, spec("holder", { slots: { gpu: 1 } }))
    run.add(spec("impossible", { slots: { gpu: 3 } }), spec("small", { slots: { gpu: 1 } }))
    expect(run.schedule()).toEqual(["small"])
    expect(run.reason("impossible")).toEqual({ _tag: "Unsatisfiable", pool: "gpu", needs: 3, size: 2 })
  })

  it("leaves alone units of another pool of its claim that are left over", () => {
    const run = running({ pools: { gpu: 1, disk: 3 }, reserveAfterMillis: 0 }, spec("holder", { slots: { gpu: 1 } }))
    run.add(
      spec("large", { slots: { gpu: 1, disk: 2 } }),
      spec("fits beside", { slots: { disk: 1 } }),
      spec("does not", { slots: { disk: 1 } })
    )
    expect(run.schedule()).toEqual(["fits beside"])
  })
})
