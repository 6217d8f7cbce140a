import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Failure from "../src/Failure.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

const decode = Schema.decodeUnknownSync(Failure.FailureRecord)
const throughJson = (failure: Failure.FailureRecord) => decode(JSON.parse(JSON.stringify(failure)))

describe("the policy of a kind", () => {
  it("exists for every kind, with a known phase and something to look at", () => {
    expect(Failure.policies.map((policy) => policy.kind)).toEqual(Failure.FailureKind.literals)
    for (const policy of Failure.policies) {
      expect(Failure.FailurePhase.literals).toContain(policy.phase)
      expect(policy.lookAt.length).toBeGreaterThan(20)
    }
  })

  it("decides phase and retryability of the record", () => {
    for (const { kind, phase, recovery } of Failure.policies) {
      const failure = Failure.make({ kind, message: "it broke", createdAt: 7 })
      expect(failure).toEqual({
        kind,
        phase,
        message: "it broke",
        retryable: recovery !== "none",
        details: {},
        createdAt: 7,
        attempt: 1
      })
    }
  })

  it("blames the change set only where another attempt at it would fail again", () => {
    const blaming = Failure.policies.filter((policy) => policy.blamesChanges).map((policy) => policy.kind)
    expect(blaming).toContain("job_failed")
    expect(blaming).toContain("build_failed")
    for (const kind of ["job_lost", "infrastructure_failed", "interrupted", "budget_exhausted", "analysis_failed"]) {
      expect(blaming).not.toContain(kind)
    }
  })
})

describe("a failure record", () => {
  it("takes another phase where the failure says so", () => {
    const failure = Failure.make({ kind: "infrastructure_failed", phase: "launch", message: "no disk", createdAt: 0 })
    expect(failure.phase).toBe("launch")
  })

  it("is stored as it is, whatever its details were", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.anything({ withBigInt: true, withDate: true })), (details) => {
        const failure = Failure.make({ kind: "job_failed", message: "x", createdAt: 0, details })
        expect(throughJson(failure)).toEqual(failure)
        expect(JSON.stringify(failure.details).length).toBeLessThan(Failure.limits.details + 200)
      }),
      { numRuns: 40 }
    )
  })

  it("keeps the beginning of long texts and the end of the log", () => {
    const failure = Failure.make({
      kind: "job_failed",
      message: `first ${"m".repeat(10_000)}`,
      createdAt: 0,
      details: { stderr: `start ${"d".repeat(10_000)}` },
      logTail: `${"l".repeat(100_000)} last line`
    })
    expect(failure.message).toMatch(/^first m+… \(8006 more characters\)$/)
    expect(failure.details.stderr).toMatch(/^start d+… \(6006 more characters\)$/)
    expect(failure.logTail).toMatch(/^\(92010 characters before\) …l+ last line$/)
  })

  it("does not cut a character in half", () => {
    const logTail = `${"x".repeat(3)}${"🌳".repeat(Failure.limits.logTail)}`
    const message = `x${"🌳".repeat(Failure.limits.message)}`
    const failure = Failure.make({ kind: "job_failed", message, createdAt: 0, logTail })
    expect(failure.message.isWellFormed()).toBe(true)
    expect(failure.logTail!.isWellFormed()).toBe(true)
  })

  it("bounds lists, depth and the whole of its details", () => {
    const deep: Record<string, unknown> = {}
    deep.self = deep
    const failure = Failure.make({
      kind: "job_failed",
      message: "x",
      createdAt: 0,
      details: { deep, list: [...Array(100).keys()], nested: { a: { b: { c: { d: { e: 1 } } } } } }
    })
    expect(failure.details.deep).toEqual({ self: "(circular)" })
    expect(failure.details.list).toHaveLength(Failure.limits.entries + 1)
    expect(failure.details.nested).toEqual({ a: { b: { c: { d: "(too deep)" } } } })

    const large = Object.fromEntries([...Array(30).keys()].map((i) => [`key${i}`, "x".repeat(3_000)]))
    const cut = Failure.make({ kind: "job_failed", message: "x", createdAt: 0, details: large })
    expect(JSON.stringify(cut.details).length).toBeLessThan(Failure.limits.details + 200)
    expect(cut.details["…"]).toMatch(/characters of details were cut here, at key10$/)
  })

  it("says in one line what happened, what can be done, and where to look", () => {
    const failure = Failure.make({ kind: "build_failed", message: "tsc exited with code 2.", createdAt: 0 })
    expect(Failure.describe(failure)).toBe(
      "build_failed in build: tsc exited with code 2. (its source can be repaired; look at the build's log, then diff.patch)"
    )
  })
})

describe("a defect", () => {
  it("becomes an unexpected_exception with its stack and its causes", () => {
    const cause = new RangeError("index 7")
    const failure = Failure.fromDefect(new TypeError("no such field", { cause }), {
      phase: "metrics",
      createdAt: 5,
      attempt: 2
    })
    expect(failure).toMatchObject({
      kind: "unexpected_exception",
      phase: "metrics",
      message: "Unexpected TypeError during metrics: no such field",
      retryable: false,
      exceptionType: "TypeError",
      attempt: 2,
      details: { cause: { type: "RangeError", message: "index 7" } }
    })
    expect(failure.details.stack).toMatch(/Failure\.test\.ts/)
  })

  it("may be anything, even what cannot be read", () => {
    const unreadable = Object.defineProperty({}, "secret", {
      enumerable: true,
      get: () => {
        throw new Error("keep out")
      }
    })
    const circular: Array<unknown> = []
    circular.push(circular)
    for (
      const defect of [
        "text",
        7,
        7n,
        null,
        undefined,
        Symbol("s"),
        () => 1,
        unreadable,
        circular,
        Object.create(null)
      ]
    ) {
      const failure = Failure.fromDefect(defect, { phase: "runner", createdAt: 0 })
      expect(throughJson(failure)).toEqual(failure)
    }
    expect(Failure.fromDefect(unreadable, { phase: "runner", createdAt: 0 }).details).toEqual({
      thrown: { secret: "(unreadable: keep out)" }
    })
    expect(Failure.fromDefect("text", { phase: "runner", createdAt: 0 }).message)
      .toBe("Unexpected string during runner: text")
  })
})
