/**
 * Controls of works, one by one and all that match, and of parts of a run.
 */
import { describe, expect, it } from "vitest"
import { by, child, Driver, running, spec, start, tags } from "./support/driver.ts"

describe("pausing a work", () => {
  it("makes it wait until it is continued, and says who asked", () => {
    const run = Driver.start({}, spec("a"), spec("b"))
    expect(run.pause("a")).toEqual([{ _tag: "WorkPaused", at: start, id: "a", ...by }])
    expect(run.reason("a")).toEqual({ _tag: "Paused", scope: { _tag: "Work" } })
    expect(run.schedule()).toEqual(["b"])
    run.continue("a")
    expect(run.schedule()).toEqual(["a"])
  })

  it("lets one that runs go on until it is interrupted at a step boundary, which counts as no attempt", () => {
    const run = running({}, spec("a"))
    run.pause("a")
    expect(run.status("a")).toBe("running")
    run.record("a", "one")
    run.interrupted("a")
    expect(run.status("a")).toBe("waiting")
    run.continue("a")
    expect(run.schedule()).toEqual(["a"])
    expect(run.attempt("a")).toBe(1)
  })

  it("lets one that runs end before", () => {
    const run = running({}, spec("a"))
    run.pause("a")
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded"])
  })

  it("is taken back before the boundary by continuing", () => {
    const run = running({}, spec("a"))
    run.pause("a")
    run.continue("a")
    run.interrupted("a")
    expect(run.schedule()).toEqual(["a"])
  })

  it("holds for the retry of one that fails meanwhile", () => {
    const run = running({}, spec("a"))
    run.pause("a")
    run.failAgain("a", 100)
    run.tick(100)
    expect(run.schedule()).toEqual([])
    run.continue("a")
    expect(run.schedule()).toEqual(["a"])
    expect(run.attempt("a")).toBe(2)
  })

  it("survives a crash, of one that runs too", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"))
    run.pause("a")
    run.pause("b")
    run.crash()
    expect(run.schedule()).toEqual([])
    run.continue("a")
    expect(run.schedule()).toEqual(["a"])
  })

  it("keeps its slots across steps, and gives back the others", () => {
    const run = running({ pools: { gpu: 1, machine: 1 } }, spec("a", { slots: { gpu: 1 } }))
    run.request("a", "held", { machine: 1 })
    run.pause("a")
    run.interrupted("a")
    expect([run.state.pools.get("gpu")!.used, run.state.pools.get("machine")!.used]).toEqual([0, 1])
  })

  it("is not in the way of a cancel", () => {
    const run = running({}, spec("a"), spec("b"))
    run.pause("a")
    expect(tags(run.cancel("a"))).toEqual(["WorkCancelling"])
    expect(tags(run.interrupted("a"))).toEqual(["WorkCancelled"])
  })

  it("keeps a run that is to complete from completing", () => {
    const run = running({ keepOpen: false }, spec("a"), spec("b"))
    run.pause("a")
    run.interrupted("a")
    expect(tags(run.succeed("b"))).toEqual(["WorkSucceeded"])
  })
})

describe("pausing a kind or a key", () => {
  it("starts nothing more of it, and leaves alone what runs", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"), spec("c", { kind: "Undo" }))
    run.give({ _tag: "PauseScope", scope: { _tag: "Kind", kind: "Plain" }, ...by })
    expect(run.status("a")).toBe("running")
    run.succeed("a")
    expect(run.schedule()).toEqual(["c"])
    expect(run.reason("b")).toEqual({ _tag: "Paused", scope: { _tag: "Kind", kind: "Plain" } })
    run.give({ _tag: "ContinueScope", scope: { _tag: "Kind", kind: "Plain" }, ...by })
    run.succeed("c")
    expect(run.schedule()).toEqual(["b"])
  })

  it("of a key nobody has used yet holds for its works when they come", () => {
    const run = Driver.start()
    run.give({ _tag: "PauseScope", scope: { _tag: "Key", key: "x" }, ...by })
    run.add(spec("a", { key: "x" }), spec("b"))
    expect(run.schedule()).toEqual(["b"])
  })

  it("lets works that run get the claims that they ask for", () => {
    const run = running({ pools: { gpu: 1 } }, spec("a", { slots: { gpu: 1 } }), spec("b"))
    run.request("b", "h", { gpu: 1 })
    run.give({ _tag: "PauseScope", scope: { _tag: "Kind", kind: "Plain" }, ...by })
    run.succeed("a")
    expect(run.schedule()).toEqual(["b/h"])
  })

  it("survives a crash", () => {
    const run = Driver.start({}, spec("a", { key: "x" }), spec("b"))
    run.give({ _tag: "PauseScope", scope: { _tag: "Key", key: "x" }, ...by })
    run.crash()
    expect(run.schedule()).toEqual(["b"])
  })
})

describe("reprioritizing", () => {
  it("moves a queued work, and keeps its place among equals", () => {
    const run = Driver.start({}, spec("a"), spec("b"), spec("c", { priority: 1 }))
    run.ask("c", { _tag: "Reprioritize", priority: -1 })
    expect(run.schedule()).toEqual(["c", "a", "b"])
  })

  it("moves the claim of a work that waits for slots", () => {
    const run = running({ pools: { gpu: 1 } }, spec("holder", { slots: { gpu: 1 } }), spec("a"), spec("b"))
    run.request("a", "h", { gpu: 1 })
    run.request("b", "h", { gpu: 1 })
    run.ask("b", { _tag: "Reprioritize", priority: -1 })
    run.succeed("holder")
    expect(run.schedule()).toEqual(["b/h"])
  })

  it("holds for later attempts, and through a crash", () => {
    const run = running({ concurrency: 1 }, spec("a"), spec("b"))
    run.ask("a", { _tag: "Reprioritize", priority: 9 })
    run.failAgain("a", 0)
    run.crash()
    expect(run.schedule()).toEqual(["b"])
    expect(run.entry("a").spec.priority).toBe(9)
  })

  it("refuses what is not a number that orders", () => {
    const run = Driver.start({}, spec("a"))
    for (const priority of [NaN, Infinity, -Infinity]) {
      expect(run.refusal({ _tag: "Reprioritize", id: "a", priority, ...by })).toBe("InvalidWork")
      const each = { _tag: "Each", filter: {}, control: { _tag: "Reprioritize", priority }, ...by } as const
      expect(run.refusal(each)).toBe("InvalidWork")
    }
  })
})

describe("a control of all works that match", () => {
  const run = (): Driver => {
    const it = running(
      { concurrency: 2 },
      spec("a", { key: "x" }),
      spec("b", { kind: "Undo" }),
      spec("c", { key: "x" }),
      spec("d", { kind: "Undo" })
    )
    it.succeed("a", child("e"))
    return it
  }
  const paused = (filter: Parameters<typeof matching>[1]) => matching(run(), filter)
  const matching = (it: Driver, filter: Extract<Parameters<Driver["give"]>[0], { readonly _tag: "Each" }>["filter"]) =>
    it.give({ _tag: "Each", filter, control: { _tag: "PauseWork" }, ...by }).map((event) => "id" in event && event.id)

  it("reaches all that take it, in order of arrival, and passes over the others", () => {
    expect(paused({})).toEqual(["b", "c", "d", "e"])
  })

  it("matches by id, kind, key and state, all of them together", () => {
    expect(paused({ ids: ["d", "b", "nobody"] })).toEqual(["b", "d"])
    expect(paused({ kind: "Undo" })).toEqual(["b", "d"])
    expect(paused({ key: "x" })).toEqual(["c"])
    expect(paused({ state: "queued" })).toEqual(["c", "d", "e"])
    expect(paused({ state: ["running", "succeeded"] })).toEqual(["b"])
    expect(paused({ kind: "Undo", state: "queued" })).toEqual(["d"])
  })

  it("matches the children of a work", () => {
    const it = running({}, spec("a"))
    it.succeed("a", child("b", "success", { parent: "a" }), child("c"))
    expect(matching(it, { parent: "a" })).toEqual(["b"])
  })

  it("cancels each as it would be cancelled alone", () => {
    const it = run()
    expect(tags(it.give({ _tag: "Each", filter: { kind: "Undo" }, control: { _tag: "CancelWork" }, ...by }))).toEqual([
      "WorkCancelling",
      "WorkCancelled"
    ])
  })

  it("retries all that have failed", () => {
    const it = running({}, spec("a"), spec("b"), spec("c"))
    it.fail("a")
    it.fail("b")
    const each = { _tag: "Each", filter: { state: "failed" }, control: { _tag: "RetryWork" }, ...by } as const
    expect(tags(it.give(each))).toEqual(["WorkRetried", "WorkRetried"])
    expect(it.schedule()).toEqual(["a", "b"])
  })
})

describe("a run that fails fast", () => {
  it("is cancelled by the first work that fails, by the engine", () => {
    const run = running({ failFast: true, concurrency: 2 }, spec("a"), spec("b", { kind: "Undo" }), spec("c"))
    const events = run.fail("a")
    expect(tags(events)).toEqual(["WorkFailed", "RunCancelling", "WorkCancelling", "WorkCancelled"])
    expect(events[1]).toMatchObject({ actor: "engine" })
    run.interrupted("b")
    expect(tags(run.give({ _tag: "Cleaned", id: "b" }))).toEqual(["WorkCancelled", "RunCancelled"])
  })

  it("skips what came after the failed work before it cancels the rest", () => {
    const run = running({ failFast: true }, spec("a"), spec("b", { after: ["a"] }))
    expect(tags(run.fail("a"))).toEqual(["WorkFailed", "WorkSkipped", "RunCancelling", "RunCancelled"])
  })

  it("is not cancelled by a failure that is to be tried again", () => {
    const run = running({ failFast: true }, spec("a"))
    expect(tags(run.failAgain("a", 10))).toEqual(["WorkRetryScheduled"])
  })

  it("is cancelled by a work that runs out of time after it has begun, and not by one that is skipped", () => {
    const run = running(
      { failFast: true },
      spec("a", { deadline: start + 50 }),
      spec("b", { kind: "Lost", deadline: start + 10 })
    )
    run.interrupted("a")
    expect(tags(run.tick(10))).toEqual(["WorkSkipped"])
    expect(tags(run.tick(40))).toEqual(["WorkFailed", "RunCancelling", "RunCancelled"])
  })
})

describe("a work that had begun and was paused", () => {
  it("waits for its turn, once it is continued, from then on: the pause is no waiting", () => {
    const run = running(
      { concurrency: 9, pools: { gpu: 2 }, reserveAfterMillis: 100 },
      spec("large", { slots: { gpu: 2 } })
    )
    run.pause("large")
    run.interrupted("large")
    run.add(spec("one", { slots: { gpu: 1 } }), spec("another", { slots: { gpu: 1 }, priority: -1 }))
    run.schedule()
    run.tick(500)
    run.continue("large")
    run.succeed("one")
    // It has waited for no time: nothing is kept back for it yet, and nobody else is held up.
    run.add(spec("late", { slots: { gpu: 1 }, priority: 5 }))
    expect(run.entry("large").since).toBe(run.now - start)
    expect(run.schedule()).toEqual(["late"])
  })
})
