import { assert, describe, it } from "@effect/vitest"
import { search, segment } from "../sieve.ts"

/** Runs a search to its end. */
const find = (above: number, below: number) => {
  const next = search(below)
  let found = { upTo: above, count: 0, largest: 0 }
  let rounds = 0
  while (found.upTo < below) {
    found = next(found)
    rounds += 1
  }
  return { count: found.count, largest: found.largest, rounds }
}

describe("the search for primes", () => {
  it("finds what the tables say", () => {
    assert.deepStrictEqual(find(0, 100), { count: 25, largest: 97, rounds: 1 })
    assert.deepStrictEqual(find(0, 1_000_000), { count: 78_498, largest: 999_983, rounds: 1 })
    assert.deepStrictEqual(find(0, 10_000_000), { count: 664_579, largest: 9_999_991, rounds: 10 })
  })

  it("begins at its lower bound, and ends before its upper one", () => {
    assert.deepStrictEqual(find(3, 5), { count: 1, largest: 3, rounds: 1 })
    assert.deepStrictEqual(find(4, 5), { count: 0, largest: 0, rounds: 1 })
    assert.deepStrictEqual(find(5, 6), { count: 1, largest: 5, rounds: 1 })
    assert.deepStrictEqual(find(9, 3), { count: 0, largest: 0, rounds: 0 })
    assert.deepStrictEqual(find(0, 2), { count: 0, largest: 0, rounds: 1 })
  })

  it("finds the same from wherever it goes on", () => {
    const whole = find(0, 2 * segment)
    const first = find(0, 1_234_567)
    const rest = find(1_234_567, 2 * segment)
    assert.strictEqual(first.count + rest.count, whole.count)
    assert.strictEqual(rest.largest, whole.largest)
  })
})
