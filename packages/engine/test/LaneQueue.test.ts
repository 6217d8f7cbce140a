import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { before } from "../src/internal/candidateOrder.ts"
import { LaneQueue } from "../src/internal/laneQueue.ts"
import { WorkEntry } from "../src/internal/model.ts"

type Act =
  | { readonly _tag: "Add"; readonly priority: number }
  | { readonly _tag: "Take" }
  | { readonly _tag: "Remove"; readonly which: number }
  | { readonly _tag: "Again"; readonly which: number; readonly resumed: boolean }

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Add" as const), priority: fc.integer({ min: -2, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Take" as const) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Remove" as const), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("Again" as const), which: fc.nat(), resumed: fc.boolean() })
  }
)

describe("the queue of a lane", () => {
  it("gives its candidates in the order of a sorted list, whatever is added, taken, removed or comes back", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const queue = new LaneQueue()
        let list: Array<WorkEntry> = []
        const out: Array<WorkEntry> = []
        let arrivals = 0
        const push = (entry: WorkEntry): void => {
          queue.push(entry)
          list.push(entry)
        }
        const remove = (entry: WorkEntry): void => {
          queue.remove(entry)
          list = list.filter((each) => each !== entry)
          out.push(entry)
        }
        for (const each of acts) {
          switch (each._tag) {
            case "Add": {
              const id = `w${arrivals}`
              push(new WorkEntry({ id, kind: "K", priority: each.priority, payload: null }, arrivals++))
              break
            }
            case "Take":
              if (queue.first !== undefined) remove(queue.first as WorkEntry)
              break
            case "Remove":
              if (list.length > 0) remove(list[each.which % list.length]!)
              break
            case "Again": {
              const [entry] = out.length === 0 ? [] : out.splice(each.which % out.length, 1)
              if (entry === undefined) break
              entry.resumed = each.resumed
              push(entry)
            }
          }
          list.sort((a, b) => before(a, b) ? -1 : 1)
          expect(queue.size).toBe(list.length)
          expect(queue.first).toBe(list[0])
          expect(new Set(queue)).toEqual(new Set(list))
        }
        while (queue.first !== undefined) {
          expect(queue.first).toBe(list.shift())
          queue.remove(queue.first)
        }
        expect(list).toEqual([])
      })
    )
  })

  it("keeps its place for what is removed from the middle after the list was cut", () => {
    const queue = new LaneQueue()
    const entries = Array.from(
      { length: 5_000 },
      (_, n) => new WorkEntry({ id: `w${n}`, kind: "K", priority: 0, payload: null }, n)
    )
    for (const entry of entries) queue.push(entry)
    for (let n = 0; n < 4_000; n++) queue.remove(entries[n]!)
    for (let n = 4_001; n < 5_000; n += 2) queue.remove(entries[n]!)
    const left: Array<string> = []
    for (let first = queue.first; first !== undefined; first = queue.first) {
      left.push(first.owner.spec.id)
      queue.remove(first)
    }
    expect(left).toEqual(Array.from({ length: 500 }, (_, n) => `w${4_000 + 2 * n}`))
  })
})
