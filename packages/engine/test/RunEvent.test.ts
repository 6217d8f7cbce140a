import { Result, Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as RunEvent from "../src/RunEvent.ts"

const byTheSchema = Schema.decodeUnknownResult(RunEvent.RunEvent)

const json = fc.jsonValue({ maxDepth: 2 })
/** Fields that are right, or nearly. */
const field = fc.oneof(fc.constantFrom("a", "", 0, 1, 1.5, null, [], {}, true), json)
const spec = fc.record(
  { id: field, kind: field, priority: field, payload: json, after: fc.array(fc.string()), more: field },
  { requiredKeys: [] }
)
const event = fc.record(
  {
    _tag: fc.constantFrom("WorkAdded", "WorkStarted", "WorkSucceeded", "StepRecorded", "WorkQueued", "Unknown"),
    at: fc.oneof(fc.integer(), field),
    id: fc.oneof(fc.string(), field),
    spec: fc.oneof(spec, field),
    attempt: fc.oneof(fc.integer(), field),
    step: fc.oneof(fc.string(), field),
    result: json,
    children: fc.oneof(fc.constant([]), fc.array(spec), field),
    cursor: fc.oneof(fc.boolean(), field)
  },
  { requiredKeys: ["_tag"] }
)

describe("reading an event", () => {
  it("takes what the schema takes, and refuses what it refuses, also where it looks by hand", () => {
    let taken = 0
    fc.assert(
      fc.property(event, (each) => {
        const read = RunEvent.decode(each, RunEvent.version)
        const wanted = byTheSchema(each)
        expect(Result.isSuccess(read)).toBe(Result.isSuccess(wanted))
        if (Result.isSuccess(read)) taken += 1
      }),
      { numRuns: 5_000 }
    )
    expect(taken).toBeGreaterThan(50)
  })

  it("brings an event of version 1 up to date", () => {
    const old = {
      _tag: "RunStarted",
      at: 1,
      config: { concurrency: 1, pools: {}, kinds: { A: { onCancel: false } }, keepOpen: true }
    }
    expect(Result.getOrThrow(RunEvent.decode(old, 1))).toEqual(old)
  })

  it("refuses versions that it does not know, older and newer, and says which it reads", () => {
    for (const version of [0, 99]) {
      const read = RunEvent.decode({ _tag: "RunPaused", at: 1 }, version)
      expect(Result.isFailure(read) && read.failure.message).toMatch(
        new RegExp(`version ${version} of RunPaused; .* up to 2`)
      )
    }
  })

  it("refuses what is no event at all", () => {
    for (const each of [null, 5, "x", [], {}]) {
      expect(Result.isFailure(RunEvent.decode(each, RunEvent.version))).toBe(true)
    }
  })
})
