/**
 * The two pictures of a run, as SVG: how the search progressed, and the hypothesis tree.
 *
 * Both are pure functions of the tree: no clock, no random, no locale. The same tree gives the same bytes. They are
 * laid out for DejaVu Sans, whose widths are known here, and name no other font; whoever rasterises them (`Renderer`)
 * must have that font. Colours can be told apart with every common colour vision, and shapes differ as well. Names and
 * other texts may come from an agent or from a stranger's configuration: they are escaped, put on one line and
 * shortened to their place, so that none can cover another or leave the picture.
 */
import type { ExperimentTree } from "./ExperimentTree.ts"
import * as hypothesis from "./internal/plotHypothesis.ts"
import * as search from "./internal/plotProgress.ts"

/** `name`: what the title calls the search; the configuration's `name`. */
export interface PlotOptions {
  readonly name?: string | undefined
}

const defaultName = "Espalier"

/**
 * What each experiment reached, in the order in which they finished: 1400 pixels wide, 780 high or a little more.
 *
 * Every completed experiment is a dot at its objective; those without a value lie on a strip at the bottom. The best is a
 * step line through the confirmed ones, which are labelled with what they changed against their parent, and carry the
 * confidence interval of their confirmation, as seen from the champion's value. Baseline and
 * headspace are dashed lines. A value far outside of what matters is an arrow at the edge, and the axis is
 * logarithmic when the bests span more than a decade.
 */
export const progress = (tree: ExperimentTree, options: PlotOptions = {}): string =>
  search.progress(tree, options.name ?? defaultName)

/**
 * What was tried from where, and what came of it: 1400 pixels wide (wider beyond 24 generations, 5000 at most), about 21
 * to 32 high for every row, and never above 12000.
 *
 * One row a node, below its parent and indented by generation; coloured by how it compares with the baseline, with
 * the failed marked and the path to the best drawn bold. On the right, in the same rows, the same comparison as a
 * scale. Of more than 540 nodes the best ones are drawn, with the path to the best, the seeds and all that were ever
 * the best; the others are gathered in rows that tell how many they are, the best of them, and how many failed.
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { ExperimentTree, Plot } from "@espalier/workflow"
 *
 * const tree = ExperimentTree.empty({
 *   metric: "throughput",
 *   direction: "maximize",
 *   unit: "samples/s",
 *   smallestGain: 0.02,
 *   level: 0.05,
 *   pairs: 4
 * })
 * ExperimentTree.added(tree, {
 *   id: "baseline",
 *   name: "baseline",
 *   parent: null,
 *   base: null,
 *   hypothesis: "the program as it is",
 *   changes: { parameters: {}, edits: [] },
 *   seed: "baseline",
 *   priority: 0,
 *   arguments: []
 * }, 0)
 * ExperimentTree.measured(tree, "baseline", { throughput: 812 })
 * ExperimentTree.completed(tree, "baseline", 10_000)
 * const svg = Plot.hypothesisTree(tree, { name: "a <search>" })
 * assert(svg.startsWith("<svg "))
 * assert(svg.includes("a &lt;search&gt;: hypothesis tree"))
 * ```
 */
export const hypothesisTree = (tree: ExperimentTree, options: PlotOptions = {}): string =>
  hypothesis.hypothesisTree(tree, options.name ?? defaultName)
