/**
 * The picture of the hypothesis tree: what was tried from where, and what came of it. The tree on the left, and on
 * the right, in the same rows, how each experiment compares with the baseline.
 */
import type { ExperimentTree, TreeNode } from "../ExperimentTree.ts"
import { scale, ticks } from "./plotAxis.ts"
import { at, circle, color, cross, diamond, document, legend, line, path, rect, square, star, text } from "./plotSvg.ts"
import { fit, printable, width } from "./plotText.ts"
import { elide, type Elided, isElided, type Row } from "./plotElision.ts"
import { layout, type Placed as PlacedItem } from "./plotTree.ts"
import { facts, gain, valueOf } from "./reportFacts.ts"
import { number, quantity, ratio } from "./reportFormat.ts"
import { headline, shortChange } from "./reportText.ts"

const MARGIN = 32
const TOP = 124
const WIDTH = 1400
const PANEL = 300
const SHORTEST_LABEL = 380
const FACE = { size: 12 }
/** With this many rows, the lowest that can still be read, it is below 12000 pixels high: the renderer has a limit. */
const MOST_ROWS = 540
/** What the indentation of all generations may take, for the same reason. */
const MOST_INDENTATION = 4000

type Placed = PlacedItem<Row>

/**
 * From worse than the baseline to better: orange to blue through white, which every common colour vision tells
 * apart (after ColorBrewer's diverging schemes, Brewer 2003).
 */
const SCALE = [[179, 88, 6], [241, 163, 64], [247, 247, 247], [103, 169, 207], [8, 81, 156]] as const

/** The colour at -1 (worst) to 1 (best). */
const shade = (position: number): string => {
  const place = (Math.min(1, Math.max(-1, position)) + 1) * 2
  const index = Math.min(3, Math.floor(place))
  const [from, to] = [SCALE[index] ?? SCALE[2], SCALE[index + 1] ?? SCALE[2]]
  return `#${
    from.map((channel, i) =>
      Math.round(channel + ((to[i] ?? channel) - channel) * (place - index)).toString(16).padStart(2, "0")
    ).join("")
  }`
}

const failedMark = (x: number, y: number): string =>
  circle(x, y, 7, { fill: color.paper, stroke: color.faint }) + cross(x, y, 4.2, color.vermillion, 2.2)

const cancelledMark = (x: number, y: number): string =>
  circle(x, y, 7, { fill: color.paper, stroke: color.faint, width: 1.2 }) +
  line(x - 4, y, x + 4, y, color.muted, { width: 2 })

const openMark = (x: number, y: number): string =>
  circle(x, y, 7, { fill: color.paper, stroke: color.muted, width: 1.5, dash: "2.5 2.5" })

const elidedMark = (x: number, y: number): string =>
  [-5, 0, 5].map((dx) => circle(x + dx, y, 1.6, { fill: color.muted })).join("")

const valuelessMark = (x: number, y: number): string =>
  circle(x, y, 7, { fill: color.paper, stroke: color.muted, width: 1.5 })

/** See `Plot.hypothesisTree`. */
export const hypothesisTree = (tree: ExperimentTree, name: string): string => {
  const known = facts(tree)
  const { baseline, best, headspace } = known
  const onBestPath = new Set(known.bestPath.map((node) => node.id))

  // The best's factor is the one of the final comparison, as in the headline, once there is one.
  const factor = (node: TreeNode): number | null =>
    node.id === best?.id && known.speedUp !== null
      ? known.speedUp.ratio
      : gain(tree.objective, valueOf(node), valueOf(baseline))
  const factors = known.nodes.filter((node) => node.id !== headspace?.id).map(factor).filter((each) => each !== null)
  const forest = layout<Row>(elide(known.nodes, {
    most: MOST_ROWS,
    first: [
      ...(best === null ? [] : [best]),
      ...known.nodes.filter((node) => node.seed !== null),
      ...known.bestPath.toReversed(),
      ...known.crownings.map(({ node }) => node).toReversed()
    ],
    weight: (node) => factor(node) ?? 0
  }))
  // Colours spread over what was reached, not over a fixed range: the gains of one search are 3 %, of another 3×.
  const spread = Math.min(
    Math.log(4),
    factors.reduce((most, each) => Math.max(most, Math.abs(Math.log(each))), Math.log(1.1))
  )

  // Geometry.
  const showsPanel = factors.length > 1
  const panelWidth = showsPanel ? PANEL + 40 : 0
  const step = forest.depth === 0
    ? 0
    : Math.min(
      56,
      Math.max(
        Math.min(22, MOST_INDENTATION / forest.depth),
        (WIDTH - 2 * MARGIN - panelWidth - SHORTEST_LABEL) / forest.depth
      )
    )
  const left = MARGIN + 10
  const totalWidth = Math.max(WIDTH, Math.ceil(left + step * forest.depth + SHORTEST_LABEL + panelWidth + MARGIN))
  const labelsEnd = totalWidth - MARGIN - panelWidth
  const rowHeight = Math.min(32, Math.max(21, 660 / Math.max(1, forest.placed.length)))
  const bottom = TOP + Math.max(2, forest.placed.length) * rowHeight
  const x = (placed: Placed) => left + placed.depth * step
  const y = (placed: Placed) => TOP + (placed.row + 0.5) * rowHeight

  const title = fit(printable(`${name}: hypothesis tree`), { size: 22, bold: true }, totalWidth - 2 * MARGIN)
  const subtitle = fit(headline(tree, known), { size: 15 }, totalWidth - 2 * MARGIN)
  let body = text(MARGIN, 42, title, { size: 22, bold: true }) +
    text(MARGIN, 68, subtitle, { size: 15, fill: color.muted })
  for (const { row } of forest.placed) {
    if (row % 2 === 0) {
      body += rect(MARGIN - 10, TOP + row * rowHeight, totalWidth - 2 * MARGIN + 20, rowHeight, "#f7f9fb")
    }
  }

  // Edges: down from the parent, then across to the child.
  const edge = (placed: Placed, stroke: string, thickness: number): string => {
    if (placed.parent === null) return ""
    const [fromX, fromY, toX, toY] = [x(placed.parent), y(placed.parent), x(placed), y(placed)]
    const corner = Math.min(7, toY - fromY, toX - fromX)
    return path(
      `M${at(fromX)} ${at(fromY)}L${at(fromX)} ${at(toY - corner)}Q${at(fromX)} ${at(toY)} ${at(fromX + corner)} ${
        at(toY)
      }L${at(toX)} ${at(toY)}`,
      { stroke, width: thickness }
    )
  }
  const isOnPath = ({ node }: Placed) =>
    isElided(node) ? node.elided.some(({ id }) => onBestPath.has(id)) : onBestPath.has(node.shown.id)
  for (const placed of forest.placed) if (!isOnPath(placed)) body += edge(placed, "#b8c1cc", 1.3)
  for (const placed of forest.placed) if (isOnPath(placed)) body += edge(placed, color.blue, 3)

  // Nodes and their labels.
  const fill = (node: TreeNode): string => {
    const times = factor(node)
    return times === null ? color.dot : shade(Math.log(times) / spread)
  }
  const mark = (node: TreeNode, px: number, py: number): string => {
    if (node.status === "failed") return failedMark(px, py)
    if (node.status === "cancelled") return cancelledMark(px, py)
    if (node.status !== "completed") return openMark(px, py)
    if (valueOf(node) === null) return valuelessMark(px, py)
    if (node.id === headspace?.id) return diamond(px, py, 8, color.green, color.ink)
    if (node.id === baseline?.id) return square(px, py, 6.5, color.ink, color.ink)
    if (node.id === best?.id) return star(px, py, 11, color.orange, color.ink)
    return circle(px, py, 7, {
      fill: fill(node),
      stroke: node.crowned ? color.ink : color.faint,
      width: node.crowned ? 2.2 : 1.2
    })
  }
  const result = (node: TreeNode): string => {
    const value = valueOf(node)
    if (node.status === "failed") return node.failure === null ? "failed" : node.failure.kind.replaceAll("_", " ")
    if (node.status !== "completed") return node.status
    if (value === null) return "no value"
    const times = factor(node)
    if (node.seed === null && times !== null) {
      return node.id === best?.id && known.speedUp === null ? `${ratio(times)} (selected)` : ratio(times)
    }
    return quantity(value, tree.objective.unit) +
      (times === null || node.id === baseline?.id ? "" : ` · ${ratio(times)}`)
  }
  const gathered = ({ elided }: Elided): string => {
    const failed = elided.filter(({ status }) => status === "failed").length
    const most = elided.reduce((highest, node) => Math.max(highest, factor(node) ?? 0), 0)
    return `… ${number(elided.length)} more${most > 0 ? `, best ${ratio(most)}` : ""}${
      failed > 0 ? `, ${number(failed)} failed` : ""
    }`
  }
  for (const placed of forest.placed) {
    const [px, py] = [x(placed), y(placed)]
    if (isElided(placed.node)) {
      body += elidedMark(px, py) +
        text(px + 16, py + 4, fit(gathered(placed.node), FACE, labelsEnd - px - 16), { ...FACE, fill: color.muted })
      continue
    }
    const node = placed.node.shown
    const bold = isOnPath(placed) || node.seed !== null
    const face = { ...FACE, bold }
    const begins = px + 16
    const available = labelsEnd - begins
    // What came of it is worth more than what it was: the change is shortened, the result only in the last resort.
    const end = fit(printable(result(node)), FACE, available / 2)
    const label = fit(
      printable(node.seed === null ? `#${node.order} ${shortChange(tree, node)}` : node.seed),
      face,
      available - width(end, face) - 10
    )
    body += mark(node, px, py) +
      text(begins, py + 4, label, { ...face, fill: node.status === "completed" ? color.ink : color.muted }) +
      text(begins + width(label, face) + 10, py + 4, end, {
        ...FACE,
        fill: node.status === "failed" ? color.vermillion : color.muted
      })
  }

  // The same, as a scale.
  if (showsPanel) {
    const panel = totalWidth - MARGIN - PANEL
    const ceiling = headspace === null ? null : factor(headspace)
    const worst = Math.min(1, ...factors)
    const top = Math.max(1, ...factors)
    // A headspace far above all would press the rest against the left edge.
    const high = ceiling !== null && ceiling > top && ceiling - worst < 2.5 * (top - worst) ? ceiling : top
    const pad = (high - worst) * 0.05
    const [from, to] = [Math.max(0, worst - pad), high + pad]
    const px = scale([from, to], [panel, panel + PANEL])
    body += text(panel + PANEL / 2, TOP - 32, "times the baseline (right is better)", {
      ...FACE,
      anchor: "middle",
      fill: color.muted
    })
    for (const tick of ticks(from, to, 4)) {
      body += line(px(tick), TOP, px(tick), bottom, color.rule) +
        text(px(tick), TOP - 10, `${number(tick)}×`, { ...FACE, fill: color.muted, anchor: "middle" })
    }
    body += line(px(1), TOP, px(1), bottom, color.ink, { width: 1.5, dash: "7 5" })
    if (ceiling !== null && ceiling <= to && ceiling >= from) {
      body += line(px(ceiling), TOP, px(ceiling), bottom, color.green, { width: 1.5, dash: "7 5" })
    }
    for (const placed of forest.placed) {
      if (isElided(placed.node)) continue
      const node = placed.node.shown
      const times = factor(node)
      if (times === null) continue
      const py = y(placed)
      const clamped = Math.min(to, Math.max(from, times))
      body += line(px(1), py, px(clamped), py, isOnPath(placed) ? color.blue : "#b8c1cc", {
        width: isOnPath(placed) ? 3 : 1.6
      })
      body += clamped === times
        ? mark(node, px(times), py)
        : path(
          `M${at(px(clamped) - 6)} ${at(py - 6)}L${at(px(clamped))} ${at(py)}L${at(px(clamped) - 6)} ${at(py + 6)}`,
          {
            stroke: color.green,
            width: 2.5
          }
        )
    }
  }

  if (known.nodes.length === 0) {
    body += text(totalWidth / 2, TOP + rowHeight + 6, "No experiment yet", {
      size: 16,
      fill: color.muted,
      anchor: "middle"
    })
  }

  const has = (test: (node: TreeNode) => boolean) => known.nodes.some(test)
  const sample = (position: number) => (px: number, py: number) =>
    circle(px, py, 7, { fill: shade(position), stroke: color.faint, width: 1.2 })
  const key = legend(
    MARGIN,
    bottom + 28,
    totalWidth - 2 * MARGIN,
    [
      {
        mark: (px: number, py: number) => square(px, py, 6, color.ink, color.ink),
        label: "baseline",
        on: baseline !== null
      },
      {
        mark: (px: number, py: number) => diamond(px, py, 8, color.green, color.ink),
        label: "headspace",
        on: headspace !== null
      },
      { mark: sample(-0.7), label: "worse than the baseline", on: factors.some((each) => each < 1) },
      { mark: sample(0.7), label: "better", on: factors.some((each) => each > 1) },
      {
        mark: (px: number, py: number) => circle(px, py, 7, { fill: color.paper, stroke: color.ink, width: 2.2 }),
        label: "was the confirmed best",
        on: has((node) => node.crowned && node.id !== baseline?.id && node.id !== best?.id)
      },
      {
        mark: (px: number, py: number) => star(px, py, 10, color.orange, color.ink),
        label: "best",
        on: best !== null && best.id !== baseline?.id
      },
      {
        mark: (px: number, py: number) => line(px - 9, py, px + 9, py, color.blue, { width: 3 }),
        label: "path to the best",
        on: known.bestPath.length > 1
      },
      { mark: failedMark, label: "failed", on: has(({ status }) => status === "failed") },
      { mark: cancelledMark, label: "cancelled", on: has(({ status }) => status === "cancelled") },
      {
        mark: openMark,
        label: "in progress",
        on: has(({ status }) => status !== "completed" && status !== "failed" && status !== "cancelled")
      },
      {
        mark: valuelessMark,
        label: "completed without the objective",
        on: has((node) => node.status === "completed" && valueOf(node) === null)
      }
    ].filter(({ on }) => on)
  )
  return document({
    width: totalWidth,
    height: Math.ceil(bottom + 28 + key.height + 8),
    title,
    description: subtitle,
    body: body + key.svg
  })
}
