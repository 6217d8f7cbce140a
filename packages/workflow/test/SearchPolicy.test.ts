import { Result } from "effect"
import { beforeAll, describe, expect, it } from "vitest"
import { changesKey, type ExperimentSpec } from "../src/Experiment.ts"
import * as ExperimentTree from "../src/ExperimentTree.ts"
import * as Failure from "../src/Failure.ts"
import { survivalOf } from "../src/internal/statisticsBlame.ts"
import { makeLattice, type Point, pointKey } from "../src/internal/statisticsLattice.ts"
import { source } from "../src/internal/statisticsRandom.ts"
import { fit } from "../src/internal/statisticsSurrogate.ts"
import * as SearchPolicy from "../src/SearchPolicy.ts"
import * as SearchSpace from "../src/SearchSpace.ts"
import { type Family, type Landscape, makeLandscape, objective, type Outcome, search } from "./landscapes.ts"

const spaceOf = (
  parameters: ReadonlyArray<SearchSpace.Parameter>,
  edits: ReadonlyArray<SearchSpace.Edit> = []
): SearchSpace.SearchSpace => Result.getOrThrow(SearchSpace.make({ parameters, edits }))

const small = spaceOf(
  [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
  [{ name: "a" }, { name: "b", conflicts: ["a"] }]
)

const policies = { greedy: SearchPolicy.greedy, random: SearchPolicy.random }

/** A tree with the baseline, and what proposals were added to it. */
const treeOf = (space: SearchSpace.SearchSpace, more: Partial<ExperimentTree.Objective> = {}) => {
  const tree = ExperimentTree.empty({ ...objective, ...more })
  const add = (
    changes: ExperimentSpec["changes"],
    outcome: number | Failure.FailureKind | "pending",
    parent = "baseline"
  ) => {
    const seed = tree.nodes.size === 0 ? "baseline" : null
    const id = seed ?? `n${tree.nodes.size}`
    ExperimentTree.added(
      tree,
      {
        id,
        name: id,
        parent: seed === null ? parent : null,
        base: null,
        hypothesis: "",
        changes,
        seed,
        priority: 0,
        arguments: []
      },
      0
    )
    if (outcome === "pending") return
    if (typeof outcome === "number") {
      ExperimentTree.measured(tree, id, { throughput: outcome })
      ExperimentTree.completed(tree, id, 0)
    } else {
      ExperimentTree.failed(tree, id, Failure.make({ kind: outcome, message: "no", createdAt: 0 }), 0)
    }
  }
  add({ parameters: {}, edits: [] }, 100)
  const propose = (policy: SearchPolicy.SearchPolicy, batch: number, seed = 1) => policy(tree, space, { seed, batch })
  return { add, propose, tree }
}

const keysOf = (proposals: ReadonlyArray<SearchPolicy.Proposal>) => proposals.map(({ changes }) => changesKey(changes))

describe("on synthetic landscapes, within 70 noisy measurements", () => {
  const families: ReadonlyArray<Family> = ["additive", "rugged", "balanced", "bottleneck"]
  const runs: Array<{ readonly landscape: Landscape; readonly greedy: Outcome; readonly random: Outcome }> = []
  const last = ({ share }: Outcome) => share.at(-1)!

  beforeAll(() => {
    for (const family of families) {
      for (const seed of [1, 2, 3]) {
        const landscape = makeLandscape(family, seed)
        runs.push({
          landscape,
          greedy: search(landscape, SearchPolicy.greedy, { seed, budget: 70, batch: 5, pending: seed === 1 ? 3 : 0 }),
          random: search(landscape, SearchPolicy.random, { seed, budget: 70, batch: 5 })
        })
      }
    }
  }, 60_000)

  it("greedy reaches 90 % of the optimum on at least 90 % of them", () => {
    const reached = runs.filter(({ greedy }) => last(greedy) >= 0.9)
    expect(reached.length / runs.length).toBeGreaterThanOrEqual(0.9)
  })

  it("greedy beats random at equal budget", () => {
    const ahead = runs.filter(({ greedy, random }) => last(greedy) >= last(random))
    expect(ahead.length / runs.length).toBeGreaterThanOrEqual(0.9)
    const mean = (outcomes: ReadonlyArray<Outcome>) => outcomes.reduce((sum, o) => sum + last(o), 0) / outcomes.length
    expect(mean(runs.map((run) => run.greedy))).toBeGreaterThan(mean(runs.map((run) => run.random)) + 0.1)
  })

  it("greedy wastes few measurements on what crashes", () => {
    for (const { greedy, landscape } of runs) expect(greedy.failures, landscape.name).toBeLessThan(70 / 4)
  })

  it("neither policy proposes the same change set twice, nor one outside the space, nor an orphan", () => {
    for (const { greedy, landscape, random } of runs) {
      for (const { tree } of [greedy, random]) {
        const nodes = [...tree.nodes.values()]
        expect(new Set(nodes.map((node) => changesKey(node.changes))).size).toBe(70)
        for (const node of nodes) {
          expect(SearchSpace.validate(landscape.space, node.changes)).toEqual(Result.succeed(node.changes))
          expect(node.base).toBe(null)
          if (node.id !== "baseline") expect(ExperimentTree.lineage(tree, node.id)[0]?.id).toBe("baseline")
        }
      }
    }
  })

  it("greedy's tree is deep: it builds on what it found", () => {
    for (const { greedy: { tree }, landscape } of runs) {
      expect(ExperimentTree.lineage(tree, tree.best!).length, landscape.name).toBeGreaterThan(2)
    }
  })
})

describe.each(Object.entries(policies))("%s", (_name, policy) => {
  it("proposes the same for the same tree and seed", () => {
    const landscape = makeLandscape("additive", 7)
    const { tree } = search(landscape, policy, { seed: 1, budget: 20, batch: 4 })
    const propose = () => policy(tree, landscape.space, { seed: 1, batch: 3 })
    expect(propose()).toEqual(propose())
    expect(propose()).toHaveLength(3)
  })

  it("searches in another order with another seed", () => {
    const { propose } = treeOf(makeLandscape("additive", 7).space)
    const orders = [1, 2, 3].map((seed) => keysOf(propose(policy, 3, seed)).join())
    expect(new Set(orders).size).toBe(3)
  })

  it("tries a small space to its end, and then has nothing to propose", () => {
    const { add, propose } = treeOf(small)
    let rounds = 0
    for (let proposals = propose(policy, 2); proposals.length > 0; proposals = propose(policy, 2)) {
      for (const { changes } of proposals) add(changes, 100 + 10 * changes.edits.length)
      rounds += 1
    }
    // Nine change sets, the baseline measured already, two at a time.
    expect(rounds).toBe(4)
  })

  it("does not propose what is queued or running", () => {
    const { add, propose } = treeOf(small)
    const seen = new Set<string>()
    for (let i = 0; i < 8; i++) {
      const [proposal] = propose(policy, 1)
      seen.add(changesKey(proposal!.changes))
      add(proposal!.changes, "pending")
    }
    expect(seen.size).toBe(8)
    expect(propose(policy, 1)).toEqual([])
  })

  it("tries again, once, what failed through no fault of its own, and never what crashed", () => {
    const space = spaceOf([], [{ name: "a" }])
    const lost = treeOf(space)
    const [first] = lost.propose(policy, 1)
    lost.add(first!.changes, "job_lost")
    expect(keysOf(lost.propose(policy, 1))).toEqual(keysOf([first!]))
    lost.add(first!.changes, "job_lost")
    expect(lost.propose(policy, 1)).toEqual([])

    const crashed = treeOf(space)
    crashed.add(first!.changes, "job_failed")
    expect(crashed.propose(policy, 1)).toEqual([])
  })

  it("gives every proposal a sentence, a parent, and an anchor to start from", () => {
    const { propose } = treeOf(small)
    for (const proposal of propose(policy, 4)) {
      expect(proposal).toMatchObject({ parent: "baseline", base: null })
      expect(proposal.hypothesis).toMatch(/^.*(workers=|\+a|\+b).*[.?]$/)
    }
  })

  it("works before anything was measured, on an empty space, and on one that nobody could list", () => {
    const empty = ExperimentTree.empty(objective)
    expect(policy(empty, small, { seed: 1, batch: 3 })).toHaveLength(3)
    expect(treeOf(spaceOf([])).propose(policy, 3)).toEqual([])
    const huge = spaceOf(
      [
        { name: "size", type: "integer", min: 1, max: 1_000_000, baseline: 1_000 },
        { name: "rate", type: "number", min: 0, max: 1, baseline: 0.3 }
      ],
      [...Array(40).keys()].map((i) => ({ name: `e${i}` }))
    )
    const { add, propose } = treeOf(huge)
    for (let round = 0; round < 4; round++) {
      const proposals = propose(policy, 15)
      expect(proposals).toHaveLength(15)
      for (const { changes } of proposals) add(changes, 100 + Number(changes.parameters.size ?? 1_000) / 1e4)
    }
  })
})

describe("greedy", () => {
  it("screens first: every edit and the far end of every parameter, alone", () => {
    const { propose } = treeOf(small)
    expect(keysOf(propose(SearchPolicy.greedy, 3)).toSorted()).toEqual(
      [
        { parameters: { workers: 4 }, edits: [] },
        { parameters: {}, edits: ["a"] },
        { parameters: {}, edits: ["b"] }
      ].map(changesKey).toSorted()
    )
  })

  it("goes on from the best as soon as there is a better one", () => {
    const { add, propose, tree } = treeOf(small)
    add({ parameters: { workers: 4 }, edits: [] }, 150)
    ExperimentTree.confirmed(
      tree,
      {
        challenger: "n1",
        champion: "baseline",
        pairs: [],
        ratio: 1.5,
        low: 1.4,
        high: 1.6,
        pValue: 0,
        better: true,
        purpose: "crown"
      }
    )
    for (const { changes, hypothesis, parent } of propose(SearchPolicy.greedy, 2)) {
      expect(changes).toMatchObject({ parameters: { workers: 4 } })
      expect(parent).toBe("n1")
      expect(hypothesis).toMatch(/^Screening: what \+[ab] does to n1/)
    }
  })

  it("gives a level that only crashed together with others a trial alone", () => {
    const { add, propose } = treeOf(small)
    add({ parameters: { workers: 4 }, edits: [] }, 110)
    add({ parameters: {}, edits: ["b"] }, 100)
    add({ parameters: { workers: 4 }, edits: ["a"] }, "job_failed")
    const [first] = propose(SearchPolicy.greedy, 1)
    expect(first!.changes).toEqual({ parameters: {}, edits: ["a"] })
    expect(first!.hypothesis).toMatch(/only failed so far/)
  })

  it("screens again what was lost and not measured", () => {
    const { add, propose } = treeOf(small)
    for (const edits of [["a"], ["b"]]) add({ parameters: {}, edits }, "job_lost")
    const proposals = propose(SearchPolicy.greedy, 3)
    expect(proposals.map(({ hypothesis }) => hypothesis.slice(0, 9))).toEqual(Array(3).fill("Screening"))
  })

  it("combines what helped alone, with an expectation that says so", () => {
    const space = spaceOf([{ name: "workers", type: "integer", values: [1, 4], baseline: 1 }], [{ name: "a" }, {
      name: "b"
    }])
    const { add, propose } = treeOf(space)
    add({ parameters: { workers: 4 }, edits: [] }, 150)
    add({ parameters: {}, edits: ["a"] }, 130)
    add({ parameters: {}, edits: ["b"] }, 80)
    const [first] = propose(SearchPolicy.greedy, 1)
    expect(first).toMatchObject({ changes: { parameters: { workers: 4 }, edits: ["a"] }, parent: "n1" })
    expect(first!.hypothesis).toMatch(
      /^\+a on n1: by the effects seen so far \d+\.\d % better than the best, give or take \d+\.\d %\.$/
    )
  })

  it("proposes for a time to minimise what it proposes for a speed to maximise", () => {
    const landscape = makeLandscape("balanced", 5)
    const { tree } = search(landscape, SearchPolicy.greedy, { seed: 5, budget: 30, batch: 4 })
    const time = treeOf(landscape.space, { direction: "minimize" })
    for (const node of [...tree.nodes.values()].slice(1)) {
      time.add(node.changes, node.value === null ? "job_failed" : 1e4 / node.value)
    }
    // The same tree without the confirmations, which belong to the speeds.
    const speed = treeOf(landscape.space)
    for (const node of [...tree.nodes.values()].slice(1)) speed.add(node.changes, node.value ?? "job_failed")
    expect(keysOf(time.propose(SearchPolicy.greedy, 4))).toEqual(keysOf(speed.propose(SearchPolicy.greedy, 4)))
  })

  it("copes with more measurements than its model takes, and with values that have no logarithm", () => {
    const landscape = makeLandscape("additive", 9)
    const { add, propose } = treeOf(landscape.space)
    const keys = new Set<string>([changesKey({ parameters: {}, edits: [] })])
    for (let seed = 0; keys.size < 230; seed++) {
      const changes = SearchSpace.randomPoint(landscape.space, seed)
      if (keys.has(changesKey(changes))) continue
      keys.add(changesKey(changes))
      add(changes, seed % 50 === 0 ? -1 : (landscape.value(changes) ?? "job_failed"))
    }
    const proposals = propose(SearchPolicy.greedy, 2)
    expect(proposals).toHaveLength(2)
    for (const key of keysOf(proposals)) expect(keys).not.toContain(key)
  })
})

describe("the model", () => {
  const lattice = makeLattice(spaceOf(
    [{ name: "p", type: "integer", values: [1, 2, 3, 4], baseline: 1 }, {
      name: "c",
      type: "choice",
      values: ["x", "y", "z"],
      baseline: "x"
    }],
    [{ name: "a" }, { name: "b" }, { name: "c2" }]
  ))
  const truth = ([p, c, a, b, d]: Point) =>
    0.1 * p! + [0, 0.2, -0.1][c!]! + 0.3 * a! - 0.15 * b! + 0.02 * d! + 0.25 * a! * b!
  const all: Array<Point> = []
  for (let i = 0; i < 96; i++) {
    all.push([i % 4, Math.floor(i / 4) % 3, Math.floor(i / 12) % 2, Math.floor(i / 24) % 2, Math.floor(i / 48)])
  }
  const random = source("model")
  const known = all.filter(() => random.next() < 0.35)
  const model = fit(
    lattice,
    known.map((point) => ({ point, target: 5 + truth(point) + 0.02 * random.normal(), count: 1 }))
  )

  it("learns main effects and interactions from a third of the points, through the noise", () => {
    const unseen = all.filter((point) => !known.includes(point))
    const errors = unseen.map((point) => model.predict(point).mean - 5 - truth(point))
    expect(Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length)).toBeLessThan(0.04)
    const covered = unseen.filter((point, i) => Math.abs(errors[i]!) < 2 * model.predict(point).deviation + 0.01)
    expect(covered.length / unseen.length).toBeGreaterThan(0.85)
  })

  it("is surer of what it has seen more often", () => {
    const observations = known.map((point) => ({ point, target: truth(point), count: 1 }))
    const once = fit(lattice, observations)
    const often = fit(lattice, observations.map((observation) => ({ ...observation, count: 9 })))
    const at = known[0]!
    expect(often.predict(at).deviation / Math.sqrt(often.scales.noise))
      .toBeLessThan(once.predict(at).deviation / Math.sqrt(once.scales.noise))
  })

  it("finds the value of a neighbour quickly, and rightly", () => {
    const cursor = model.cursor([1, 1, 0, 1, 0])
    expect(cursor.mean).toBeCloseTo(model.predict(cursor.point).mean, 10)
    for (const step of lattice.steps(cursor.point)) {
      const point = [...cursor.point]
      for (const [dimension, level] of step) point[dimension] = level
      expect(cursor.meanAfter(step)).toBeCloseTo(model.predict(point).mean, 10)
    }
  })

  it("changes no expectation, only its certainty, by believing", () => {
    const [first, second] = all.filter((point) => !known.includes(point)) as [Point, Point]
    const believing = model.believing([first]).believing([second])
    for (const point of all) {
      expect(believing.predict(point).mean).toBeCloseTo(model.predict(point).mean, 10)
      expect(believing.predict(point).deviation).toBeLessThanOrEqual(model.predict(point).deviation + 1e-9)
    }
    expect(believing.predict(first).deviation).toBeLessThan(0.9 * model.predict(first).deviation)
  })
})

describe("the blame for crashes", () => {
  const survival = survivalOf([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 0], [1, 1, 0]])

  it("lies on a level that nothing has which worked", () => {
    expect(survival([0, 0, 1])).toBeLessThan(0.1)
    expect(survival([1, 0, 1])).toBeLessThan(0.1)
  })

  it("lies on a pair where each of the two works alone", () => {
    expect(survival([1, 1, 0])).toBeLessThan(0.2)
    expect(survival([1, 0, 0])).toBe(1)
    expect(survival([0, 1, 0])).toBe(1)
  })

  it("grows on what several failures have in common", () => {
    const worked: ReadonlyArray<Point> = [[0, 0, 0, 0]]
    const once = survivalOf(worked, [[1, 1, 0, 0]])([1, 0, 0, 0])
    const thrice = survivalOf(worked, [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    expect(thrice([1, 0, 0, 0])).toBeLessThan(once)
    expect(thrice([0, 1, 0, 0])).toBeGreaterThan(0.8)
  })

  it("is not decided by chance: what failed once and worked once is nobody's fault", () => {
    expect(survivalOf([[1, 1]], [[1, 1]])([1, 1])).toBe(1)
    expect(survivalOf([], [])([1, 1])).toBe(1)
    expect(pointKey([1, 12])).not.toBe(pointKey([11, 2]))
  })
})
