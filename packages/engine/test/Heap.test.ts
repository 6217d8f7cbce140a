import fc from "fast-check"
import { expect, it } from "vitest"
import { Heap, type Placed } from "../src/internal/heap.ts"

class Item implements Placed {
  index = -1
  rank: number
  readonly name: number

  constructor(rank: number, name: number) {
    this.rank = rank
    this.name = name
  }
}

type Operation =
  | { readonly _tag: "push"; readonly rank: number }
  | { readonly _tag: "pop" }
  | { readonly _tag: "remove"; readonly pick: number }
  | { readonly _tag: "remove what is outside"; readonly pick: number }
  | { readonly _tag: "update"; readonly pick: number; readonly rank: number }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("push" as const), rank: fc.integer({ min: -5, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("pop" as const) }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("remove" as const), pick: fc.nat(1_000) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("remove what is outside" as const), pick: fc.nat(1_000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("update" as const),
      pick: fc.nat(1_000),
      rank: fc.integer({ min: -5, max: 5 })
    })
  }
)

const operations = fc.array(operation, { maxLength: 200, size: "max" })

const before = (a: Item, b: Item): boolean => a.rank < b.rank || (a.rank === b.rank && a.name < b.name)

const compare = (a: Item, b: Item): number => (before(a, b) ? -1 : 1)

it("the first of a heap is the first of the sorted array, whatever was pushed, popped, moved, and removed from its middle", () => {
  fc.assert(
    fc.property(operations, (all) => {
      const heap = new Heap<Item>(before)
      let sorted: Array<Item> = []
      const outside: Array<Item> = []
      const leave = (item: Item | undefined): void => {
        if (item === undefined) return
        heap.remove(item)
        sorted = sorted.filter((each) => each !== item)
        outside.push(item)
      }
      all.forEach((each, name) => {
        if (each._tag === "push") {
          const item = new Item(each.rank, name)
          heap.push(item)
          sorted = [...sorted, item].sort(compare)
        } else if (each._tag === "pop") leave(heap.peek())
        else if (each._tag === "remove") leave(sorted[each.pick % Math.max(1, sorted.length)])
        else if (each._tag === "update") {
          const item = sorted[each.pick % Math.max(1, sorted.length)]
          if (item !== undefined) {
            item.rank = each.rank
            heap.update(item)
            sorted.sort(compare)
          }
        } else if (outside.length > 0) heap.remove(outside[each.pick % outside.length]!)
        expect(heap.peek()).toBe(sorted[0])
        expect(heap.items.length).toBe(sorted.length)
        expect(heap.items.every((item, index) => item.index === index)).toBe(true)
        expect(outside.every((item) => item.index === -1)).toBe(true)
      })
    }),
    { seed: 1, numRuns: 100 }
  )
})

it("what is left in a heap comes out in order", () => {
  fc.assert(
    fc.property(operations, fc.integer({ min: 1, max: 7 }), (all, every) => {
      const heap = new Heap<Item>(before)
      const items = all.flatMap((each, name) => each._tag === "push" ? [new Item(each.rank, name)] : [])
      for (const item of items) heap.push(item)
      const left = items.filter((item, index) => {
        if (index % every === 0) heap.remove(item)
        return index % every !== 0
      })
      const out: Array<Item> = []
      for (let first = heap.peek(); first !== undefined; first = heap.peek()) {
        out.push(first)
        heap.remove(first)
      }
      expect(out.map((item) => item.name)).toEqual(left.sort(compare).map((item) => item.name))
    }),
    { seed: 2, numRuns: 300 }
  )
})

it("an item of one heap is not removed by another", () => {
  const [here, there] = [new Heap<Item>(before), new Heap<Item>(before)]
  const [mine, yours] = [new Item(1, 1), new Item(2, 2)]
  here.push(mine)
  there.push(yours)
  here.remove(yours)
  expect(here.peek()).toBe(mine)
  expect(there.peek()).toBe(yours)
  expect(yours.index).toBe(0)
})

it("an item that has left may come back", () => {
  const heap = new Heap<Item>(before)
  const [first, second] = [new Item(1, 1), new Item(2, 2)]
  heap.push(first)
  heap.push(second)
  heap.remove(first)
  heap.push(first)
  expect(heap.items).toEqual([first, second])
})
