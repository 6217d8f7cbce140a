/**
 * The master table: every experiment on one line, for spreadsheets and scripts.
 */
import { describeValue } from "../Experiment.ts"
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { median, summarize } from "../Measurement.ts"
import { facts, gain, oriented, valueOf } from "./reportFacts.ts"
import { instant } from "./reportFormat.ts"

/** A field of a tab separated table: a tab, a line break or a backslash in it is written as `\t`, `\n`, `\r`, `\\`. */
export const field = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n").replaceAll("\r", "\\r")

/** The text that {@link field} wrote. */
export const unfield = (text: string): string =>
  text.replace(/\\([\\tnr])/g, (_, letter: string) => ({ "\\": "\\", t: "\t", n: "\n", r: "\r" })[letter] ?? letter)

/** Numbers in full precision, an absent one empty. */
const cell = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value) ? "" : String(value)

/** Six significant digits: enough for a ratio, and the rounding of the last bits does not show. */
const factor = (value: number | null): string => value === null ? "" : String(Number(value.toPrecision(6)))

/** The last confirmation that decides how the node stands: that of its crowning, else its last try. */
const decisive = (node: TreeNode) =>
  node.confirmations.findLast((each) => each.purpose === "crown" && each.better) ??
    node.confirmations.findLast((each) => each.purpose === "crown") ?? node.confirmations.at(-1)

const columns: ReadonlyArray<
  readonly [
    name: string,
    of: (node: TreeNode, tree: ExperimentTree, o: {
      readonly baseline: TreeNode | null
    }) => string
  ]
> = [
  ["order", (node) => String(node.order)],
  ["id", (node) => node.id],
  ["name", (node) => node.name],
  ["seed", (node) => node.seed ?? ""],
  ["parent", (node) => node.parent ?? ""],
  ["base", (node) => node.base ?? ""],
  ["status", (node) => node.status],
  ["best", (node, tree) => node.id === tree.best ? "best" : node.crowned ? "was best" : ""],
  ["metric", (_, tree) => tree.objective.metric],
  ["value", (node) => cell(node.value)],
  ["unit", (_, tree) => tree.objective.unit],
  ["n", (node, tree) => String(node.measurements[tree.objective.metric]?.length ?? 0)],
  ["spread", (node, tree) => factor(summarize(node.measurements[tree.objective.metric] ?? [])?.spread ?? null)],
  ["times_baseline", (node, tree, { baseline }) => factor(gain(tree.objective, valueOf(node), valueOf(baseline)))],
  ["times_parent", (node, tree) => {
    const parent = node.parent === null ? undefined : tree.nodes.get(node.parent)
    return factor(gain(tree.objective, valueOf(node), valueOf(parent)))
  }],
  ["confirmed", (node) => {
    const crown = node.confirmations.filter((each) => each.purpose === "crown")
    return crown.length === 0 ? "" : crown.some((each) => each.better) ? "yes" : "no"
  }],
  ["confirmed_beside", (node) => decisive(node)?.champion ?? ""],
  ["confirmed_times", (node, tree) => {
    const confirmation = decisive(node)
    return factor(confirmation === undefined ? null : oriented(tree.objective, confirmation)?.ratio ?? null)
  }],
  ["confirmed_low", (node, tree) => {
    const confirmation = decisive(node)
    return factor(confirmation === undefined ? null : oriented(tree.objective, confirmation)?.interval?.low ?? null)
  }],
  ["confirmed_high", (node, tree) => {
    const confirmation = decisive(node)
    return factor(confirmation === undefined ? null : oriented(tree.objective, confirmation)?.interval?.high ?? null)
  }],
  [
    "parameters",
    ({ changes: { parameters } }) =>
      Object.keys(parameters).sort().map((name) => `${name}=${describeValue(parameters[name] ?? "")}`).join(", ")
  ],
  ["edits", ({ changes: { edits } }) => edits.join(", ")],
  ["commit", (node) => node.commit ?? ""],
  ["jobs", (node) => String(node.jobs)],
  ["created", (node) => instant(node.createdAt)],
  ["started", (node) => node.startedAt === null ? "" : instant(node.startedAt)],
  ["finished", (node) => node.finishedAt === null ? "" : instant(node.finishedAt)],
  [
    "seconds",
    (node) => node.startedAt === null || node.finishedAt === null ? "" : cell((node.finishedAt - node.startedAt) / 1000)
  ],
  ["failure_kind", (node) => node.failure?.kind ?? ""],
  ["failure_phase", (node) => node.failure?.phase ?? ""],
  ["failure_message", (node) => node.failure?.message ?? ""],
  ["hypothesis", (node) => node.hypothesis]
]

/** The names of the columns that every table has, in their order. */
export const columnNames: ReadonlyArray<string> = columns.map(([name]) => name)

/** See `Report.masterTable`. */
export const masterTable = (tree: ExperimentTree): string => {
  const { baseline, nodes } = facts(tree)
  const metrics = [...new Set(nodes.flatMap((node) => Object.keys(node.measurements)))]
    .filter((name) => name !== tree.objective.metric)
    .sort()
  const rows = nodes.map((node) => [
    ...columns.map(([, of]) => of(node, tree, { baseline })),
    ...metrics.map((name) =>
      cell(Object.hasOwn(node.measurements, name) ? median(node.measurements[name] ?? []) : null)
    )
  ])
  return [[...columnNames, ...metrics.map((name) => `median:${name}`)], ...rows]
    .map((row) => `${row.map(field).join("\t")}\n`)
    .join("")
}
