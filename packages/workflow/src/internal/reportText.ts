/**
 * Phrases that pictures and reports share.
 */
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { printable } from "./plotText.ts"
import { type Facts, oriented, valueOf } from "./reportFacts.ts"
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

/** Why there is no speed-up to tell, and what made the best the best instead. */
export const withoutSpeedUp = (tree: ExperimentTree, known: Facts): string => {
  const confirmation = known.crownings.find(({ node }) => node.id === known.best?.id)?.confirmation ?? null
  const turned = confirmation === null ? null : oriented(tree.objective, confirmation)
  const crowned = confirmation === null || turned === null
    ? ""
    : ` (crowned at ${ratio(turned.ratio)} against ${confirmation.champion} by selected pairs)`
  if (known.final === null) return `not yet measured beside the baseline with fresh pairs${crowned}`
  const why = known.final.undecided === undefined ? "" : `: ${known.final.undecided}`
  return `undecided by fresh pairs beside the baseline${why}${crowned}`
}

/** The line under a picture's title: what was found, in one sentence. */
export const headline = (tree: ExperimentTree, known: Facts): string => {
  const { baseline, best, speedUp } = known
  const value = valueOf(best)
  const outcome = best === null || value === null
    ? "No experiment has a result yet"
    : best.id === baseline?.id
    ? `Nothing is confirmed to beat the baseline of ${quantity(value, tree.objective.unit)}`
    : `Best ${quantity(value, tree.objective.unit)}: ${
      speedUp === null
        ? withoutSpeedUp(tree, known)
        : `${ratio(speedUp.ratio)} the baseline (${percent(1 - speedUp.level)} CI ${
          ratioInterval(speedUp.ratio, speedUp.low, speedUp.high)
        }, ${count(speedUp.pairs, "pair")})`
    }`
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
