/**
 * An array binary heap whose elements know their place, so that any of them can be removed in O(log n).
 */
export interface Placed {
  /** Position in the heap that holds the element; -1 outside. */
  index: number
}

export class Heap<A extends Placed> {
  readonly items: Array<A> = []
  readonly before: (a: A, b: A) => boolean

  constructor(before: (a: A, b: A) => boolean) {
    this.before = before
  }

  peek(): A | undefined {
    return this.items[0]
  }

  push(item: A): void {
    this.items.push(item)
    this.up(this.items.length - 1, item)
  }

  remove(item: A): void {
    const index = item.index
    if (index < 0 || this.items[index] !== item) return
    item.index = -1
    const last = this.items.pop()!
    if (last === item) return
    this.up(index, last)
    this.down(last.index, last)
  }

  /** Puts an element where it belongs after its order has changed. */
  update(item: A): void {
    const { index } = item
    if (index < 0 || this.items[index] !== item) return
    this.up(index, item)
    if (item.index === index) this.down(index, item)
  }

  private up(from: number, item: A): void {
    let index = from
    while (index > 0) {
      const parentIndex = (index - 1) >>> 1
      const parent = this.items[parentIndex]!
      if (!this.before(item, parent)) break
      this.items[index] = parent
      parent.index = index
      index = parentIndex
    }
    this.items[index] = item
    item.index = index
  }

  private down(from: number, item: A): void {
    const size = this.items.length
    let index = from
    for (;;) {
      let childIndex = 2 * index + 1
      if (childIndex >= size) break
      let child = this.items[childIndex]!
      const rightIndex = childIndex + 1
      if (rightIndex < size && this.before(this.items[rightIndex]!, child)) {
        childIndex = rightIndex
        child = this.items[rightIndex]!
      }
      if (!this.before(child, item)) break
      this.items[index] = child
      child.index = index
      index = childIndex
    }
    this.items[index] = item
    item.index = index
  }
}
