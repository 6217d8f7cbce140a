/**
 * The files of one node: what `tree/<node>/` holds besides its diff.
 */
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { policyOf } from "../Failure.ts"
import { summarize } from "../Measurement.ts"
import { facts, gain, valueOf } from "./reportFacts.ts"
import { changes, number, percent, ratio } from "./reportFormat.ts"
import { confirmationText } from "./reportLong.ts"
import { blocks, fenced, inline, table } from "./reportMarkdown.ts"
import { measured } from "./reportSummary.ts"
import { sentence, titleOf } from "./reportText.ts"

/** Keys in the order of their code units at every level: equal values are equal bytes, however they were built. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0).map(([key, item]) => [key, sorted(item)])
  )
}

/** Canonical JSON: indented, keys sorted, one newline at the end. */
export const canonicalJson = (value: unknown): string => `${JSON.stringify(sorted(value), null, 2)}\n`

const analysis = (tree: ExperimentTree, node: TreeNode, reading: string): string => {
  const known = facts(tree)
  const parent = node.parent === null ? undefined : tree.nodes.get(node.parent)
  const toBaseline = node.id === known.baseline?.id
    ? null
    : gain(tree.objective, valueOf(node), valueOf(known.baseline))
  const toParent = parent === undefined ? null : gain(tree.objective, valueOf(node), valueOf(parent))
  const changed = changes(node.changes, parent?.changes)
  const rows = Object.keys(node.measurements).sort().flatMap((metric) => {
    const values = node.measurements[metric] ?? []
    const summary = summarize(values)
    return summary === null ? [] : [[
      inline(metric),
      number(summary.count),
      number(summary.median),
      number(values.reduce((a, b) => Math.min(a, b))),
      number(values.reduce((a, b) => Math.max(a, b))),
      summary.spread === null ? "" : percent(summary.spread)
    ]]
  })
  return blocks([
    `# #${node.order} ${inline(titleOf(tree, node))}`,
    inline(node.hypothesis),
    [
      `- Status: ${node.status}`,
      `- From: ${parent === undefined ? "none, it is a root" : `#${parent.order} ${inline(titleOf(tree, parent))}`}`,
      `- Change: ${changed.length === 0 ? "none" : inline(changed.join(", "))}`,
      `- ${inline(tree.objective.metric)}: ${measured(tree, node)}`,
      ...(toBaseline === null ? [] : [`- To the baseline: ${ratio(toBaseline)}`]),
      ...(toParent === null ? [] : [`- To its parent: ${ratio(toParent)}`]),
      ...node.confirmations.map((each) =>
        `- ${each.purpose === "final" ? "Measured at the end" : "Confirmation"}: ${confirmationText(tree, each)}`
      ),
      ...(node.failure === null ? [] : [
        `- Failure: ${inline(node.failure.kind)}: ${inline(sentence(node.failure.message))} Look at ${
          inline(policyOf(node.failure.kind).lookAt)
        }.`
      ])
    ].join("\n"),
    rows.length === 0 ? "" : table(["metric", "n", "median", "least", "most", "spread"], rows, [1, 2, 3, 4, 5]),
    ...(reading.trim() === "" ? [] : ["## Reading", fenced(reading)])
  ])
}

/** See `Report.nodeFiles`. */
export const nodeFiles = (tree: ExperimentTree, node: TreeNode, reading: string): Readonly<Record<string, string>> => {
  const { base, changes: changeSet, hypothesis, id, name, order, parent, seed } = node
  const { commit, createdAt, crowned, finishedAt, jobs, startedAt, status } = node
  const { confirmations, measurements, value } = node
  return {
    "analysis.md": analysis(tree, node, reading),
    "evidence.json": canonicalJson({
      confirmations,
      measurements,
      objective: tree.objective.metric,
      unit: tree.objective.unit,
      value
    }),
    ...(node.failure === null ? {} : { "failure.json": canonicalJson(node.failure) }),
    "spec.json": canonicalJson({ base, changes: changeSet, hypothesis, id, name, order, parent, seed }),
    "status.json": canonicalJson({
      best: tree.best === id,
      commit,
      createdAt,
      crowned,
      finishedAt,
      id,
      jobs,
      startedAt,
      status
    })
  }
}
