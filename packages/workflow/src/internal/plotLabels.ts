/**
 * Where the labels of points go, so that none covers another and each can be told to belong to its point.
 *
 * Optimal point labelling is NP-hard; a greedy choice among candidate places, nearest first, in order of
 * importance, is what the literature falls back on (Christensen, Marks, Shieber, "An empirical study of
 * algorithms for point-feature label placement", 1995), and a dozen labels do not need more. A label with no
 * free place is tried again shortened, and then left out: an unlabelled point is honest, text over text is not.
 */
import { type Face, fit, width } from "./plotText.ts"

export interface Box {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface PlacedLabel {
  readonly text: string
  /** the box that the text fills; its baseline is `ascent` below the top */
  readonly box: Box
  readonly anchor: { readonly x: number; readonly y: number }
}

export const overlaps = (a: Box, b: Box, gap = 0): boolean =>
  a.x < b.x + b.w + gap && b.x < a.x + a.w + gap && a.y < b.y + b.h + gap && b.y < a.y + a.h + gap

/** Does the segment touch the box? (Liang and Barsky's clipping.) */
const crosses = (box: Box, { x1, x2, y1, y2 }: Segment): boolean => {
  let from = 0
  let to = 1
  const dx = x2 - x1
  const dy = y2 - y1
  for (
    const [p, q] of [[-dx, x1 - box.x], [dx, box.x + box.w - x1], [-dy, y1 - box.y], [dy, box.y + box.h - y1]] as const
  ) {
    if (p === 0) {
      if (q < 0) return false
    } else if (p < 0) from = Math.max(from, q / p)
    else to = Math.min(to, q / p)
  }
  return from <= to
}

interface Segment {
  readonly x1: number
  readonly y1: number
  readonly x2: number
  readonly y2: number
}

/** Do two segments cross? */
const meet = (a: Segment, b: Segment): boolean => {
  const side = (of: Segment, x: number, y: number) =>
    Math.sign((of.x2 - of.x1) * (y - of.y1) - (of.y2 - of.y1) * (x - of.x1))
  return side(a, b.x1, b.y1) * side(a, b.x2, b.y2) < 0 && side(b, a.x1, a.y1) * side(b, a.x2, a.y2) < 0
}

/** The nearest place on the box's edge, where its leader line ends. */
export const nearest = (box: Box, x: number, y: number): { readonly x: number; readonly y: number } => ({
  x: Math.min(Math.max(x, box.x), box.x + box.w),
  y: Math.min(Math.max(y, box.y), box.y + box.h)
})

export interface Obstacles {
  /** where no label may be */
  readonly taken: ReadonlyArray<Box>
  /** points that a label should not cover, with what covering one costs in pixels of distance */
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number; readonly cost: number }>
  /** lines that a label should not cross */
  readonly lines: ReadonlyArray<Segment & { readonly cost: number }>
}

const OFFSETS = [0, 14, 30, 48, 68, 90, 114, 140]

/**
 * Places labels, the most important first. `up` says on which side of its point a label is better, when both
 * are free.
 */
export const place = (
  labels: ReadonlyArray<{
    readonly x: number
    readonly y: number
    /** what may be shortened */
    readonly text: string
    /** what may not */
    readonly suffix: string
    readonly radius: number
  }>,
  o: {
    readonly area: Box
    readonly face: Face
    readonly maxWidth: number
    readonly up: boolean
    readonly obstacles: Obstacles
  }
): ReadonlyArray<PlacedLabel> => {
  const height = o.face.size * 1.3
  const placed: Array<PlacedLabel> = []
  const leaders: Array<Segment> = []
  const dots = labels.map(({ radius, x, y }) => ({ x: x - radius, y: y - radius, w: 2 * radius, h: 2 * radius }))
  for (const label of labels) {
    for (const limit of [o.maxWidth, o.maxWidth * 0.6]) {
      const shortened = fit(label.text, o.face, limit - width(label.suffix, o.face))
      if (shortened === "") continue
      const text = `${shortened}${label.suffix}`
      const w = width(text, o.face)
      let best: { box: Box; cost: number } | undefined
      for (const vertical of OFFSETS) {
        for (const horizontal of OFFSETS) {
          for (const up of [true, false]) {
            for (const side of [-1, 0, 1]) {
              if (side === 0 && horizontal > 0) continue
              if (side === 0 && vertical === 0) continue
              const gap = label.radius + 4
              const x = side === 0
                ? label.x - w / 2
                : side > 0
                ? label.x + gap + horizontal
                : label.x - gap - horizontal - w
              const y = vertical === 0
                ? label.y - height / 2
                : up
                ? label.y - gap - vertical + 14 - height
                : label.y + gap + vertical - 14
              const box = { x, y, w, h: height }
              if (
                x < o.area.x || x + w > o.area.x + o.area.w || y < o.area.y || y + height > o.area.y + o.area.h ||
                placed.some((other) => overlaps(other.box, box, 4)) ||
                dots.some((dot) => overlaps(dot, box, 1)) ||
                o.obstacles.taken.some((other) => overlaps(other, box, 2))
              ) continue
              const end = nearest(box, label.x, label.y)
              const distance = Math.hypot(end.x - label.x, end.y - label.y)
              let cost = distance + (up === o.up ? 0 : 12) + (side < 0 ? 0 : side === 0 ? 4 : 6)
              for (const point of o.obstacles.points) {
                if (overlaps(box, { x: point.x - 5, y: point.y - 5, w: 10, h: 10 })) cost += point.cost
              }
              const roomy = { x: box.x - 3, y: box.y - 3, w: box.w + 6, h: box.h + 6 }
              for (const each of o.obstacles.lines) if (crosses(roomy, each)) cost += each.cost
              const leader = { x1: label.x, y1: label.y, x2: end.x, y2: end.y }
              for (const each of leaders) cost += crosses(roomy, each) ? 160 : meet(leader, each) ? 80 : 0
              // A leader through another label's text would read as a strike-through.
              for (const other of placed) if (crosses(other.box, leader)) cost += 200
              if (best === undefined || cost < best.cost) best = { box, cost }
            }
          }
        }
      }
      if (best === undefined) continue
      const end = nearest(best.box, label.x, label.y)
      leaders.push({ x1: label.x, y1: label.y, x2: end.x, y2: end.y })
      placed.push({ text, box: best.box, anchor: { x: label.x, y: label.y } })
      break
    }
  }
  return placed
}

/** Moves labels on a vertical line apart to at least `gap`, keeping their order and staying near where they belong. */
export const spread = (
  wanted: ReadonlyArray<number>,
  gap: number,
  low: number,
  high: number
): ReadonlyArray<number> => {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y || a.i - b.i)
  const result: Array<number> = wanted.map(() => 0)
  let floor = low
  for (const { i, y } of order) {
    const place = Math.max(y, floor)
    result[i] = place
    floor = place + gap
  }
  let ceiling = high
  for (const { i } of order.toReversed()) {
    result[i] = Math.min(result[i] ?? 0, ceiling)
    ceiling = (result[i] ?? 0) - gap
  }
  return result
}
