/**
 * The picture of a search's progress: what each experiment reached, in the order in which they finished.
 */
import { logTicks, scale, ticks, wholeTicks } from "./plotAxis.ts"
import { nearest, place, spread } from "./plotLabels.ts"
import {
  arrow,
  at,
  circle,
  color,
  cross,
  diamond,
  document,
  legend,
  line,
  path,
  rect,
  square,
  star,
  text
} from "./plotSvg.ts"
import { fit, printable, width } from "./plotText.ts"
import { type Facts, facts, gain, oriented, valueOf } from "./reportFacts.ts"
import { number, percent, ratio } from "./reportFormat.ts"
import { headline, shortChange } from "./reportText.ts"
import type { Confirmation, ExperimentTree, TreeNode } from "../ExperimentTree.ts"

const WIDTH = 1400
const HEIGHT = 800
const LEFT = 96
const TOP = 104

/**
 * In the objective's unit: where the challenger of a confirmation lies, seen from the champion's own value. Not from
 * what the champion measured that day: a machine that has become slower since would move the bar off the picture.
 */
const interval = (
  tree: ExperimentTree,
  confirmation: Confirmation
): { readonly low: number; readonly high: number } | null => {
  const times = oriented(tree.objective, confirmation)?.interval
  const champion = valueOf(tree.nodes.get(confirmation.champion))
  if (!times || champion === null || champion <= 0) return null
  const [low, high] = tree.objective.direction === "maximize"
    ? [champion * times.low, champion * times.high]
    : [champion / times.high, champion / times.low]
  return Number.isFinite(low) && Number.isFinite(high) ? { low, high } : null
}

/** What the axis shows. What lies far outside of what matters is drawn at the edge, as an arrow, and does not squash the rest. */
const range = (
  known: Facts,
  bars: ReadonlyArray<{ readonly low: number; readonly high: number }>
): { readonly low: number; readonly high: number; readonly logarithmic: boolean } => {
  // The distance of two numbers must be a number too.
  const bounded = (node: TreeNode | null) => {
    const value = valueOf(node)
    return value === null ? null : Math.min(1e300, Math.max(-1e300, value))
  }
  const values = known.settled.map(bounded).filter((value) => value !== null)
  const headspace = bounded(known.headspace)
  const searched = known.settled.filter((node) => node.id !== known.headspace?.id).map(bounded).filter((value) =>
    value !== null
  )
  const must = [
    ...known.crownings.map(({ node }) => bounded(node)).filter((value) => value !== null),
    ...bars.flatMap(({ high, low }) => [low, high])
  ]
  const reference = bounded(known.baseline)
  if (reference !== null) must.push(reference)
  const base = searched.length === 0 ? values : searched
  if (base.length === 0) return { low: 0, high: 1, logarithmic: false }
  let low = Math.min(...base, ...must)
  let high = Math.max(...base, ...must)
  // What matters spans more than a decade: on a linear axis all but the last steps would be one line.
  if (must.length > 0 && Math.min(...must) > 0 && Math.max(...must) > 10 * Math.min(...must)) {
    low = Math.max(...[low].filter((value) => value > 0), Math.min(...must) / 10)
    high = Math.min(high, Math.max(...must) * 10)
    if (headspace !== null && headspace > high && headspace < high * 10) high = headspace
    if (headspace !== null && headspace < low && headspace > low / 10) low = headspace
    const pad = (high / low) ** 0.06
    return { low: low / pad, high: high * pad, logarithmic: true }
  }
  if (must.length > 0) {
    const core = [Math.min(...must), Math.max(...must)] as const
    const room = Math.max(core[1] - core[0], Math.abs(core[1]) * 0.5)
    low = Math.max(low, core[0] - 2 * room)
    high = Math.min(high, core[1] + 2 * room)
  }
  if (headspace !== null) {
    const span = Math.max(high - low, Math.abs(high) * 0.25)
    if (headspace > high && headspace <= high + 1.5 * span) high = headspace
    if (headspace < low && headspace >= low - 1.5 * span) low = headspace
  }
  if (high === low) {
    const around = high === 0 ? 1 : Math.abs(high) * 0.1
    return { low: low - around, high: high + around, logarithmic: false }
  }
  const pad = (high - low) * 0.06
  return { low: low >= 0 ? Math.max(0, low - pad) : low - pad, high: high + pad, logarithmic: false }
}

/** See `Plot.progress`. */
export const progress = (tree: ExperimentTree, name: string): string => {
  const known = facts(tree)
  const { baseline, best, crownings, headspace, settled } = known
  const { direction, metric, unit } = tree.objective

  const title = fit(printable(`${name}: ${metric} by experiment`), { size: 22, bold: true }, WIDTH - 64)
  const subtitle = fit(headline(tree, known), { size: 15 }, WIDTH - 64)

  const bars = crownings.flatMap(({ confirmation, node }) => {
    const bar = confirmation === null ? null : interval(tree, confirmation)
    return bar === null || valueOf(node) === null ? [] : [{ ...bar, id: node.id }]
  })
  const { high, logarithmic, low } = range(known, bars)

  // The lines' labels stand outside, on the right: their width decides how much room is left inside.
  // The best's factor is the one that was measured side by side, as in the headline.
  const factor = (node: TreeNode): string => {
    if (node.id === baseline?.id) return ""
    const times = node.id === best?.id
      ? known.speedUp?.ratio ?? null
      : gain(tree.objective, valueOf(node), valueOf(baseline))
    return times === null ? "" : ` · ${ratio(times)}`
  }
  const references = [
    { node: headspace, label: "headspace", stroke: color.green },
    { node: best?.id === baseline?.id ? null : best, label: "best", stroke: color.blue },
    { node: baseline, label: "baseline", stroke: color.ink }
  ].flatMap(({ label, node, stroke }) => {
    const value = valueOf(node)
    return value === null || node === null ? [] : [{ label, stroke, value, detail: `${number(value)}${factor(node)}` }]
  })
  const right = Math.max(
    56,
    ...references.map(({ detail, label }) =>
      34 + Math.max(width(label, { size: 13, bold: true }) + 14, width(detail, { size: 12 }))
    )
  )
  const strip = settled.filter((node) => valueOf(node) === null)
  const stripHeight = strip.length > 0 ? 40 : 12
  const plot = { x: LEFT, y: TOP, w: WIDTH - LEFT - right - 16, h: HEIGHT - TOP - 128 - stripHeight }
  const bottom = plot.y + plot.h
  const x = scale([0.5, Math.max(1, settled.length) + 0.5], [plot.x, plot.x + plot.w])
  const inside = (value: number) => Math.min(high, Math.max(low, value))
  const warp = (value: number) => logarithmic ? Math.log(value) : value
  const toY = scale([warp(low), warp(high)], [bottom, plot.y])
  const y = (value: number) => toY(warp(inside(value)))
  const indexOf = new Map(settled.map((node, i) => [node.id, i + 1]))

  let body = text(32, 42, title, { size: 22, bold: true }) +
    text(32, 68, subtitle, { size: 15, fill: color.muted })

  // axes
  const anyValue = settled.some((node) => valueOf(node) !== null)
  for (const tick of !anyValue ? [] : logarithmic ? logTicks(low, high) : ticks(low, high, 7)) {
    body += line(plot.x, y(tick), plot.x + plot.w, y(tick), color.rule) +
      text(plot.x - 10, y(tick) + 4, fit(number(tick, 6), { size: 12 }, LEFT - 44), {
        size: 12,
        fill: color.muted,
        anchor: "end"
      })
  }
  const wording = direction === "maximize" ? "higher is better" : "lower is better"
  const axisFace = { size: 13 }
  const axis = fit(
    printable(`${metric}${unit === "" ? "" : ` (${unit})`}, ${wording}${logarithmic ? ", logarithmic" : ""}`),
    axisFace,
    plot.h
  )
  body += text(30, plot.y + plot.h / 2, axis, { ...axisFace, anchor: "middle", rotate: -90 })
  const axisY = bottom + stripHeight
  body += line(plot.x, axisY, plot.x + plot.w, axisY, color.faint)
  for (const tick of wholeTicks(1, Math.max(1, settled.length), 12)) {
    if (settled.length === 0) break
    body += line(x(tick), axisY, x(tick), axisY + 5, color.faint) +
      text(x(tick), axisY + 20, number(tick), { size: 12, fill: color.muted, anchor: "middle" })
  }
  body += text(plot.x + plot.w / 2, axisY + 42, "experiments, in order of finishing", { ...axisFace, anchor: "middle" })

  // the strip of those without a value
  const stripY = bottom + stripHeight / 2
  body += rect(plot.x, bottom, plot.w, stripHeight, "#f5f7fa")
  if (strip.length > 0) {
    body += text(plot.x - 10, stripY + 4, "no value", { size: 12, fill: color.muted, anchor: "end" })
  }
  const r = Math.max(2.5, Math.min(5, (plot.w / Math.max(1, settled.length)) * 0.35))
  for (const node of strip) {
    const px = x(indexOf.get(node.id) ?? 0)
    body += node.status === "failed"
      ? cross(px, stripY, r, color.vermillion)
      : node.status === "cancelled"
      ? line(px - r, stripY, px + r, stripY, color.muted, { width: 2 })
      : circle(px, stripY, r, { fill: color.paper, stroke: color.muted, width: 1.5 })
  }

  // reference lines and their labels
  const offScale = (value: number) => value > high || value < low
  const labelY = spread(references.map(({ value }) => y(value)), 38, plot.y + 6, bottom - 14)
  references.forEach(({ detail, label, stroke, value }, i) => {
    const ly = labelY[i] ?? 0
    const edge = plot.x + plot.w
    if (label !== "best" && !offScale(value)) {
      body += line(plot.x, y(value), edge, y(value), stroke, { width: 1.5, dash: "7 5" })
    }
    body += path(`M${at(edge)} ${at(y(value))}L${at(edge + 16)} ${at(ly)}L${at(edge + 24)} ${at(ly)}`, {
      stroke,
      width: 1.2
    }) +
      text(edge + 30, ly - 2, `${label}${offScale(value) ? (value > high ? " ↑" : " ↓") : ""}`, {
        size: 13,
        bold: true,
        fill: stroke
      }) +
      text(edge + 30, ly + 14, detail, { size: 12, fill: color.muted })
  })

  // the confirmed best, as a step line
  const steps: Array<{ x: number; y: number }> = []
  for (const { node } of crownings) {
    const value = valueOf(node)
    const index = indexOf.get(node.id)
    if (value === null || index === undefined) continue
    const px = Math.max(x(index), steps.at(-1)?.x ?? 0)
    const before = steps.at(-1)
    if (before !== undefined) steps.push({ x: px, y: before.y })
    steps.push({ x: px, y: y(value) })
  }
  const last = steps.at(-1)
  if (last !== undefined) steps.push({ x: plot.x + plot.w, y: last.y })
  if (steps.length > 0) {
    body += path(`M${steps.map((step) => `${at(step.x)} ${at(step.y)}`).join("L")}`, { stroke: color.blue, width: 2.5 })
  }

  // the experiments; their marks are drawn after the leader lines of the labels, which end in them
  let clipped = false
  let marks = ""
  const crowned = new Set(crownings.map(({ node }) => node.id))
  const points: Array<{ x: number; y: number; cost: number }> = []
  for (const node of settled) {
    const value = valueOf(node)
    if (value === null) continue
    const px = x(indexOf.get(node.id) ?? 0)
    const py = y(value)
    if (offScale(value)) {
      clipped = true
      marks += arrow(px, py, r + 1.5, value > high, node.id === headspace?.id ? color.green : color.dot)
    } else if (node.id === headspace?.id) marks += diamond(px, py, r + 3, color.green, color.paper)
    else if (node.id === baseline?.id) marks += square(px, py, r + 1, color.ink, color.paper)
    else if (!crowned.has(node.id)) marks += circle(px, py, r, { fill: color.dot, stroke: color.paper, width: 0.8 })
    points.push({ x: px, y: py, cost: 45 })
  }
  for (const bar of bars) {
    const px = x(indexOf.get(bar.id) ?? 0)
    const [top, foot] = [y(bar.high), y(bar.low)]
    marks += path(
      `M${at(px - 5)} ${at(top)}L${at(px + 5)} ${at(top)}M${at(px)} ${at(top)}L${at(px)} ${at(foot)}M${at(px - 5)} ${
        at(foot)
      }L${at(px + 5)} ${at(foot)}`,
      { stroke: color.blue, width: 1.6 }
    )
  }
  const labelled: Array<{ x: number; y: number; text: string; suffix: string; radius: number }> = []
  for (const { node } of crownings) {
    const value = valueOf(node)
    const index = indexOf.get(node.id)
    if (value === null || index === undefined || node.id === baseline?.id) continue
    const [px, py] = [x(index), y(value)]
    marks += node.id === best?.id
      ? star(px, py, r + 7, color.orange, color.ink)
      : circle(px, py, r + 2, { fill: color.blue, stroke: color.paper, width: 1.2 })
    labelled.push({
      x: px,
      y: py,
      radius: node.id === best?.id ? r + 7 : r + 3,
      text: `#${node.order} ${shortChange(tree, node)}`,
      suffix: factor(node)
    })
  }

  // labels last, the latest first: if room runs out it is the early ones that go without
  const face = { size: 12 }
  const segments = steps.slice(1).map((step, i) => ({
    x1: steps[i]?.x ?? step.x,
    y1: steps[i]?.y ?? step.y,
    x2: step.x,
    y2: step.y,
    cost: 130
  }))
  const placed = place(labelled.toReversed(), {
    area: { x: plot.x + 4, y: plot.y, w: plot.w - 8, h: plot.h },
    face,
    maxWidth: 380,
    up: direction === "maximize",
    obstacles: {
      taken: [],
      points,
      lines: [
        ...segments,
        ...references.filter(({ label, value }) => label !== "best" && !offScale(value)).map(({ value }) => ({
          x1: plot.x,
          y1: y(value),
          x2: plot.x + plot.w,
          y2: y(value),
          cost: 130
        })),
        ...bars.map((bar) => {
          const px = x(indexOf.get(bar.id) ?? 0)
          return { x1: px, y1: y(bar.high), x2: px, y2: y(bar.low), cost: 25 }
        })
      ]
    }
  })
  for (const { anchor, box } of placed) {
    const end = nearest(box, anchor.x, anchor.y)
    if (Math.hypot(end.x - anchor.x, end.y - anchor.y) > 16) body += line(anchor.x, anchor.y, end.x, end.y, color.faint)
  }
  // A label may lighten the grid and the lines behind it, never a point.
  for (const { box } of placed) body += rect(box.x - 2, box.y, box.w + 4, box.h, color.paper, 0.85)
  body += marks
  for (const { box, text: content } of placed) body += text(box.x, box.y + face.size, content, face)

  if (!anyValue) {
    const message = settled.length === 0 ? "No experiment has finished yet" : "No experiment has a value"
    body += text(plot.x + plot.w / 2, plot.y + plot.h / 2, message, {
      size: 16,
      fill: color.muted,
      anchor: "middle"
    })
  }

  const entries = [
    { mark: (px: number, py: number) => circle(px, py, 4.5, { fill: color.dot }), label: "completed", on: anyValue },
    {
      mark: (px: number, py: number) => square(px, py, 5, color.ink, color.paper),
      label: "baseline",
      on: baseline !== null
    },
    {
      mark: (px: number, py: number) => diamond(px, py, 7, color.green, color.paper),
      label: "headspace",
      on: headspace !== null
    },
    {
      mark: (px: number, py: number) =>
        line(px - 9, py, px + 9, py, color.blue, { width: 2.5 }) +
        circle(px, py, 5, { fill: color.blue, stroke: color.paper, width: 1.2 }),
      label: "confirmed best",
      on: crownings.length > 0
    },
    {
      mark: (px: number, py: number) => star(px, py, 9, color.orange, color.ink),
      label: "best",
      on: best !== null && best.id !== baseline?.id
    },
    {
      mark: (px: number, py: number) =>
        path(
          `M${at(px - 4)} ${at(py - 7)}L${at(px + 4)} ${at(py - 7)}M${at(px)} ${at(py - 7)}L${at(px)} ${at(py + 7)}M${
            at(px - 4)
          } ${at(py + 7)}L${at(px + 4)} ${at(py + 7)}`,
          { stroke: color.blue, width: 1.6 }
        ),
      label: `${percent(1 - tree.objective.level)} CI of the comparison with the best before it`,
      on: bars.length > 0
    },
    { mark: (px: number, py: number) => arrow(px, py, 6, true, color.dot), label: "beyond the axis", on: clipped },
    {
      mark: (px: number, py: number) => cross(px, py, 5, color.vermillion),
      label: "failed",
      on: strip.some((node) => node.status === "failed")
    },
    {
      mark: (px: number, py: number) => line(px - 5, py, px + 5, py, color.muted, { width: 2 }),
      label: "cancelled",
      on: strip.some((node) => node.status === "cancelled")
    },
    {
      mark: (px: number, py: number) => circle(px, py, 4.5, { fill: color.paper, stroke: color.muted, width: 1.5 }),
      label: "completed without the objective",
      on: strip.some((node) => node.status === "completed")
    }
  ].filter(({ on }) => on)
  const key = legend(LEFT, axisY + 66, WIDTH - LEFT - 32, entries)
  return document({
    width: WIDTH,
    height: axisY + 66 + key.height + 4,
    title,
    description: subtitle,
    body: body + key.svg
  })
}
