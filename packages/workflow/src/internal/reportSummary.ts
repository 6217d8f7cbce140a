/**
 * The short report: what was found, on one screen.
 */
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { policyOf } from "../Failure.ts"
import { summarize } from "../Measurement.ts"
import { type Facts, facts, gain, oriented, valueOf } from "./reportFacts.ts"
import { count, duration, instant, number, percent, quantity, ratio, ratioInterval } from "./reportFormat.ts"
import { blocks, code, inline, shortened, table } from "./reportMarkdown.ts"
import { sentence, shortChange, withoutSpeedUp } from "./reportText.ts"

/** How a node is called in a text: "#12 +buffer-pool (e012)". */
export const called = (tree: ExperimentTree, node: TreeNode): string =>
  `#${node.order} ${inline(shortened(shortChange(tree, node), 120))} (${code(node.id)})`

/** "812.4 samples/s (3 measurements, spread 1.2 %)", or what became of it instead. */
export const measured = (tree: ExperimentTree, node: TreeNode | null): string => {
  if (node === null) return "not declared"
  const value = valueOf(node)
  if (value === null) return node.status === "completed" ? "completed without a value" : node.status
  const summary = summarize(node.measurements[tree.objective.metric] ?? [])
  const detail = summary === null || summary.count < 2
    ? ""
    : ` (median of ${number(summary.count)}${summary.spread === null ? "" : `, spread ${percent(summary.spread)}`})`
  return `${inline(quantity(value, tree.objective.unit))}${detail}`
}

/** A p-value; below what four digits show, the bound. */
export const probability = (pValue: number): string => pValue < 0.0001 ? "p < 0.0001" : `p = ${number(pValue, 2)}`

/** "2.31× (95 % CI 2.22× to 2.41×, p = 0.001, 6 pairs), 40 % of the way to the headspace", or why that is not known. */
export const speedUpText = (tree: ExperimentTree, known: Facts): string => {
  const { speedUp } = known
  if (speedUp === null) return withoutSpeedUp(tree, known)
  const share = headspaceShare(known)
  return `${ratio(speedUp.ratio)} (${percent(1 - speedUp.level)} CI ${
    ratioInterval(speedUp.ratio, speedUp.low, speedUp.high)
  }, ${probability(speedUp.pValue)}, ${count(speedUp.pairs, "pair")})${
    share === null ? "" : `, ${percent(share, 2)} of the way to the headspace`
  }`
}

/** What share of the way from the baseline to the headspace the best has gone; null when that says nothing. */
const headspaceShare = (known: Facts): number | null => {
  const [from, to, now] = [valueOf(known.baseline), valueOf(known.headspace), valueOf(known.best)]
  if (from === null || to === null || now === null || from === to) return null
  const share = (now - from) / (to - from)
  return share >= 0 && share <= 1 ? share : null
}

/** "38 completed, 4 failed", every outcome that there is. */
export const outcomes = (known: Facts): string => {
  const { analyzing, cancelled, completed, failed, preparing, queued, running } = known.counts
  const parts = [
    [completed, "completed"],
    [failed, "failed"],
    [cancelled, "cancelled"],
    [running, "running"],
    [
      preparing,
      "preparing"
    ],
    [analyzing, "analyzing"],
    [queued, "queued"]
  ] as const
  return parts.filter(([howMany]) => howMany > 0).map(([howMany, word]) => `${number(howMany)} ${word}`).join(", ") ||
    "none"
}

/** "72 jobs in 4 min 12 s". */
export const effort = (tree: ExperimentTree, known: Facts, elapsedMillis: number | undefined): string => {
  const span = known.startedAt === null || known.endedAt === null ? undefined : known.endedAt - known.startedAt
  const took = elapsedMillis ?? span
  return count(tree.jobs, "job") + (took === undefined ? "" : ` in ${duration(took)}`)
}

/** The findings, as the first thing that a reader sees. */
export const results = (tree: ExperimentTree, known: Facts, elapsedMillis: number | undefined): string => {
  const { baseline, best, headspace } = known
  const times = gain(tree.objective, valueOf(headspace), valueOf(baseline))
  return table(["", ""], [
    ["**Baseline**", measured(tree, baseline)],
    ...(headspace === null
      ? []
      : [["**Headspace**", measured(tree, headspace) + (times === null ? "" : `, ${ratio(times)} the baseline`)]]),
    [
      "**Best**",
      best === null
        ? "none yet"
        : best.id === baseline?.id
        ? "the baseline: nothing was confirmed to be better"
        : `${measured(tree, best)}: ${called(tree, best)}`
    ],
    ...(best === null || best.id === baseline?.id
      ? []
      : [["**Speed-up**", inline(speedUpText(tree, known))]]),
    ["**Experiments**", `${number(known.nodes.length)}: ${outcomes(known)}`],
    [
      "**Jobs and time**",
      effort(tree, known, elapsedMillis) + (known.startedAt === null || known.endedAt === null
        ? ""
        : `; experiments from ${instant(known.startedAt)} to ${instant(known.endedAt)}`)
    ],
    ["**Stopped**", tree.stopped === null ? "not yet: the search goes on" : inline(tree.stopped)]
  ])
}

const crownings = (tree: ExperimentTree, known: Facts): string => {
  const rows = known.crownings.filter(({ node }) => node.id !== known.baseline?.id).map(({ confirmation, node }) => {
    const champion = confirmation === null ? undefined : tree.nodes.get(confirmation.champion)
    const turned = confirmation === null ? null : oriented(tree.objective, confirmation)
    const times = gain(tree.objective, valueOf(node), valueOf(known.baseline))
    return [
      `#${node.order}`,
      inline(shortened(shortChange(tree, node), 80)),
      inline(valueOf(node) === null ? "" : quantity(valueOf(node) ?? 0, tree.objective.unit)),
      times === null ? "" : ratio(times),
      champion === undefined ? "" : `#${champion.order}`,
      turned === null || confirmation === null
        ? ""
        : `${ratio(turned.ratio)}${
          turned.interval === null ? "" : ` (${ratioInterval(turned.ratio, turned.interval.low, turned.interval.high)})`
        }, ${probability(confirmation.pValue)}`
    ]
  })
  return rows.length === 0
    ? "None: nothing was confirmed to be better than the baseline."
    : table(["", "change", "measured", "to baseline", "dethroned", "beside it"], rows, [2, 3])
}

/** Those that made it worse than what they started from, by more than the smallest gain worth having; worst first. */
export const harmful = (
  tree: ExperimentTree,
  known: Facts
): ReadonlyArray<{ readonly node: TreeNode; readonly parent: TreeNode; readonly times: number }> =>
  known.nodes.flatMap((node) => {
    const parent = node.parent === null ? undefined : tree.nodes.get(node.parent)
    const times = gain(tree.objective, valueOf(node), valueOf(parent))
    return parent !== undefined && node.seed === null && times !== null && times < 1 / (1 + tree.objective.smallestGain)
      ? [{ node, parent, times }]
      : []
  }).sort((a, b) => a.times - b.times || a.node.order - b.node.order)

const MOST_HARMFUL = 8

const hurt = (tree: ExperimentTree, known: Facts): string => {
  const all = harmful(tree, known)
  if (all.length === 0) return "Nothing that was measured."
  const rows = all.slice(0, MOST_HARMFUL).map(({ node, parent, times }) => [
    `#${node.order}`,
    inline(shortened(shortChange(tree, node), 80)),
    ratio(times),
    `#${parent.order}`
  ])
  const rest = all.length - rows.length
  return blocks([
    table(["", "change", "times its parent", "parent"], rows, [2]),
    rest > 0 ? `And ${count(rest, "more experiment")}: see master_table.tsv.` : ""
  ]).trimEnd()
}

const failures = (known: Facts): string => {
  const byKind = new Map<string, Array<TreeNode>>()
  for (const node of known.nodes) {
    if (node.failure !== null) byKind.set(node.failure.kind, [...(byKind.get(node.failure.kind) ?? []), node])
  }
  if (byKind.size === 0) return "Nothing."
  return [...byKind.values()].sort((a, b) => b.length - a.length).flatMap((nodes) => {
    const failure = nodes[0]?.failure
    if (!failure) return []
    const which = nodes.slice(0, 12).map((node) => `#${node.order}`).join(", ")
    return [
      `- **${inline(failure.kind.replaceAll("_", " "))}**, ${count(nodes.length, "experiment")} (${which}${
        nodes.length > 12 ? ", …" : ""
      }). ${nodes.length > 1 ? `The first, #${nodes[0]?.order ?? 0}: ` : ""}${
        inline(sentence(shortened(failure.message, 300)))
      } Look at ${inline(policyOf(failure.kind).lookAt)}.`
    ]
  }).join("\n")
}

/** See `Report.summaryMarkdown`. */
export const summaryMarkdown = (tree: ExperimentTree, name: string, elapsedMillis: number | undefined): string => {
  const known = facts(tree)
  const doubtful = known.speedUp !== null && known.speedUp.low <= 1
  return blocks([
    `# ${inline(name)}: summary`,
    `Objective: ${tree.objective.direction} ${inline(tree.objective.metric)}${
      tree.objective.unit === "" ? "" : ` (${inline(tree.objective.unit)})`
    }. A speed-up is how many times better than the baseline, whatever the direction.`,
    results(tree, known, elapsedMillis),
    doubtful
      ? "**The interval of the speed-up includes 1×: that the best is better than the baseline is not shown.**"
      : "",
    "![Progress](progress.png)",
    "## Each new best",
    crownings(tree, known),
    "## What hurt",
    hurt(tree, known),
    "## What failed",
    failures(known),
    "## More",
    "- report.md: the whole story, the method, and how to reproduce the best\n- master_table.tsv: every experiment\n- hypothesis_tree.png: what was tried from where"
  ])
}
