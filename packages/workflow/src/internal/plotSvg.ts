/**
 * The few SVG elements that the pictures use. Coordinates are rounded, so that a picture is the same bytes
 * wherever it is drawn; text is escaped here and nowhere else.
 */
import { escapeXml, type Face, width } from "./plotText.ts"

/** Okabe and Ito's palette (2008): told apart with every common colour vision. Shapes differ as well. */
export const color = {
  ink: "#1f2933",
  muted: "#616e7c",
  faint: "#9aa5b1",
  rule: "#e4e7eb",
  paper: "#ffffff",
  dot: "#8fa1b3",
  blue: "#0072b2",
  orange: "#e69f00",
  green: "#008060",
  vermillion: "#d55e00"
} as const

/** A coordinate with two decimals at most; anything that is no number is a defect of the caller, so it shows as 0. */
export const at = (value: number): string => {
  const rounded = Math.round(value * 100) / 100
  return Number.isFinite(rounded) && rounded !== 0 ? String(rounded) : "0"
}

export const line = (
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  stroke: string,
  o: { readonly width?: number; readonly dash?: string } = {}
): string =>
  `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" stroke="${stroke}" stroke-width="${
    at(o.width ?? 1)
  }"${o.dash === undefined ? "" : ` stroke-dasharray="${o.dash}"`}/>`

export const path = (
  d: string,
  o: { readonly stroke: string; readonly width?: number; readonly fill?: string; readonly dash?: string }
): string =>
  `<path d="${d}" fill="${o.fill ?? "none"}" stroke="${o.stroke}" stroke-width="${
    at(o.width ?? 1)
  }" stroke-linejoin="round" stroke-linecap="round"${o.dash === undefined ? "" : ` stroke-dasharray="${o.dash}"`}/>`

export const circle = (
  x: number,
  y: number,
  r: number,
  o: { readonly fill: string; readonly stroke?: string; readonly width?: number; readonly dash?: string }
): string =>
  `<circle cx="${at(x)}" cy="${at(y)}" r="${at(r)}" fill="${o.fill}"${
    o.stroke === undefined ? "" : ` stroke="${o.stroke}" stroke-width="${at(o.width ?? 1)}"`
  }${o.dash === undefined ? "" : ` stroke-dasharray="${o.dash}"`}/>`

export const rect = (x: number, y: number, w: number, h: number, fill: string, opacity = 1): string =>
  `<rect x="${at(x)}" y="${at(y)}" width="${at(w)}" height="${at(h)}" fill="${fill}"${
    opacity === 1 ? "" : ` fill-opacity="${at(opacity)}"`
  }/>`

export interface TextStyle extends Face {
  readonly fill?: string
  readonly anchor?: "start" | "middle" | "end"
  /** degrees, around the text's own position */
  readonly rotate?: number
}

/** One line of text with its baseline at y. */
export const text = (x: number, y: number, content: string, style: TextStyle): string =>
  content === ""
    ? ""
    : `<text x="${at(x)}" y="${at(y)}" font-size="${at(style.size)}" fill="${style.fill ?? color.ink}"${
      style.bold === true ? ` font-weight="bold"` : ""
    }${style.anchor === undefined || style.anchor === "start" ? "" : ` text-anchor="${style.anchor}"`}${
      style.rotate === undefined ? "" : ` transform="rotate(${at(style.rotate)} ${at(x)} ${at(y)})"`
    }>${escapeXml(content)}</text>`

/** A cross, the mark of a failure. */
export const cross = (x: number, y: number, r: number, stroke: string, thickness = 2): string =>
  path(`M${at(x - r)} ${at(y - r)}L${at(x + r)} ${at(y + r)}M${at(x - r)} ${at(y + r)}L${at(x + r)} ${at(y - r)}`, {
    stroke,
    width: thickness
  })

const polygon = (points: ReadonlyArray<readonly [number, number]>): string =>
  `M${points.map(([x, y]) => `${at(x)} ${at(y)}`).join("L")}Z`

/** A five-pointed star, the mark of the best. */
export const star = (x: number, y: number, r: number, fill: string, stroke: string): string =>
  path(
    polygon(Array.from({ length: 10 }, (_, i) => {
      const angle = (Math.PI * i) / 5 - Math.PI / 2
      const radius = i % 2 === 0 ? r : r * 0.45
      return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)]
    })),
    { stroke, width: 1.2, fill }
  )

export const square = (x: number, y: number, r: number, fill: string, stroke: string): string =>
  path(polygon([[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]]), { stroke, width: 1.2, fill })

export const diamond = (x: number, y: number, r: number, fill: string, stroke: string): string =>
  path(polygon([[x, y - r], [x + r, y], [x, y + r], [x - r, y]]), { stroke, width: 1.2, fill })

/** A triangle that points off the picture: what it stands for lies beyond the axis. */
export const arrow = (x: number, y: number, r: number, up: boolean, fill: string): string => {
  const s = up ? -1 : 1
  return path(polygon([[x - r, y - s * r * 0.7], [x + r, y - s * r * 0.7], [x, y + s * r]]), {
    stroke: color.paper,
    width: 0.8,
    fill
  })
}

/** Entries of a legend in one row, wrapped where the row is full. */
export const legend = (
  x: number,
  y: number,
  available: number,
  entries: ReadonlyArray<{ readonly mark: (x: number, y: number) => string; readonly label: string }>
): { readonly svg: string; readonly height: number } => {
  const face = { size: 12 }
  const row = 22
  let left = x
  let top = y
  let svg = ""
  for (const entry of entries) {
    const needs = 24 + width(entry.label, face) + 22
    if (left > x && left + needs > x + available) {
      left = x
      top += row
    }
    svg += entry.mark(left + 9, top) + text(left + 24, top + 4, entry.label, { ...face, fill: color.muted })
    left += needs
  }
  return { svg, height: entries.length === 0 ? 0 : top - y + row }
}

/** A whole file. The title is what a screen reader reads. */
export const document = (o: {
  readonly width: number
  readonly height: number
  readonly title: string
  readonly description: string
  readonly body: string
}): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${at(o.width)}" height="${at(o.height)}" viewBox="0 0 ${
    at(o.width)
  } ${at(o.height)}" font-family="DejaVu Sans" role="img"><title>${escapeXml(o.title)}</title><desc>${
    escapeXml(o.description)
  }</desc>${rect(0, 0, o.width, o.height, color.paper)}${o.body}</svg>\n`
