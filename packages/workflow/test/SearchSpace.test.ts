import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ChangeSet, changesKey, noChanges } from "../src/Experiment.ts"
import { after, makeLattice } from "../src/internal/statisticsLattice.ts"
import * as SearchSpace from "../src/SearchSpace.ts"

// The same cases on every run.
fc.configureGlobal({ seed: 20_261, numRuns: 60 })

const make = (
  parameters: ReadonlyArray<SearchSpace.Parameter>,
  edits: ReadonlyArray<SearchSpace.Edit> = []
): SearchSpace.SearchSpace => Result.getOrThrow(SearchSpace.make({ parameters, edits }))

const refusal = (parameters: ReadonlyArray<SearchSpace.Parameter>, edits: ReadonlyArray<SearchSpace.Edit> = []) => {
  const made = SearchSpace.make({ parameters, edits })
  return Result.isFailure(made) ? made.failure : undefined
}

const pipeline = make(
  [
    { name: "workers", type: "integer", values: [4, 1, 2], baseline: 1 },
    { name: "batchSize", type: "integer", min: 16, max: 64, step: 16, baseline: 32 },
    { name: "ratio", type: "number", min: 0, max: 0.3, step: 0.1, baseline: 0.1 },
    { name: "codec", type: "choice", values: ["gzip", "zstd", "none"], baseline: "gzip" },
    { name: "pinned", type: "boolean", baseline: false }
  ],
  [{ name: "fused" }, { name: "lazy", conflicts: ["fused"] }, { name: "pooled" }]
)

/** Any declared space of a moderate size. */
const spaces = fc.record({
  counts: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 }),
  edits: fc.integer({ min: 0, max: 4 }),
  conflicts: fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { maxLength: 4 })
}).map(({ conflicts, counts, edits }) =>
  make(
    counts.map((count, i): SearchSpace.Parameter =>
      i % 2 === 0
        ? { name: `p${i}`, type: "integer", min: 1, max: count, baseline: 1 + (i % count) }
        : { name: `p${i}`, type: "choice", values: [...Array(count).keys()].map((v) => `v${v}`), baseline: "v0" }
    ),
    [...Array(edits).keys()].map((i) => ({
      name: `e${i}`,
      conflicts: conflicts.flatMap(([a, b]) => a === i && b !== i && b < edits ? [`e${b}`] : [])
    }))
  )
)

describe("a declaration", () => {
  it("is refused, by name and with what to do, when it makes no sense", () => {
    const cases: ReadonlyArray<readonly [SearchSpace.InvalidSearchSpace | undefined, string, RegExp]> = [
      [refusal([{ name: "a b", type: "boolean", baseline: true }]), "a b", /use letters, digits/],
      [refusal([{ name: "__proto__", type: "boolean", baseline: true }]), "__proto__", /not allowed/],
      [refusal([{ name: "x", type: "boolean", baseline: true }], [{ name: "x" }]), "x", /declared twice/],
      [refusal([{ name: "x", type: "choice", values: [], baseline: "a" }]), "x", /no values/],
      [refusal([{ name: "x", type: "choice", values: ["a", "a"], baseline: "a" }]), "x", /lists a twice/],
      [refusal([{ name: "x", type: "choice", values: ["a"], baseline: "b" }]), "x", /baseline .* is b, .* values: a\./],
      [
        refusal([{ name: "x", type: "integer", values: [1, 2.5], baseline: 1 }]),
        "x",
        /2\.5, which is not of type integer/
      ],
      [refusal([{ name: "x", type: "integer", values: [1], min: 0, baseline: 1 }]), "x", /values and a range/],
      [refusal([{ name: "x", type: "integer", min: 0, baseline: 1 }]), "x", /both min and max/],
      [refusal([{ name: "x", type: "integer", min: 5, max: 4, baseline: 5 }]), "x", /min 5 above max 4/],
      [refusal([{ name: "x", type: "integer", min: 1, max: 4, step: 0, baseline: 1 }]), "x", /step 0/],
      [refusal([{ name: "x", type: "number", min: 0, max: 1e300, step: 1e-9, baseline: 0 }]), "x", /larger step/],
      [refusal([{ name: "x", type: "integer", min: 1, max: 9, step: 4, baseline: 2 }]), "x", /1 to 9 in steps of 4/],
      [refusal([{ name: "x", type: "number", min: 0, max: 1, baseline: 2 }]), "x", /any number from 0 to 1/],
      [refusal([{ name: "x", type: "number", values: [Number.NaN], baseline: 1 }]), "x", /NaN/],
      [refusal([], [{ name: "a", conflicts: ["b"] }]), "a", /"b", which is not a declared edit; declared are: a/],
      [refusal([], [{ name: "a", conflicts: ["a"] }]), "a", /which is itself/]
    ]
    for (const [error, subject, message] of cases) {
      expect(error?.subject).toBe(subject)
      expect(error?.message).toMatch(message)
    }
  })

  it("may be empty: then there is one change set, none", () => {
    const empty = make([])
    expect(SearchSpace.size(empty)).toBe(1n)
    expect([...SearchSpace.enumerate(empty)]).toEqual([noChanges])
    expect(SearchSpace.neighbours(empty, noChanges)).toEqual([])
  })

  it("may be too large to list", () => {
    const huge = make(
      [{ name: "n", type: "integer", min: 1, max: 1_000_000, baseline: 1 }],
      [...Array(64).keys()].map((i) => ({ name: `e${i}` }))
    )
    expect(SearchSpace.size(huge)).toBe(1_000_000n << 64n)
    expect(SearchSpace.contains(huge, SearchSpace.randomPoint(huge, 1))).toBe(true)
    expect(SearchSpace.neighbours(huge, noChanges).length).toBeLessThan(64 + 30)
  })

  it("makes the baseline of a continuous parameter a level", () => {
    const space = make([{ name: "rate", type: "number", min: 0, max: 1, baseline: 0.3 }])
    expect(SearchSpace.size(space)).toBe(10n)
    expect(SearchSpace.validate(space, { parameters: { rate: 0.123 }, edits: [] })).toMatchObject({
      success: { parameters: { rate: 0.123 } }
    })
  })
})

describe("a change set", () => {
  const messageOf = (changes: ChangeSet) => {
    const checked = SearchSpace.validate(pipeline, changes)
    return Result.isFailure(checked) ? checked.failure : undefined
  }

  it("is refused with the parameter, the value and what is allowed", () => {
    expect(messageOf({ parameters: { workers: 3 }, edits: [] })).toMatchObject({
      _tag: "InvalidAssignment",
      subject: "workers",
      value: 3,
      allowed: "1, 2, 4",
      message: "Parameter \"workers\" cannot be 3; allowed: 1, 2, 4."
    })
    expect(messageOf({ parameters: { workers: "2" }, edits: [] })?.message).toMatch(/cannot be "2"; allowed: 1, 2, 4/)
    expect(messageOf({ parameters: { batchSize: 40 }, edits: [] })?.allowed).toBe("16 to 64 in steps of 16")
    expect(messageOf({ parameters: { batchSize: Number.NaN }, edits: [] })?.message).toMatch(/cannot be NaN/)
    expect(messageOf({ parameters: { pinned: 1 }, edits: [] })?.allowed).toBe("false, true")
    expect(messageOf({ parameters: { threads: 1 }, edits: [] })?.message).toMatch(
      /no parameter "threads".*workers, batchSize/
    )
    expect(messageOf({ parameters: {}, edits: ["fast"] })?.message).toMatch(/no edit "fast".*fused, lazy, pooled/)
    expect(messageOf({ parameters: {}, edits: ["fused", "lazy"] })?.message).toMatch(
      /"fused" and "lazy" exclude each other/
    )
    expect(messageOf({ parameters: { constructor: 1 }, edits: [] })?.message).toMatch(/no parameter "constructor"/)
  })

  it("is canonical: without what equals the baseline, in order, with tidy decimals", () => {
    const checked = SearchSpace.validate(pipeline, {
      parameters: { workers: 1, ratio: 0.1 + 0.2, pinned: false, codec: "zstd" },
      edits: ["pooled", "lazy", "pooled"]
    })
    expect(Result.getOrThrow(checked)).toEqual({ parameters: { codec: "zstd", ratio: 0.3 }, edits: ["lazy", "pooled"] })
  })

  it("has neighbours that are one move away, in the order of the declaration", () => {
    const from: ChangeSet = { parameters: { workers: 2 }, edits: ["fused"] }
    const found = SearchSpace.neighbours(pipeline, from)
    expect(found.map(({ move }) => move)).toEqual([
      { _tag: "Set", parameter: "workers", from: 2, to: 1 },
      { _tag: "Set", parameter: "workers", from: 2, to: 4 },
      ...[16, 48, 64].map((to) => ({ _tag: "Set", parameter: "batchSize", from: 32, to })),
      ...[0, 0.2, 0.3].map((to) => ({ _tag: "Set", parameter: "ratio", from: 0.1, to })),
      ...["zstd", "none"].map((to) => ({ _tag: "Set", parameter: "codec", from: "gzip", to })),
      { _tag: "Set", parameter: "pinned", from: false, to: true },
      { _tag: "Remove", edit: "fused" },
      { _tag: "Add", edit: "lazy", removes: ["fused"] },
      { _tag: "Add", edit: "pooled", removes: [] }
    ])
    expect(found[0]!.changes).toEqual({ parameters: {}, edits: ["fused"] })
    expect(found.at(-2)!.changes).toEqual({ parameters: { workers: 2 }, edits: ["lazy"] })
  })

  it("has few neighbours along a parameter with many values, and all of them in reach", () => {
    const space = make([{ name: "n", type: "integer", min: 0, max: 1_000, baseline: 500 }])
    const values = SearchSpace.neighbours(space, noChanges).map(({ changes }) => changes.parameters.n)
    expect(values).toEqual([
      0,
      244,
      372,
      436,
      468,
      484,
      492,
      496,
      498,
      499,
      501,
      502,
      504,
      508,
      516,
      532,
      564,
      628,
      756,
      1_000
    ])
  })
})

describe("a space, whatever was declared", () => {
  it("has as many change sets as it lists, all different, valid and canonical", () => {
    fc.assert(
      fc.property(spaces, (space) => {
        fc.pre(SearchSpace.size(space) <= 1_000n)
        const all = [...SearchSpace.enumerate(space)]
        expect(BigInt(all.length)).toBe(SearchSpace.size(space))
        expect(new Set(all.map(changesKey)).size).toBe(all.length)
        for (const changes of all.slice(0, 100)) {
          expect(SearchSpace.validate(space, changes)).toEqual(Result.succeed(changes))
        }
      }),
      { numRuns: 40 }
    )
  })

  it("leads by every move to another valid change set, from which, but for long jumps, a move leads back", () => {
    fc.assert(
      fc.property(spaces, fc.nat(), (space, seed) => {
        const from = SearchSpace.randomPoint(space, seed)
        for (const { changes, move } of SearchSpace.neighbours(space, from)) {
          expect(SearchSpace.validate(space, changes)).toEqual(Result.succeed(changes))
          expect(changesKey(changes)).not.toBe(changesKey(from))
          expect(SearchSpace.move(space, from, move)).toEqual(changes)
          const dimension = space.parameters.find(({ name }) => move._tag === "Set" && name === move.parameter)
          if (dimension !== undefined && SearchSpace.levelCount(dimension) > SearchSpace.manyLevels) continue
          if (move._tag === "Add" && move.removes.length > 0) continue
          const back = SearchSpace.neighbours(space, changes).map((neighbour) => changesKey(neighbour.changes))
          expect(back).toContain(changesKey(from))
        }
      }),
      { numRuns: 40 }
    )
  })

  it("gives the same random change set for the same seed, always a valid one", () => {
    fc.assert(
      fc.property(spaces, fc.nat(), (space, seed) => {
        const point = SearchSpace.randomPoint(space, seed)
        expect(SearchSpace.randomPoint(space, seed)).toEqual(point)
        expect(SearchSpace.validate(space, point)).toEqual(Result.succeed(point))
      }),
      { numRuns: 40 }
    )
    const drawn = [...Array(40).keys()].map((seed) => changesKey(SearchSpace.randomPoint(pipeline, seed)))
    expect(new Set(drawn).size).toBeGreaterThan(35)
  })

  it("is a lattice: points are change sets, and steps are moves", () => {
    fc.assert(
      fc.property(spaces, fc.nat(), (space, seed) => {
        const lattice = makeLattice(space)
        const changes = SearchSpace.randomPoint(space, seed)
        const point = lattice.encode(changes)
        expect(lattice.decode(point)).toEqual(changes)
        expect(lattice.steps(point).map((step) => lattice.decode(after(point, step))))
          .toEqual(SearchSpace.neighbours(space, changes).map((neighbour) => neighbour.changes))
      }),
      { numRuns: 40 }
    )
  })
})
