/**
 * The long report: the method, every experiment in the order in which it was proposed, the best and how to get it back.
 */
import { describeValue } from "../Experiment.ts"
import type { Confirmation, ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { policyOf } from "../Failure.ts"
import { type Facts, facts, gain, oriented, valueOf } from "./reportFacts.ts"
import { changes, count, duration, instant, number, percent, quantity, ratio, ratioInterval } from "./reportFormat.ts"
import { blocks, code, fenced, inline, shellQuoted, table } from "./reportMarkdown.ts"
import { called, measured, probability, results } from "./reportSummary.ts"
import { titleOf } from "./reportText.ts"

/** A confirmation in a sentence, from the challenger's side. */
export const confirmationText = (tree: ExperimentTree, confirmation: Confirmation): string => {
  const champion = tree.nodes.get(confirmation.champion)
  const turned = oriented(tree.objective, confirmation)
  const beside = `${count(confirmation.pairs.length, "pair")} beside #${champion?.order ?? "?"}`
  if (turned === null || turned.interval === null) {
    return `${beside}: undecided${confirmation.undecided === undefined ? "" : ` (${inline(confirmation.undecided)})`}.`
  }
  const level = confirmation.level ?? tree.objective.level
  const verdict = confirmation.purpose === "final"
    ? "for the record"
    : confirmation.better
    ? "better"
    : "not shown to be better"
  return `${beside}: ${ratio(turned.ratio)} (${percent(1 - level)} CI ${
    ratioInterval(turned.ratio, turned.interval.low, turned.interval.high)
  }, ${probability(confirmation.pValue)}), ${verdict}.`
}

const method = (tree: ExperimentTree): string => {
  const { direction, level, metric, pairs, smallestGain, unit } = tree.objective
  return blocks([
    `**Objective.** ${direction === "maximize" ? "Maximize" : "Minimize"} ${inline(metric)}${
      unit === "" ? "" : `, in ${inline(unit)}`
    }. The value of an experiment is the median over its jobs, read from what they printed by the declared rules. The spread is the sample standard deviation over the median.`,
    `**Better.** A gain counts when it is at least ${
      percent(smallestGain)
    } and a test says that it is no luck. Before an experiment becomes the best, it is measured again beside the best, ${
      count(pairs, "pair")
    } in turns, and a one-sided paired t test on the logarithms of the ratios must reject "not better" at level ${
      number(level)
    }. Ratios are geometric means; intervals are two-sided, at confidence 1 − level. Ratios are given so that above 1× is better.`,
    "**Speed-up.** At the end the best is measured beside the baseline with fresh jobs, which no selection has touched. Where that was not done, the report says so."
  ]).trimEnd()
}

const story = (tree: ExperimentTree, known: Facts, node: TreeNode): string => {
  const parent = node.parent === null ? undefined : tree.nodes.get(node.parent)
  const toBaseline = node.id === known.baseline?.id
    ? null
    : gain(tree.objective, valueOf(node), valueOf(known.baseline))
  const toParent = parent === undefined || parent.id === known.baseline?.id
    ? null
    : gain(tree.objective, valueOf(node), valueOf(parent))
  const changed = changes(node.changes, parent?.changes)
  const took = node.startedAt === null || node.finishedAt === null ? "" : duration(node.finishedAt - node.startedAt)
  const title = titleOf(tree, node)
  return blocks([
    `### #${node.order} ${inline(title)}${
      node.id === tree.best ? " (the best)" : node.crowned && node.seed === null ? " (was the best)" : ""
    }`,
    inline(node.hypothesis),
    [
      `- Node ${code(node.id)}${
        parent === undefined ? ", a root" : `, from #${parent.order} ${inline(titleOf(tree, parent))}`
      }${node.commit === null ? "" : `, commit ${code(node.commit)}`}`,
      ...(changed.length === 0 ? [] : [`- Change: ${inline(changed.join(", "))}`]),
      `- Result: ${
        node.status === "completed"
          ? measured(tree, node) + (toBaseline === null ? "" : `, ${ratio(toBaseline)} the baseline`) +
            (toParent === null ? "" : `, ${ratio(toParent)} its parent`)
          : node.status
      }${took === "" ? "" : `, after ${took}`}`,
      ...(node.failure === null
        ? []
        : [
          `- Failure: ${inline(node.failure.kind)} in ${inline(node.failure.phase)}: ${inline(node.failure.message)}`
        ]),
      ...node.confirmations.map((each) =>
        `- ${each.purpose === "final" ? "Measured at the end" : "Confirmation"}: ${confirmationText(tree, each)}`
      )
    ].join("\n")
  ]).trimEnd()
}

const best = (tree: ExperimentTree, known: Facts): string => {
  const node = known.best
  if (node === null) return "There is none yet: the baseline has no value."
  if (node.id === known.baseline?.id) return "It is the baseline. Nothing was confirmed to be better."
  const { edits, parameters } = node.changes
  return blocks([
    `${called(tree, node)}: ${measured(tree, node)}.`,
    "All that differs from the baseline:",
    table(["change", "value"], [
      ...Object.keys(parameters).sort().map((name) => [inline(name), inline(describeValue(parameters[name] ?? ""))]),
      ...edits.map((edit) => [inline(edit), "applied"])
    ]),
    "How it came about:",
    known.bestPath.map((each, i) => {
      const before = known.bestPath[i - 1]
      const step = changes(each.changes, before?.changes)
      const value = valueOf(each)
      return `${i + 1}. #${each.order} ${inline(step.length === 0 ? titleOf(tree, each) : step.join(", "))}${
        value === null ? "" : `: ${inline(quantity(value, tree.objective.unit))}`
      }`
    }).join("\n")
  ]).trimEnd()
}

const failures = (tree: ExperimentTree, known: Facts): string => {
  const failed = known.nodes.filter((node) => node.failure !== null)
  if (failed.length === 0) return "None."
  return blocks(failed.flatMap((node) => {
    const { failure } = node
    if (failure === null) return []
    return [
      `### #${node.order} ${inline(titleOf(tree, node))}: ${inline(failure.kind.replaceAll("_", " "))}`,
      inline(failure.message),
      [
        `- Phase ${inline(failure.phase)}, attempt ${failure.attempt}, ${instant(failure.createdAt)}${
          failure.jobId === undefined ? "" : `, job ${code(failure.jobId)}`
        }`,
        ...(failure.exceptionType === undefined ? [] : [`- Error type: ${inline(failure.exceptionType)}`]),
        `- ${failure.retryable ? "Something can be done about it" : "It would fail in the same way again"}. Look at ${
          inline(policyOf(failure.kind).lookAt)
        }.`,
        ...(node.status === "completed" ? ["- The job had succeeded: its measurements stand."] : [])
      ].join("\n"),
      failure.logTail === undefined || failure.logTail.trim() === "" ? "" : fenced(failure.logTail)
    ]
  })).trimEnd()
}

/** What the report needs beyond the tree. */
export interface Place {
  readonly run?: string | undefined
  readonly repository?: string | undefined
  readonly elapsedMillis?: number | undefined
}

const reproduction = (known: Facts, place: Place): string => {
  const node = known.best
  if (node === null || node.commit === null) return "There is no commit of a best to go back to."
  const git = `git${place.repository === undefined ? "" : ` -C ${shellQuoted(place.repository)}`}`
  const from = known.baseline?.commit
  const commands = [
    `${git} show --stat ${shellQuoted(node.commit)}`,
    ...(from === undefined || from === null || from === node.commit
      ? []
      : [`${git} diff ${shellQuoted(from)} ${shellQuoted(node.commit)}`]),
    `${git} worktree add ../best ${shellQuoted(node.commit)}`
  ]
  return blocks([
    `The commit holds the experiment completely, its parameters too${
      place.run === undefined ? "" : `; the branch ${code(`espalier/${place.run}/${node.id}`)} keeps it`
    }. To see what changed, and to have it beside your checkout:`,
    fenced(commands.join("\n"), "sh"),
    "To take it over, merge or cherry-pick that commit; your own checkout was never touched."
  ]).trimEnd()
}

/** See `Report.reportMarkdown`. */
export const reportMarkdown = (tree: ExperimentTree, name: string, place: Place): string => {
  const known = facts(tree)
  return blocks([
    `# ${inline(name)}: report`,
    results(tree, known, place.elapsedMillis),
    "![Progress](progress.png)",
    "![Hypothesis tree](hypothesis_tree.png)",
    "## Method",
    method(tree),
    "## The best",
    best(tree, known),
    "## To reproduce it",
    reproduction(known, place),
    "## The story",
    known.nodes.length === 0 ? "No experiment yet." : "In the order in which they were proposed.",
    ...known.nodes.map((node) => story(tree, known, node)),
    "## Failures",
    failures(tree, known)
  ])
}
