/**
 * The written views of a run: the master table, the summary, the long report, the files of each node, and the lines
 * that the terminal shows at the end.
 *
 * All are pure functions of the tree: no clock, no locale, no disk, so the same tree gives the same bytes and what was
 * deleted can be made again. Whoever calls them writes the files. A ratio is always turned so that above one is
 * better. Texts from agents, configurations and logs are escaped: none can become markup, a table cell or a terminal's
 * control sequence.
 */
import type { ExperimentTree, TreeNode } from "./ExperimentTree.ts"
import { printable } from "./internal/plotText.ts"
import { facts, gain, valueOf } from "./internal/reportFacts.ts"
import { quantity, ratio } from "./internal/reportFormat.ts"
import * as long from "./internal/reportLong.ts"
import * as files from "./internal/reportNode.ts"
import * as summary from "./internal/reportSummary.ts"
import * as table from "./internal/reportTable.ts"
import { shortChange } from "./internal/reportText.ts"

/**
 * What a report says beyond the tree.
 *
 * - `name`: what the search is called; the configuration's `name`.
 * - `run`: id of the run, which names the branches `espalier/<run>/<node>`.
 * - `repository`: path of the source repository, for the commands that bring the best back.
 * - `elapsedMillis`: how long the run took; the tree alone knows only when its experiments began and ended, not what
 *   confirmations took after them, nor how long no engine was alive between.
 */
export interface ReportOptions {
  readonly name?: string | undefined
  readonly run?: string | undefined
  readonly repository?: string | undefined
  readonly elapsedMillis?: number | undefined
}

const defaultName = "Espalier"

/**
 * `master_table.tsv`: one line an experiment, in order of creation, tab separated, with a header.
 *
 * Numbers are in full precision; `spread` is the sample standard deviation over the median; `times_baseline` and
 * `times_parent` are ratios of medians, `confirmed_*` those of the confirmation that crowned it, or else of its last.
 * After the fixed columns comes `median:<metric>` for every metric but the objective. A tab, line break or
 * backslash in a field is written as `\t`, `\n`, `\r`, `\\`, so that a line is a row.
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { ExperimentTree, Report } from "@espalier/workflow"
 *
 * const tree = ExperimentTree.empty({
 *   metric: "throughput",
 *   direction: "maximize",
 *   unit: "samples/s",
 *   smallestGain: 0.02,
 *   level: 0.05,
 *   pairs: 4
 * })
 * const [header] = Report.masterTable(tree).split("\n")
 * assert(header?.startsWith("order\tid\tname\t"))
 * ```
 */
export const masterTable = (tree: ExperimentTree): string => table.masterTable(tree)

/**
 * `summary.md`: what was found, on about one screen. Baseline, headspace, best and speed-up with its confidence
 * interval (from the final comparison with fresh pairs; before it there is none, and the summary says so), counts by outcome, time, how it stopped, each new best, what hurt, what failed and where to look.
 */
export const summaryMarkdown = (tree: ExperimentTree, options: ReportOptions = {}): string =>
  summary.summaryMarkdown(tree, options.name ?? defaultName, options.elapsedMillis)

/**
 * `report.md`: the method, the best as a change set and how to get it back, every experiment in the order in which it
 * was proposed with hypothesis and result, and the failures with the ends of their logs.
 */
export const reportMarkdown = (tree: ExperimentTree, options: ReportOptions = {}): string =>
  long.reportMarkdown(tree, options.name ?? defaultName, options)

/**
 * The contents of `tree/<node>/`, by file name: `spec.json`, `status.json`, `evidence.json`, `analysis.md`, and
 * `failure.json` if there is a failure. JSON is canonical (sorted keys, two spaces); times are epoch milliseconds.
 *
 * @param options.analysis what an agent said about the result, as text
 */
export const nodeFiles = (
  tree: ExperimentTree,
  node: TreeNode,
  options: { readonly analysis?: string | null | undefined } = {}
): Readonly<Record<string, string>> => files.nodeFiles(tree, node, options.analysis ?? "")

/**
 * The lines that a run leaves in the terminal: baseline, headspace, best, speed-up with its confidence interval,
 * experiments by outcome, time, why it stopped, and where the report lies.
 *
 * @param options.report where the report was written, as it shall be shown
 * @param options.elapsedMillis how long the run took, see {@link ReportOptions}
 *
 * @example
 * ```ts
 * import assert from "node:assert"
 * import { ExperimentTree, Report } from "@espalier/workflow"
 *
 * const tree = ExperimentTree.empty({
 *   metric: "stepTime",
 *   direction: "minimize",
 *   unit: "ms",
 *   smallestGain: 0.02,
 *   level: 0.05,
 *   pairs: 4
 * })
 * const lines = Report.terminalSummary(tree, { report: "runs/autoresearch/report.md" })
 * assert(lines.some((line) => /^Best +none yet$/.test(line)))
 * assert(lines.at(-1)?.endsWith("runs/autoresearch/report.md"))
 * ```
 */
export const terminalSummary = (
  tree: ExperimentTree,
  options: { readonly report?: string | undefined; readonly elapsedMillis?: number | undefined } = {}
): ReadonlyArray<string> => {
  const known = facts(tree)
  const { baseline, best, headspace } = known
  const { unit } = tree.objective
  const value = (node: TreeNode | null) => {
    const measured = valueOf(node)
    return measured === null ? node?.status ?? "not declared" : quantity(measured, unit)
  }
  const ceiling = gain(tree.objective, valueOf(headspace), valueOf(baseline))
  const isBaseline = best !== null && best.id === baseline?.id
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["Baseline", value(baseline)],
    ...(headspace === null
      ? []
      : [["Headspace", value(headspace) + (ceiling === null ? "" : ` (${ratio(ceiling)})`)] as const]),
    [
      "Best",
      best === null
        ? "none yet"
        : isBaseline
        ? "the baseline: nothing was confirmed to be better"
        : `${value(best)} by #${best.order} ${shortChange(tree, best)}`
    ],
    ...(best === null || isBaseline
      ? []
      : [["Speed-up", summary.speedUpText(tree, known)] as const]),
    ["Experiments", `${known.nodes.length}: ${summary.outcomes(known)}`],
    ["Jobs", summary.effort(tree, known, options.elapsedMillis)],
    ["Stopped", tree.stopped ?? "not yet: the search goes on"],
    ...(options.report === undefined ? [] : [["Report", options.report] as const])
  ]
  return rows.map(([label, text]) => `${label.padEnd(12)} ${printable(text)}`)
}
