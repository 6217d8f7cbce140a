/**
 * A layout of a forest in which every node has a row of its own, below its parent and indented by its generation.
 *
 * The usual tidy tree (Reingold and Tilford, 1981; Buchheim, Jünger and Leipert, 2002) was drawn first and rejected:
 * it centres a parent over its children, so the label of an inner node has only the gap between two generations, and
 * in a search that goes ten steps deep the labels that matter most, those on the path to the best, were cut to four
 * letters. Here a label can run to the right as far as the paper goes and meets no node, no edge and no other label.
 * What is kept of their aesthetics: a generation on a line, children in their order, no edges crossed, and a subtree
 * drawn the same wherever it hangs.
 */

/** What the layout asks of a node. */
export interface Item {
  readonly id: string
  readonly parent: string | null
}

export interface Placed<A extends Item> {
  readonly node: A
  readonly parent: Placed<A> | null
  /** generations from the root */
  readonly depth: number
  /** from 0 at the top */
  readonly row: number
}

export interface Forest<A extends Item> {
  /** by row */
  readonly placed: ReadonlyArray<Placed<A>>
  readonly depth: number
}

/** Lays nodes out, given in order of creation. A node whose parent was not created before it counts as a root. */
export const layout = <A extends Item>(nodes: ReadonlyArray<A>): Forest<A> => {
  const children = new Map<string, Array<A>>()
  const roots: Array<A> = []
  for (const node of nodes) {
    const siblings = node.parent === null ? undefined : children.get(node.parent)
    if (siblings === undefined) roots.push(node)
    else siblings.push(node)
    children.set(node.id, [])
  }
  const placed: Array<Placed<A>> = []
  const stack: Array<{ readonly node: A; readonly parent: Placed<A> | null }> = roots.toReversed().map((node) => ({
    node,
    parent: null
  }))
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, parent } = next
    const here: Placed<A> = { node, parent, depth: parent === null ? 0 : parent.depth + 1, row: placed.length }
    placed.push(here)
    stack.push(...(children.get(node.id) ?? []).toReversed().map((child) => ({ node: child, parent: here })))
  }
  return { placed, depth: placed.reduce((deepest, { depth }) => Math.max(deepest, depth), 0) }
}
