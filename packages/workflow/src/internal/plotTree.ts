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
import type { TreeNode } from "../ExperimentTree.ts"

export interface Placed {
  readonly node: TreeNode
  readonly parent: Placed | null
  /** generations from the root */
  readonly depth: number
  /** from 0 at the top */
  readonly row: number
}

export interface Forest {
  /** by row */
  readonly placed: ReadonlyArray<Placed>
  readonly depth: number
}

/** Lays nodes out, given in order of creation. A node whose parent was not created before it counts as a root. */
export const layout = (nodes: ReadonlyArray<TreeNode>): Forest => {
  const children = new Map<string, Array<TreeNode>>()
  const roots: Array<TreeNode> = []
  for (const node of nodes) {
    const siblings = node.parent === null ? undefined : children.get(node.parent)
    if (siblings === undefined) roots.push(node)
    else siblings.push(node)
    children.set(node.id, [])
  }
  const placed: Array<Placed> = []
  const stack: Array<{ readonly node: TreeNode; readonly parent: Placed | null }> = roots.toReversed().map((node) => ({
    node,
    parent: null
  }))
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, parent } = next
    const here: Placed = { node, parent, depth: parent === null ? 0 : parent.depth + 1, row: placed.length }
    placed.push(here)
    stack.push(...(children.get(node.id) ?? []).toReversed().map((child) => ({ node: child, parent: here })))
  }
  return { placed, depth: placed.reduce((deepest, { depth }) => Math.max(deepest, depth), 0) }
}
