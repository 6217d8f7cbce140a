/**
 * Running again: generations, steps that are dropped and kept, cursors, and works that take their process with them.
 */
import { describe, expect, it } from "vitest"
import { boom, child, type Driver, ids, running, spec, start, tags } from "./support/driver.ts"

const steps = (run: Driver, id: string): ReadonlyArray<string> => Array.from(run.entry(id).live?.steps?.keys() ?? [])

const generation = (run: Driver, id: string): number => run.entry(id).live?.generation ?? 0

describe("retrying by name", () => {
  it("runs a settled work again in a new generation, with attempts from one and without steps", () => {
    const run = running({}, spec("a"))
    run.record("a", "one")
    run.failAgain("a", 0)
    run.schedule()
    run.fail("a")
    expect(tags(run.again("a"))).toEqual(["WorkRetried"])
    expect([generation(run, "a"), steps(run, "a")]).toEqual([1, []])
    run.schedule()
    expect(run.attempt("a")).toBe(1)
    run.succeed("a")
    expect(run.entry("a").outcome).toMatchObject({ _tag: "Succeeded" })
  })

  it("keeps the history of failures", () => {
    const run = running({}, spec("a"))
    run.fail("a")
    run.again("a")
    run.schedule()
    run.fail("a")
    expect(run.entry("a").live!.failures).toMatchObject([{ generation: 0, attempt: 1 }, { generation: 1, attempt: 1 }])
  })

  it("takes a work whatever its outcome was", () => {
    const run = running({}, spec("a"), spec("b"), spec("c", { after: ["b"] }), spec("d"))
    run.succeed("a")
    run.fail("b")
    run.cancel("d")
    run.interrupted("d")
    for (const id of ["a", "b", "c", "d"]) run.again(id)
    expect(run.schedule()).toEqual(["a", "b", "c", "d"])
  })

  it("from a step drops that step and those recorded later, and keeps those before", () => {
    const run = running({}, spec("a"))
    for (const step of ["one", "two", "three"]) run.record("a", step)
    run.fail("a")
    run.again("a", "two")
    expect([generation(run, "a"), steps(run, "a")]).toEqual([1, ["one"]])
  })

  it("from a step that is not recorded is refused", () => {
    const run = running({}, spec("a"))
    run.record("a", "one")
    run.fail("a")
    expect(run.refusal({ _tag: "RetryWork", id: "a", from: "two", actor: "ada", reason: "" })).toBe("WorkNotAccepting")
  })

  it("of a work that waits for its retry queues it at once, in the same generation and attempt", () => {
    const run = running({}, spec("a"))
    run.record("a", "one")
    run.failAgain("a", 10_000)
    run.again("a")
    expect(run.schedule()).toEqual(["a"])
    expect([run.attempt("a"), generation(run, "a"), steps(run, "a")]).toEqual([2, 0, ["one"]])
  })

  it("of a work that waits for its retry, from a step, begins a new generation, and its deadline still counts", () => {
    const run = running({ concurrency: 1 }, spec("a", { deadline: start + 100 }))
    run.record("a", "one")
    run.failAgain("a", 10_000)
    run.again("a", "one")
    expect([generation(run, "a"), steps(run, "a")]).toEqual([1, []])
    expect(tags(run.tick(100))).toEqual(["WorkFailed"])
  })

  it("of a settled work lets its dependencies, its earliest time and its deadline count no more", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"], deadline: start + 100, notBefore: start + 50 }))
    run.fail("a")
    run.again("b")
    expect(run.schedule()).toEqual(["b"])
    run.interrupted("b")
    expect(run.tick(1_000)).toEqual([])
  })

  it("does not touch works that came after it, and leaves children of earlier generations", () => {
    const run = running({}, spec("a"), spec("b", { after: ["a"] }))
    run.succeed("a", child("first"))
    run.schedule()
    run.succeed("b")
    run.again("a")
    run.schedule()
    run.succeed("a", child("second"))
    expect(ids(run)).toEqual(["a", "b", "first", "second"])
    expect(run.status("b")).toBe("succeeded")
  })

  it("makes a completed run run again, and complete again", () => {
    const run = running({ keepOpen: false }, spec("a"))
    expect(tags(run.fail("a"))).toEqual(["WorkFailed", "RunCompleted"])
    run.again("a")
    expect([run.state.name, run.state.finishedAt]).toEqual(["running", undefined])
    run.schedule()
    expect(tags(run.succeed("a"))).toEqual(["WorkSucceeded", "RunCompleted"])
  })

  it("does not let a message of the generation before be heard", () => {
    const run = running({}, spec("a"))
    run.fail("a")
    run.again("a")
    run.schedule()
    expect(run.refusal({ _tag: "Succeed", id: "a", start: 1, result: 1, children: [] })).toBe("Late")
    expect(run.startOf("a")).toBe(2)
  })
})

describe("a failure that names a step to run again from", () => {
  it("drops that step and those recorded later, and counts as an attempt", () => {
    const run = running({}, spec("a"))
    for (const step of ["one", "two", "three"]) run.record("a", step)
    run.failAgain("a", 0, { from: "two" })
    expect([generation(run, "a"), steps(run, "a")]).toEqual([1, ["one"]])
    run.schedule()
    expect(run.attempt("a")).toBe(2)
  })

  it("drops nothing when the step is not recorded yet", () => {
    const run = running({}, spec("a"))
    run.record("a", "one")
    expect(run.failAgain("a", 0, { from: "two" })[0]).not.toHaveProperty("from")
    expect([generation(run, "a"), steps(run, "a")]).toEqual([0, ["one"]])
  })
})

describe("a cursor", () => {
  it("may be recorded again, and the latest record holds", () => {
    const run = running({}, spec("a"))
    run.advance("a", "at", 1)
    run.advance("a", "at", 2)
    expect(run.entry("a").live!.steps!.get("at")!.result).toBe(2)
    run.crash()
    expect(run.entry("a").live!.steps!.get("at")!.result).toBe(2)
  })

  it("is as late as its latest record", () => {
    const run = running({}, spec("a"))
    run.advance("a", "at", 1)
    run.record("a", "one")
    run.advance("a", "at", 2)
    run.fail("a")
    run.again("a", "one")
    expect(steps(run, "a")).toEqual([])
  })

  it("keeps the children of all its records", () => {
    const run = running({}, spec("a"))
    run.advance("a", "at", 1, child("b"))
    run.advance("a", "at", 2, child("c"))
    run.succeed("a")
    expect(ids(run)).toEqual(["a", "b", "c"])
  })

  it("is what a step is not: recorded again, a step keeps its first result, and nothing is recorded", () => {
    const run = running({}, spec("a"))
    run.record("a", "one", child("b"))
    const again = {
      _tag: "RecordStep",
      id: "a",
      start: 1,
      step: "one",
      result: "other",
      children: [child("c")]
    } as const
    expect(run.give(again)).toEqual([])
    run.succeed("a")
    expect(ids(run)).toEqual(["a", "b"])
  })
})

describe("a work whose process dies with it again and again", () => {
  const dying = (maxCrashes: number): Driver => running({ maxCrashes }, spec("a"))

  it("fails when that has happened so many times in a row", () => {
    const run = dying(2)
    run.crash()
    run.schedule()
    expect(run.crash()).toMatchObject([
      { _tag: "RunResumed" },
      { _tag: "WorkFailed", id: "a", failure: { _tag: "Crashed", times: 2 } }
    ])
  })

  it("is given five tries when the run says nothing", () => {
    const run = running({}, spec("a"))
    for (let time = 0; time < 4; time++) {
      run.crash()
      expect(run.schedule()).toEqual(["a"])
    }
    run.crash()
    expect(run.status("a")).toBe("failed")
  })

  it("starts to count anew when it has recorded a step", () => {
    const run = dying(2)
    run.crash()
    run.schedule()
    run.record("a", "one")
    run.crash()
    expect(run.schedule()).toEqual(["a"])
  })

  it("starts to count anew after an orderly stop", () => {
    const run = dying(2)
    run.crash()
    run.schedule()
    run.interrupted("a")
    run.schedule()
    run.crash()
    expect(run.schedule()).toEqual(["a"])
  })

  it("starts to count anew after an attempt that failed", () => {
    const run = dying(2)
    run.crash()
    run.schedule()
    run.failAgain("a", 0)
    run.schedule()
    run.crash()
    expect(run.schedule()).toEqual(["a"])
  })

  it("leaves the children of its records for a failure", () => {
    const run = dying(1)
    run.record("a", "one", child("f", "failure"), child("s", "success"))
    run.crash()
    expect(ids(run)).toEqual(["a", "f"])
  })

  it("leaves a child of one id once, when two of them crash together", () => {
    const run = running({ maxCrashes: 1 }, spec("a"), spec("b"))
    for (const id of ["a", "b"]) run.record(id, "one", child("c", "failure"))
    const carried = run.crash().flatMap((event) =>
      event._tag === "WorkFailed" ? event.children.map(({ id }) => id) : []
    )
    expect(carried).toEqual(["c"])
    expect(ids(run)).toEqual(["a", "b", "c"])
  })

  it("is not counted while it is being cancelled", () => {
    const run = running({ maxCrashes: 1 }, spec("a", { kind: "Undo" }))
    run.cancel("a")
    expect(tags(run.crash())).toEqual(["RunResumed", "WorkCleaning"])
  })
})

it("the last failure is the outcome, and the number of a start is never given twice", () => {
  const run = running({}, spec("a"))
  run.failAgain("a", 0)
  run.schedule()
  run.give({ _tag: "Block", id: "a", start: 2, what: "of another version" })
  run.crash()
  run.schedule()
  expect(run.startOf("a")).toBe(3)
  run.fail("a")
  expect(run.entry("a").outcome).toEqual({ _tag: "Failed", failure: boom })
})
