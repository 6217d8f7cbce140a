/**
 * Phrases that pictures and reports share.
 */
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { printable } from "./plotText.ts"
import { type Facts, valueOf } from "./reportFacts.ts"
import { changes, count, number, percent, quantity, ratio, ratioInterval } from "./reportFormat.ts"

/** "+fast-decode, prefetch=8", against the parent; a node that changes nothing goes by its name. */
export const shortChange = (tree: ExperimentTree, node: TreeNode): string => {
  const parent = node.parent === null ? undefined : tree.nodes.get(node.parent)
  const parts = changes(node.changes, parent?.changes)
  return printable(parts.length === 0 ? node.seed ?? node.name : parts.join(", "))
}

/** What a heading calls a node: a name that says no more than its id gives way to its change. */
export const titleOf = (tree: ExperimentTree, node: TreeNode): string =>
  node.seed ?? (node.name === node.id ? shortChange(tree, node) : printable(node.name))

/** A text as a sentence, so that another can follow. */
export const sentence = (text: string): string => /[.!?:…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`

/** The line under a picture's title: what was found, in one sentence. */
export const headline = (tree: ExperimentTree, known: Facts): string => {
  const { baseline, best, speedUp } = known
  const value = valueOf(best)
  const tested = speedUp?.interval
  const outcome = best === null || value === null
    ? "No experiment has a result yet"
    : best.id === baseline?.id
    ? `Nothing is confirmed to beat the baseline of ${quantity(value, tree.objective.unit)}`
    : `Best ${quantity(value, tree.objective.unit)}` + (speedUp === null
      ? ""
      : tested
      ? `: ${ratio(speedUp.ratio)} the baseline (${percent(1 - tested.level)} CI ${
        ratioInterval(speedUp.ratio, tested.low, tested.high)
      }, ${count(tested.pairs, "pair")})`
      : `: ${ratio(speedUp.ratio)} the baseline (not yet measured beside it)`)
  const { cancelled, completed, failed } = known.counts
  const open = known.nodes.length - cancelled - completed - failed
  return [
    outcome,
    count(known.nodes.length, "experiment"),
    ...(failed > 0 ? [`${number(failed)} failed`] : []),
    ...(cancelled > 0 ? [`${number(cancelled)} cancelled`] : []),
    ...(open > 0 ? [`${number(open)} in progress`] : [])
  ].join(" · ")
}
