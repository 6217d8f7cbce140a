import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Experiment from "../src/Experiment.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

const value = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean())
const changes = fc.record({
  parameters: fc.dictionary(fc.string(), value, { maxKeys: 5 }),
  edits: fc.array(fc.string(), { maxLength: 5 })
})

describe("a change set", () => {
  it("has the same key and hash however it was written down", () => {
    fc.assert(fc.property(changes, (changes) => {
      const rewritten = {
        parameters: Object.fromEntries(Object.entries(changes.parameters).reverse()),
        edits: [...changes.edits, ...changes.edits].reverse()
      }
      expect(Experiment.changesKey(rewritten)).toBe(Experiment.changesKey(changes))
      expect(Experiment.changesHash(rewritten)).toBe(Experiment.changesHash(changes))
      expect(Experiment.sameChanges(rewritten, changes)).toBe(true)
      expect(Experiment.canonicalChanges(rewritten)).toEqual(Experiment.canonicalChanges(changes))
    }))
  })

  it("keeps its key through JSON", () => {
    fc.assert(fc.property(changes, (changes) => {
      const stored: Experiment.ChangeSet = JSON.parse(JSON.stringify(Experiment.canonicalChanges(changes)))
      expect(Experiment.changesKey(stored)).toBe(Experiment.changesKey(changes))
    }))
  })

  it("differs when a value differs, in type too", () => {
    const keys = [1, "1", true, "true", 2].map((workers) =>
      Experiment.changesKey({ parameters: { workers }, edits: [] })
    )
    expect(new Set(keys).size).toBe(5)
  })

  it("does not mix up names, values and edits", () => {
    const keys = [
      { parameters: { a: "b" }, edits: [] },
      { parameters: {}, edits: ["a", "b"] },
      { parameters: {}, edits: ["a,b"] },
      { parameters: { a: "b\",\"c" }, edits: [] },
      { parameters: { "a\",\"b": "c" }, edits: [] }
    ].map(Experiment.changesKey)
    expect(new Set(keys).size).toBe(5)
  })

  it("has a hash that is the same on every machine", () => {
    // FNV-1a, 64 bits, of `[[],[]]`, worked out apart from this code.
    expect(Experiment.changesHash(Experiment.noChanges)).toBe("9d73114e90492e2d")
  })

  it("reads as one line, parameters first, in order of names", () => {
    expect(Experiment.describeChanges({ parameters: { workers: 2, batchSize: 64 }, edits: ["fused-transform"] }))
      .toBe("batchSize=64, workers=2 +fused-transform")
    expect(Experiment.describeChanges({ parameters: {}, edits: ["b", "a"] })).toBe("+a +b")
    expect(Experiment.describeChanges({ parameters: { codec: "a, b=c", path: "x/y" }, edits: [] }))
      .toBe("codec=\"a, b=c\", path=x/y")
    expect(Experiment.describeChanges(Experiment.noChanges)).toBe("no change")
  })
})

describe("an experiment's spec", () => {
  const spec: Experiment.ExperimentSpec = {
    id: "e001",
    name: "two workers",
    parent: "baseline",
    base: null,
    hypothesis: "Two workers keep both cores busy.",
    changes: { parameters: { workers: 2 }, edits: ["fused-transform"] },
    seed: null,
    priority: 0,
    arguments: []
  }
  const decode = Schema.decodeUnknownSync(Experiment.ExperimentSpec)

  it("round-trips through JSON unchanged", () => {
    expect(decode(JSON.parse(JSON.stringify(spec)))).toEqual(spec)
  })

  it("has an id that can name a branch and a folder", () => {
    for (const id of ["", "a/b", "..", "a b", "-a", "a.lock", "x".repeat(81)]) {
      expect(() => decode({ ...spec, id }), id).toThrow(/node id/)
    }
    expect(decode({ ...spec, id: "x".repeat(80) }).id).toHaveLength(80)
  })

  it("refuses numbers that JSON cannot hold", () => {
    expect(() => decode({ ...spec, priority: Number.NaN })).toThrow(/priority/)
    expect(() => decode({ ...spec, changes: { parameters: { workers: Infinity }, edits: [] } })).toThrow(/workers/)
  })
})

it("a node's status follows the phase of its lifecycle", () => {
  expect(Experiment.Phase.literals.map(Experiment.statusOfPhase)).toEqual([
    "preparing",
    "preparing",
    "preparing",
    "running",
    "analyzing",
    "analyzing"
  ])
  expect(Experiment.Status.literals.filter(Experiment.isSettled)).toEqual(["completed", "failed", "cancelled"])
})
