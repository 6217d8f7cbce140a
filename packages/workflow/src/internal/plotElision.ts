/**
 * What of a large tree is drawn. A picture that nobody can draw shows nothing, so the nodes that matter least give way
 * to rows that say how many they were; the tree stays true, for what hangs below such nodes hangs below their row.
 */
import type { TreeNode } from "../ExperimentTree.ts"

/** A node in a row of its own; `parent` is the row that it hangs below. */
export interface Shown {
  readonly id: string
  readonly parent: string | null
  readonly shown: TreeNode
}

/** Nodes that are not drawn, in one row. Its id begins as no node's does. */
export interface Elided {
  readonly id: string
  readonly parent: string | null
  readonly elided: ReadonlyArray<TreeNode>
}

export type Row = Shown | Elided

export const isElided = (row: Row): row is Elided => "elided" in row

/**
 * The rows of a picture, parents before their children, at most `most` of them (three at least).
 *
 * @param first nodes that matter more than all others, the most important one first
 * @param weight of the others: those with more are kept
 */
export const elide = (
  nodes: ReadonlyArray<TreeNode>,
  o: {
    readonly most: number
    readonly first: ReadonlyArray<TreeNode>
    readonly weight: (node: TreeNode) => number
  }
): ReadonlyArray<Row> => {
  if (nodes.length <= o.most) return nodes.map((shown) => ({ id: shown.id, parent: shown.parent, shown }))
  const byId = new Map<string, TreeNode>()
  const parentOf = new Map<string, TreeNode>()
  for (const node of nodes) {
    const parent = node.parent === null ? undefined : byId.get(node.parent)
    if (parent !== undefined) parentOf.set(node.id, parent)
    byId.set(node.id, node)
  }

  // Below each node that is kept, and at the top, there is at most one row for those that are not.
  const room = Math.floor((o.most - 1) / 2)
  const kept = new Set<TreeNode>()
  const keep = (node: TreeNode, isFirst: boolean): void => {
    const left = room - kept.size
    const missing: Array<TreeNode> = []
    for (let at: TreeNode | undefined = node; at !== undefined && !kept.has(at); at = parentOf.get(at.id)) {
      missing.push(at)
      if (missing.length > left) break
    }
    if (missing.length <= left) { for (const each of missing) kept.add(each) }
    else if (isFirst && left > 0) kept.add(node)
  }
  for (const node of o.first) keep(node, true)
  const weights = new Map(nodes.map((node) => [node, o.weight(node)]))
  const others = nodes.filter((node) => !kept.has(node))
    .sort((a, b) => (weights.get(b) ?? 0) - (weights.get(a) ?? 0) || a.order - b.order)
  for (const node of others) keep(node, false)

  const rows = new Map<string, { readonly row: Row; readonly depth: number }>()
  const groups = new Map<string, Array<TreeNode>>()
  /** the row that a node is in */
  const rowOf = new Map<TreeNode, string>()
  for (const node of nodes) {
    const parent = parentOf.get(node.id)
    const above = parent === undefined ? null : rowOf.get(parent) ?? null
    const depth = above === null ? 0 : (rows.get(above)?.depth ?? 0) + 1
    if (kept.has(node)) {
      rows.set(node.id, { row: { id: node.id, parent: above, shown: node }, depth })
      rowOf.set(node, node.id)
      continue
    }
    const id = above !== null && groups.has(above) ? above : `…${above ?? ""}`
    const group = groups.get(id)
    if (group === undefined) {
      const elided = [node]
      groups.set(id, elided)
      rows.set(id, { row: { id, parent: above, elided }, depth })
    } else {
      group.push(node)
    }
    rowOf.set(node, id)
  }
  // By generation, so that parents come first; of one generation those that are not drawn come last.
  return [...rows.values()]
    .sort((a, b) => a.depth - b.depth || Number(isElided(a.row)) - Number(isElided(b.row)))
    .map(({ row }) => {
      const [only, ...more] = isElided(row) ? row.elided : []
      // A row that tells of one node takes as much room as the node.
      return only === undefined || more.length > 0 ? row : { id: row.id, parent: row.parent, shown: only }
    })
}
