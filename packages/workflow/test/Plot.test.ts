import { describe, it } from "@effect/vitest"
import fc from "fast-check"
import assert from "node:assert"
import type { ExperimentTree, TreeNode } from "../src/ExperimentTree.ts"
import { logTicks, ticks, wholeTicks } from "../src/internal/plotAxis.ts"
import { overlaps, place, spread } from "../src/internal/plotLabels.ts"
import { escapeXml, fit, width } from "../src/internal/plotText.ts"
import { layout } from "../src/internal/plotTree.ts"
import * as Plot from "../src/Plot.ts"
import { anyText } from "./fixtures/texts.ts"
import { emptyTree, grow, node, treeOf } from "./fixtures/trees.ts"

interface Element {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly content: string
}

const unescaped = (text: string): string =>
  text.replace(
    /&(lt|gt|quot|amp|#39);/g,
    (_, name: string) => ({ lt: "<", gt: ">", quot: "\"", amp: "&", "#39": "'" })[name] ?? ""
  )

/** Reads an SVG as strictly as an XML reader would, and gives its elements. */
const parsed = (svg: string): ReadonlyArray<Element> => {
  const elements: Array<Element> = []
  const open: Array<string> = []
  let at = 0
  let content = ""
  const token = /<(\/?)([a-zA-Z]+)((?: [a-zA-Z0-9:-]+="[^"<]*")*)(\/?)>|([^<]+)/y
  while (at < svg.length) {
    token.lastIndex = at
    const match = token.exec(svg)
    assert(match !== null, `no XML at ${at}: ${svg.slice(at, at + 80)}`)
    at = token.lastIndex
    const [, closing, tag = "", attributes = "", single, text] = match
    if (text !== undefined) {
      assert(/^(?:[^&]|&(?:lt|gt|quot|amp|#39);)*$/.test(text), `a bare & in ${text}`)
      assert(
        !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text) && text.isWellFormed(),
        "not a character of XML"
      )
      content = unescaped(text)
    } else if (closing === "/") {
      assert.equal(open.pop(), tag)
      const last = elements.at(-1)
      if (last !== undefined && tag === "text") elements[elements.length - 1] = { ...last, content }
    } else {
      if (single !== "/") open.push(tag)
      elements.push({
        tag,
        content: "",
        attributes: Object.fromEntries(
          Array.from(
            attributes.matchAll(/ ([a-zA-Z0-9:-]+)="([^"]*)"/g),
            ([, key = "", value = ""]) => [key, unescaped(value)]
          )
        )
      })
    }
  }
  assert.deepEqual(open, [])
  return elements
}

/** The boxes of all lines of text, turned ones left out. */
const textBoxes = (svg: string) =>
  parsed(svg).filter(({ attributes, tag }) => tag === "text" && attributes["transform"] === undefined).map((each) => {
    const size = Number(each.attributes["font-size"])
    const w = width(each.content, { size, bold: each.attributes["font-weight"] === "bold" })
    const anchor = each.attributes["text-anchor"]
    const x = Number(each.attributes["x"]) - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0)
    // Between the top of the capitals and the baseline: that is what must not touch.
    return { text: each.content, x, y: Number(each.attributes["y"]) - size * 0.73, w, h: size * 0.73 }
  })

const looksRight = (svg: string): void => {
  assert.doesNotMatch(svg, /NaN|Infinity|undefined|null/)
  const [root] = parsed(svg)
  const size = { w: Number(root?.attributes["width"]), h: Number(root?.attributes["height"]) }
  const boxes = textBoxes(svg)
  for (const box of boxes) {
    assert(box.x >= 0 && box.x + box.w <= size.w && box.y >= 0 && box.y + box.h <= size.h, `cut: ${box.text}`)
  }
  for (const [i, a] of boxes.entries()) {
    const over = boxes.slice(i + 1).find((b) => overlaps(a, b))
    assert(over === undefined, `"${a.text}" is over "${over?.text}"`)
  }
}

const trees: ReadonlyArray<readonly [name: string, tree: ExperimentTree]> = [
  ["of nothing", emptyTree],
  ["of one node", grow({ size: 1 })],
  ["of 5 nodes", grow({ size: 5 })],
  ["of 40 nodes", grow({ size: 40, seed: 3 })],
  ["of 120 nodes", grow({ size: 120, seed: 4 })],
  ["that minimises", grow({ size: 40, seed: 7, direction: "minimize" })],
  ["with long names", grow({ size: 40, seed: 9, suffix: "-with-a-very-long-name-that-never-ends-and-more" })],
  ["whose headspace is far away", grow({ size: 30, seed: 11, headspaceTimes: 40 })],
  ["in which all failed", grow({ size: 25, seed: 5, failing: 1 })],
  [
    "without any value",
    treeOf([node({ id: "a", seed: "baseline", status: "failed" }), node({ id: "b", status: "cancelled", order: 2 })])
  ],
  [
    "over three decades",
    treeOf(
      [1, 10, 100, 1000].map((value, i) =>
        node({ id: `n${i}`, seed: i === 0 ? "baseline" : null, order: i + 1, value, crowned: true })
      ),
      { best: "n3" }
    )
  ],
  [
    "with values below zero",
    treeOf(
      [-5, 0, 3].map((value, i) =>
        node({ id: `n${i}`, seed: i === 0 ? "baseline" : null, order: i + 1, value, crowned: i === 0 })
      ),
      { best: "n0" }
    )
  ],
  [
    "with the largest and the least numbers",
    treeOf(
      [Number.MAX_VALUE, Number.MIN_VALUE, -Number.MAX_VALUE].map((value, i) =>
        node({ id: `n${i}`, order: i + 1, value })
      ),
      {}
    )
  ],
  [
    "that is one long chain",
    treeOf(
      Array.from(
        { length: 60 },
        (_, i) => node({ id: `n${i}`, parent: i === 0 ? null : `n${i - 1}`, order: i + 1, value: 10 + i })
      ),
      { best: "n59" }
    )
  ]
]

describe("Both pictures", () => {
  it.each(trees)("are well-formed, with no text cut or over another, for a tree %s", (_, tree) => {
    looksRight(Plot.progress(tree, { name: "autoresearch" }))
    looksRight(Plot.hypothesisTree(tree, { name: "autoresearch" }))
  })

  it("are the same bytes for the same tree", () => {
    const tree = () => grow({ size: 40, seed: 3 })
    assert.equal(Plot.progress(tree()), Plot.progress(tree()))
    assert.equal(Plot.hypothesisTree(tree()), Plot.hypothesisTree(tree()))
  })

  it("name no font but DejaVu Sans", () => {
    for (const svg of [Plot.progress(grow({ size: 9 })), Plot.hypothesisTree(grow({ size: 9 }))]) {
      assert.deepEqual(Array.from(svg.matchAll(/font-family="([^"]*)"/g), ([, font]) => font), ["DejaVu Sans"])
    }
  })

  it("survive whatever is in a name, a change or a unit", () => {
    const hostile = fc.oneof(
      anyText(60),
      fc.string({ maxLength: 60 }),
      fc.constantFrom(
        "</text><script>alert(1)</script>",
        "]]>",
        "&lt;",
        "\u0000\u001b[31m",
        "\ud800",
        "\u202eevil",
        "a\nb\tc"
      )
    )
    fc.assert(
      fc.property(hostile, hostile, hostile, (name, change, unit) => {
        const tree = treeOf([
          node({ id: "a", name, seed: "baseline", value: 1, crowned: true }),
          node({
            id: "b",
            name,
            parent: "a",
            order: 2,
            value: 2,
            crowned: true,
            changes: { parameters: { [change]: change }, edits: [change] }
          }),
          node({ id: "c", name, parent: "a", seed: change, order: 3, value: 3 })
        ], { best: "b", objective: { ...emptyTree.objective, unit, metric: name === "" ? "x" : name } })
        looksRight(Plot.progress(tree, { name: change }))
        looksRight(Plot.hypothesisTree(tree, { name: change }))
      }),
      { numRuns: 25, seed: 21 }
    )
  })
})

const texts = (svg: string) => textBoxes(svg).map(({ text }) => text)
const count = (svg: string, part: string) => svg.split(part).length - 1

describe("The picture of the progress", () => {
  const tree = grow({ size: 40, seed: 3 })
  const svg = Plot.progress(tree, { name: "autoresearch" })

  it("says in its subtitle what was found, with the confidence interval", () => {
    assert(
      texts(svg).some((text) =>
        /^Best 2,639 samples\/s: 3\.23× the baseline \(95 % CI 3\.14× to 3\.33×, 6 pairs\) · 40 experiments · 4 failed$/
          .test(text)
      )
    )
  })

  it("labels every new best with what it changed, and its lines with their values", () => {
    for (const each of tree.nodes.values()) {
      if (each.crowned && each.seed === null) assert(texts(svg).some((text) => text.startsWith(`#${each.order} `)))
    }
    for (const label of ["baseline", "headspace", "best", "812.4", "2,925 · 3.60×", "2,639 · 3.23×"]) {
      assert(texts(svg).includes(label), label)
    }
  })

  it("has a dot for every completed experiment and a cross for every failed one", () => {
    const completed = [...tree.nodes.values()].filter((each) =>
      each.status === "completed" && !each.crowned && each.seed === null
    )
    // One more of each stands in the legend.
    assert.equal(count(svg, "fill=\"#8fa1b3\""), completed.length + 1)
    assert.equal(count(svg, "stroke=\"#d55e00\""), 4 + 1)
  })

  it("turns the speed-up of what is minimised so that more is better", () => {
    const subtitle = texts(Plot.progress(grow({ size: 40, seed: 7, direction: "minimize" })))[1]
    assert.match(subtitle ?? "", /^Best 16\.65 ms: 2\.51× the baseline \(95 % CI 2\.44× to 2\.58×/)
  })

  it("marks what lies beyond the axis instead of squashing the rest", () => {
    const values = [100, 101, 105, 100_000]
    const outlier = Plot.progress(treeOf(
      values.map((value, i) =>
        node({ id: `n${i}`, seed: i === 0 ? "baseline" : null, order: i + 1, value, crowned: i === 0 })
      ),
      { best: "n0", objective: { ...emptyTree.objective, direction: "minimize" } }
    ))
    assert(texts(outlier).includes("beyond the axis"))
    assert(!texts(outlier).includes("100,000"))
  })
})

describe("The picture of the hypothesis tree", () => {
  it("has a label for every node", () => {
    const tree = grow({ size: 120, seed: 4 })
    const labels = texts(Plot.hypothesisTree(tree))
    for (const each of tree.nodes.values()) {
      assert(labels.some((label) => label === each.seed || label.startsWith(`#${each.order} `)), each.id)
    }
  })

  describe("of thousands of nodes", () => {
    const tree = grow({ size: 3000, seed: 4 })
    const svg = Plot.hypothesisTree(tree)

    it("is still a picture that can be drawn, and in which nothing covers another", () => {
      const [root] = parsed(svg)
      assert(Number(root?.attributes["height"]) <= 12_000)
      assert(Number(root?.attributes["width"]) <= 5_000)
      looksRight(svg)
    })

    it("keeps the path to the best, the seeds and every former best", () => {
      const labels = texts(svg)
      const path = new Set<string>()
      for (let at = tree.best; at !== null; at = tree.nodes.get(at)?.parent ?? null) path.add(at)
      assert(path.size > 3)
      for (const each of tree.nodes.values()) {
        if (!path.has(each.id) && each.seed === null && !each.crowned) continue
        assert(labels.some((label) => label === each.seed || label.startsWith(`#${each.order} `)), each.id)
      }
    })

    it("tells of the others how many they are, the best of them, and how many failed", () => {
      const labels = texts(svg)
      const shown = labels.filter((label) => /^#\d/.test(label) || label === "baseline" || label === "headspace")
      const gathered = labels.filter((label) => label.startsWith("… "))
      const sum = (pattern: RegExp) =>
        gathered.reduce((all, label) => all + Number((pattern.exec(label)?.[1] ?? "0").replace(",", "")), 0)
      const nodes = new Set(shown)
      // "baseline" and "headspace" stand in the legend too.
      assert.equal(nodes.size + sum(/^… ([\d,]+) more/), 3000)
      assert(sum(/, best ([\d.]+)×/) > 0)
      assert(sum(/, ([\d,]+) failed$/) > 0)
    })

    it("can be drawn even if each came of the one before", () => {
      const chain = Array.from(
        { length: 3000 },
        (_, i) => node({ id: `n${i}`, order: i + 1, parent: i === 0 ? null : `n${i - 1}`, value: i + 1, crowned: true })
      )
      const deep = Plot.hypothesisTree(treeOf(chain, { best: "n2999" }))
      const [root] = parsed(deep)
      assert(Number(root?.attributes["height"]) <= 12_000 && Number(root?.attributes["width"]) <= 5_000)
      assert(texts(deep).some((label) => label.startsWith("#3000 ")))
    })
  })

  it("stays 1400 pixels wide for a deep tree, and as high as its rows need", () => {
    const [root] = parsed(Plot.hypothesisTree(grow({ size: 120, seed: 4 })))
    assert(Number(root?.attributes["width"]) < 1500)
    assert(Number(root?.attributes["height"]) < 120 * 21 + 250)
  })
})

describe("The layout of a tree", () => {
  const forest = fc.array(fc.nat(), { minLength: 1, maxLength: 60 }).map((picks) =>
    picks.map((pick, i): TreeNode =>
      node({ id: `n${i}`, order: i + 1, parent: i === 0 || pick % 7 === 0 ? null : `n${pick % i}` })
    )
  )

  it("gives every node a row of its own, below its parent, one generation further", () => {
    fc.assert(
      fc.property(forest, (nodes) => {
        const { depth, placed } = layout(nodes)
        assert.equal(placed.length, nodes.length)
        placed.forEach((each, i) => {
          assert.equal(each.row, i)
          assert.equal(each.parent?.node.id ?? null, each.node.parent)
          assert.equal(each.depth, each.parent === null ? 0 : each.parent.depth + 1)
          assert(each.parent === null || each.parent.row < each.row)
          assert(each.depth <= depth)
        })
      }),
      { seed: 31 }
    )
  })

  it("keeps a subtree together, so that no edges cross", () => {
    fc.assert(
      fc.property(forest, (nodes) => {
        const { placed } = layout(nodes)
        for (const each of placed) {
          // Between a node and its parent there is only what hangs below the parent.
          for (let row = (each.parent?.row ?? each.row) + 1; row < each.row; row++) {
            const ancestors: Array<unknown> = []
            for (let at = placed[row]?.parent ?? null; at !== null; at = at.parent) ancestors.push(at)
            assert(ancestors.includes(each.parent))
          }
        }
      }),
      { numRuns: 50, seed: 32 }
    )
  })

  it("takes a node whose parent is unknown for a root", () => {
    assert.deepEqual(layout([node({ id: "a", parent: "gone" })]).placed.map(({ depth }) => depth), [0])
  })
})

describe("Labels", () => {
  it("are placed inside the area, over no other and over no labelled point", () => {
    const point = fc.record({
      x: fc.integer({ min: 10, max: 590 }),
      y: fc.integer({ min: 10, max: 290 }),
      text: fc.string({ minLength: 1, maxLength: 40 })
    })
    fc.assert(
      fc.property(fc.array(point, { maxLength: 15 }), (points) => {
        const area = { x: 0, y: 0, w: 600, h: 300 }
        const labels = points.map((each) => ({ ...each, suffix: " · 1.5×", radius: 6 }))
        const placed = place(labels, {
          area,
          face: { size: 12 },
          maxWidth: 200,
          up: true,
          obstacles: { taken: [], points: [], lines: [] }
        })
        placed.forEach(({ box, text }, i) => {
          assert(box.x >= 0 && box.y >= 0 && box.x + box.w <= 600 && box.y + box.h <= 300)
          assert(width(text, { size: 12 }) <= box.w + 1e-9 && text.endsWith(" · 1.5×"))
          for (const other of placed.slice(i + 1)) assert(!overlaps(box, other.box))
          for (const { x, y } of points) assert(!overlaps(box, { x: x - 6, y: y - 6, w: 12, h: 12 }))
        })
      }),
      { numRuns: 60, seed: 41 }
    )
  })

  it("on one line are spread in their order, at least a gap apart", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 6 }), (wanted) => {
        const given = spread(wanted, 30, 0, 300)
        const sorted = given.toSorted((a, b) => a - b)
        sorted.forEach((y, i) => assert(i === 0 || y - (sorted[i - 1] ?? 0) >= 30 - 1e-9))
        wanted.forEach((a, i) => wanted.forEach((b, j) => assert(!(a < b) || (given[i] ?? 0) < (given[j] ?? 0))))
      }),
      { seed: 42 }
    )
  })

  it("are shortened to their place, with an ellipsis, never in the middle of a character", () => {
    fc.assert(
      fc.property(
        anyText(60),
        fc.integer({ min: 0, max: 300 }),
        (text, available) => {
          const face = { size: 12 }
          const shown = fit(text, face, available)
          assert(width(shown, face) <= available || shown === "")
          assert(shown === text || shown === "" || shown.endsWith("…"))
          assert(shown.isWellFormed() || !text.isWellFormed())
        }
      ),
      { seed: 43 }
    )
  })

  it("are escaped on one line", () => {
    assert.equal(escapeXml(" <a href=\"x\">\n'&'\u0007 "), "&lt;a href=&quot;x&quot;&gt; &#39;&amp;&#39;\ufffd")
  })
})

describe("Ticks", () => {
  const range = fc.tuple(
    fc.double({ min: -1e9, max: 1e9, noNaN: true }),
    fc.double({ min: 1e-6, max: 1e9, noNaN: true })
  )

  it("lie in the range, evenly, and are neither few nor many", () => {
    fc.assert(
      fc.property(range, ([low, span]) => {
        fc.pre(span > Math.abs(low) * 1e-6)
        const given = ticks(low, low + span, 7)
        assert(given.length >= 3 && given.length <= 12, `${given.length} ticks`)
        const step = (given[1] ?? 0) - (given[0] ?? 0)
        given.forEach((tick, i) => {
          assert(tick >= low - span * 1e-6 && tick <= low + span * (1 + 1e-6))
          if (i > 0) assert(Math.abs(tick - (given[i - 1] ?? 0) - step) < step * 1e-3)
        })
      }),
      { seed: 51 }
    )
  })

  it("are decimal numbers, and whole ones where things are counted", () => {
    assert.deepEqual(ticks(0, 0.7, 7), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert.deepEqual(wholeTicks(1, 3, 12), [1, 2, 3])
    assert.deepEqual(logTicks(3, 150), [5, 10, 20, 50, 100])
  })
})
