/**
 * Works that wait before their first start: for others, for a time; and works whose time runs out.
 */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { nextWake } from "../src/internal/ready.ts"
import { by, child, Driver, ids, running, spec, start, tags } from "./support/driver.ts"

describe("a work that comes after others", () => {
  it("is queued when the last of them has succeeded", () => {
    const run = running({}, spec("a"), spec("b"), spec("c", { after: ["a", "b"] }))
    expect([run.status("c"), run.reason("c")]).toEqual(["waiting", { _tag: "Dependency" }])
    run.succeed("a")
    expect(run.status("c")).toBe("waiting")
    run.succeed("b")
    expect(run.schedule()).toEqual(["c"])
  })

  it("may come after one that stands later in the same batch", () => {
    const run = running({}, spec("a", { after: ["b"] }), spec("b"))
    expect(run.status("b")).toBe("running")
    run.succeed("b")
    expect(run.schedule()).toEqual(["a"])
  })

  it("is queued at once when all of them have succeeded already", () => {
    const run = running({}, spec("a"))
    run.succeed("a")
    run.add(spec("b", { after: ["a"] }))
    expect(run.status("b")).toBe("queued")
  })

  it("is skipped, with the name and the state of the one that did not succeed", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"] }))
    expect(run.fail("a")).toMatchObject([
      { _tag: "WorkFailed", id: "a" },
      { _tag: "WorkSkipped", id: "b", cause: { _tag: "Dependency", id: "a", state: "failed" } }
    ])
    expect(run.entry("b").outcome).toMatchObject({ _tag: "Skipped" })
  })

  it("is skipped in its turn when the one before it was", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"] }), spec("c", { after: ["b"] }))
    expect(run.cancel("a")).toHaveLength(1)
    expect(run.interrupted("a")).toMatchObject([
      { _tag: "WorkCancelled", id: "a" },
      { _tag: "WorkSkipped", id: "b", cause: { _tag: "Dependency", id: "a", state: "cancelled" } },
      { _tag: "WorkSkipped", id: "c", cause: { _tag: "Dependency", id: "b", state: "skipped" } }
    ])
  })

  it("is skipped as soon as one of several has failed, and does not wait for the others", () => {
    const run = running({}, spec("a"), spec("b"), spec("c", { after: ["a", "b"] }))
    expect(tags(run.fail("a"))).toEqual(["WorkFailed", "WorkSkipped"])
  })

  it("is skipped when it is added after one that has failed", () => {
    const run = running({}, spec("a"))
    run.fail("a")
    expect(tags(run.add(spec("b", { after: ["a"] })))).toEqual(["WorkAdded", "WorkSkipped"])
  })

  it("runs all the same when it says so", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"], onDependencyFailure: "run" }))
    run.fail("a")
    expect(run.schedule()).toEqual(["b"])
  })

  it("is not skipped when a failed dependency is to be tried again", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"] }))
    expect(tags(run.failAgain("a", 100))).toEqual(["WorkRetryScheduled"])
    expect(run.status("b")).toBe("waiting")
  })

  it("is not held back again by a dependency that was met and is retried by name", () => {
    const run = running({}, spec("a"), spec("b"))
    run.succeed("a")
    run.add(spec("c", { after: ["a", "b"] }))
    run.again("a")
    run.succeed("b")
    expect(run.status("c")).toBe("queued")
  })

  it("knows after a snapshot which of its dependencies were met, although one is retried", () => {
    const run = running({}, spec("a"), spec("b"))
    run.succeed("a")
    run.add(spec("c", { after: ["a", "b"] }))
    run.again("a")
    run.restore()
    run.schedule()
    run.succeed("a")
    expect(run.status("c")).toBe("waiting")
    run.succeed("b")
    expect(run.status("c")).toBe("queued")
  })

  it("is refused when a dependency is unknown, with its name", () => {
    const run = Driver.start()
    const added = run.try({ _tag: "Add", specs: [spec("a", { after: ["nobody"] })] })
    expect(Result.isFailure(added) && added.failure).toMatchObject({
      _tag: "InvalidWork",
      id: "a",
      message: expect.stringContaining("nobody")
    })
  })

  it("is refused, and its batch with it, when it would come after itself by way of others", () => {
    const run = Driver.start()
    const circle = [spec("x"), spec("a", { after: ["b"] }), spec("b", { after: ["c"] }), spec("c", { after: ["a"] })]
    expect(run.refusal({ _tag: "Add", specs: circle })).toBe("InvalidWork")
    expect(ids(run)).toEqual([])
  })

  it("as a child counts an unknown dependency as one that did not succeed", () => {
    const run = running({}, spec("a"))
    const options = { after: ["nobody"] }
    expect(run.succeed("a", child("b", "success", options))).toMatchObject([
      { _tag: "WorkSucceeded" },
      { _tag: "WorkSkipped", id: "b", cause: { _tag: "Dependency", id: "nobody", state: "unknown" } }
    ])
  })

  it("as a child may come after its parent and after an earlier sibling, and not after a later one or itself", () => {
    const run = running({}, spec("a"))
    run.succeed(
      "a",
      child("one", "success", { after: ["a"] }),
      child("two", "success", { after: ["one"] }),
      child("three", "success", { after: ["four"] }),
      child("four", "success", { after: ["four"], onDependencyFailure: "run" })
    )
    expect(["one", "two", "three", "four"].map((id) => run.status(id))).toEqual([
      "queued",
      "waiting",
      "skipped",
      "queued"
    ])
  })

  it("is cancelled with its run, and not skipped", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"] }))
    run.give({ _tag: "Cancel", ...by })
    expect(run.status("b")).toBe("cancelled")
    expect(tags(run.interrupted("a"))).toEqual(["WorkCancelled", "RunCancelled"])
  })
})

describe("a work with a time before which it must not start", () => {
  it("is queued when the time has come", () => {
    const run = Driver.start({}, spec("a", { notBefore: start + 1_000 }))
    expect(run.reason("a")).toEqual({ _tag: "Until", at: start + 1_000 })
    expect(nextWake(run.state)).toBe(start + 1_000)
    expect(run.tick(999)).toEqual([])
    expect(run.tick(1)).toMatchObject([{ _tag: "WorkQueued", id: "a" }])
    expect(run.schedule()).toEqual(["a"])
  })

  it("is queued at once when the time has passed", () => {
    const run = Driver.start({}, spec("a", { notBefore: start }))
    expect(run.schedule()).toEqual(["a"])
  })

  it("waits for both the time and the works that it comes after", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"], notBefore: start + 1_000 }))
    run.succeed("a")
    expect(run.status("b")).toBe("waiting")
    run.tick(1_000)
    expect(run.status("b")).toBe("queued")
  })

  it("is queued by the next process when its time came while none was there", () => {
    const run = Driver.start({}, spec("a", { notBefore: start + 1_000 }))
    run.now += 5_000
    expect(tags(run.crash())).toEqual(["RunResumed", "WorkQueued"])
  })
})

describe("a deadline", () => {
  it("skips a work that never began, with the time at which it ran out", () => {
    const run = Driver.start({}, spec("a", { deadline: start + 100 }))
    expect(nextWake(run.state)).toBe(start + 100)
    expect(run.tick(250)).toEqual([
      {
        _tag: "WorkSkipped",
        at: start + 250,
        id: "a",
        cause: { _tag: "Expired", by: "deadline", at: start + 100 }
      }
    ])
  })

  it("fails a work that began and waits for its retry, and leaves the children of its records", () => {
    const run = running({}, spec("a", { deadline: start + 100 }))
    run.record("a", "one", child("f", "failure"), child("s", "success"))
    run.failAgain("a", 1_000)
    expect(run.tick(100)).toMatchObject([
      { _tag: "WorkFailed", failure: { _tag: "Expired", deadline: start + 100 }, children: [{ id: "f" }] }
    ])
  })

  it("fails a work that was interrupted and is queued", () => {
    const run = running({}, spec("a", { deadline: start + 100 }))
    run.interrupted("a")
    expect(tags(run.tick(100))).toEqual(["WorkFailed"])
  })

  it("leaves a running work to its handler, and fails it when it comes back to the queue", () => {
    const run = running({}, spec("a", { deadline: start + 100 }))
    expect(run.tick(200)).toEqual([])
    expect(tags(run.interrupted("a"))).toEqual(["WorkInterrupted", "WorkFailed"])
  })

  it("runs on while a work waits for others, is paused, or while the run is paused", () => {
    const run = running(
      {},
      spec("other"),
      spec("a", { after: ["other"], deadline: start + 100 }),
      spec("b", { deadline: start + 100, notBefore: start + 90 })
    )
    run.pause("b")
    run.give({ _tag: "Pause", ...by })
    expect(run.tick(100).filter((event) => event._tag === "WorkSkipped")).toMatchObject([{ id: "a" }, { id: "b" }])
  })

  it("does not matter any more when the work is being cancelled", () => {
    const run = running({}, spec("a", { kind: "Undo", deadline: start + 100 }))
    run.cancel("a")
    run.interrupted("a")
    expect(run.tick(200)).toEqual([])
    expect(run.status("a")).toBe("cleaning")
  })

  it("that has passed when a work is added skips it at once", () => {
    const run = Driver.start()
    expect(tags(run.add(spec("a", { deadline: start })))).toEqual(["WorkAdded", "WorkSkipped"])
  })
})

describe("a time to live", () => {
  it("counts from when the work could have started, and not from when it was added", () => {
    const run = running({}, spec("first"), spec("a", { after: ["first"], timeToLiveMillis: 100, kind: "Lost" }))
    run.tick(500)
    run.succeed("first")
    expect(run.tick(99)).toEqual([])
    expect(run.tick(1)).toMatchObject([
      { _tag: "WorkSkipped", id: "a", cause: { _tag: "Expired", by: "timeToLive", at: start + 600 } }
    ])
  })

  it("counts from the time before which it must not start", () => {
    const run = Driver.start({}, spec("a", { notBefore: start + 1_000, timeToLiveMillis: 100, kind: "Lost" }))
    run.tick(1_000)
    expect(run.tick(99)).toEqual([])
    expect(tags(run.tick(1))).toEqual(["WorkSkipped"])
  })

  it("counts through a pause of the work", () => {
    const run = Driver.start({}, spec("a", { timeToLiveMillis: 100 }))
    run.pause("a")
    expect(tags(run.tick(100))).toEqual(["WorkSkipped"])
  })

  it("is over with the first start", () => {
    const run = running({}, spec("a", { timeToLiveMillis: 100 }))
    run.tick(1_000)
    expect(run.interrupted("a")).toHaveLength(1)
    expect(run.tick(1_000)).toEqual([])
  })

  it("goes on for a work whose payload could not be read", () => {
    const run = running({}, spec("a", { timeToLiveMillis: 100 }))
    run.give({ _tag: "Block", id: "a", start: 1, what: "of another version" })
    expect(tags(run.tick(100))).toEqual(["WorkSkipped"])
  })
})

it("what is due together follows in order: times that have come, times that ran out, works that are skipped", () => {
  const run = running(
    {},
    spec("late", { notBefore: start + 300 }),
    spec("gone", { kind: "Lost", deadline: start + 200 }),
    spec("after", { after: ["gone"] }),
    spec("early", { notBefore: start + 100 })
  )
  expect(run.tick(500).map((event) => "id" in event && [event._tag, event.id])).toEqual([
    ["WorkQueued", "early"],
    ["WorkQueued", "late"],
    ["WorkSkipped", "gone"],
    ["WorkSkipped", "after"]
  ])
})
