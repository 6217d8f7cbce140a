import { describe, it } from "@effect/vitest"
import fc from "fast-check"
import assert from "node:assert"
import type { ExperimentTree } from "../src/ExperimentTree.ts"
import * as Failure from "../src/Failure.ts"
import { changes, duration, instant, number, ratio } from "../src/internal/reportFormat.ts"
import { code, fenced, inline, shellQuoted } from "../src/internal/reportMarkdown.ts"
import { canonicalJson } from "../src/internal/reportNode.ts"
import { columnNames, field, unfield } from "../src/internal/reportTable.ts"
import * as Plot from "../src/Plot.ts"
import * as Report from "../src/Report.ts"
import { anyText } from "./fixtures/texts.ts"
import { emptyTree, grow, node, treeOf } from "./fixtures/trees.ts"

const tree = grow({ size: 16, seed: 3 })

const all = (of: ExperimentTree): ReadonlyArray<string> => [
  Report.masterTable(of),
  Report.summaryMarkdown(of, { name: "search" }),
  Report.reportMarkdown(of, { name: "search", run: "search", repository: "/src/a b" }),
  Report.terminalSummary(of, { report: "runs/search/report.md" }).join("\n"),
  ...[...of.nodes.values()].flatMap((each) => Object.values(Report.nodeFiles(of, each)))
]

describe("Every written view", () => {
  it("is the same bytes for the same tree", () => {
    assert.deepEqual(all(tree), all(grow({ size: 16, seed: 3 })))
  })

  it.each([
    ["of nothing", emptyTree],
    ["of one node", grow({ size: 1 })],
    ["in which all failed", grow({ size: 9, seed: 5, failing: 1 })],
    ["whose baseline failed", treeOf([node({ id: "a", seed: "baseline", status: "failed", commit: null })])],
    ["that minimises", grow({ size: 30, seed: 7, direction: "minimize" })],
    [
      "with values below zero",
      treeOf([
        node({ id: "a", seed: "baseline", value: -1, crowned: true }),
        node({ id: "b", parent: "a", value: 0 })
      ], { best: "a" })
    ],
    [
      "that is under way",
      treeOf([
        node({ id: "a", seed: "baseline", status: "running", finishedAt: null }),
        node({ id: "b", status: "queued", startedAt: null, finishedAt: null })
      ])
    ]
  ])("can be written for a tree %s", (_, of) => {
    for (const text of all(of)) assert.doesNotMatch(text, /NaN|undefined|Infinity|\[object/)
  })
})

describe("The terminal's summary", () => {
  it("tells baseline, headspace, best, speed-up with its interval, outcomes, time, end and report", () => {
    assert.deepEqual(Report.terminalSummary(tree, { report: "runs/search/report.md" }), [
      "Baseline     812.4 samples/s",
      "Headspace    2,925 samples/s (3.60×)",
      "Best         1,300 samples/s by #12 +batch-collate, +typed-transform",
      "Speed-up     1.60× (95 % CI 1.56× to 1.65×, p = 0.012, 6 pairs), 23 % of the way to the headspace",
      "Experiments  16: 14 completed, 2 failed",
      "Jobs         16 jobs in 1 min 08 s",
      "Stopped      patience: 12 experiments without a new best",
      "Report       runs/search/report.md"
    ])
  })

  it("takes the time that the run took from who knows it", () => {
    assert(Report.terminalSummary(tree, { elapsedMillis: 300_000 }).includes("Jobs         16 jobs in 5 min 00 s"))
    assert.match(
      Report.summaryMarkdown(tree, { elapsedMillis: 300_000 }),
      /16 jobs in 5 min 00 s; experiments from 2023/
    )
  })

  it("claims no speed-up that was never measured", () => {
    const lines = Report.terminalSummary(treeOf([
      node({ id: "a", seed: "baseline", value: 10, crowned: true }),
      node({ id: "b", parent: "a", order: 2, value: 15, crowned: true })
    ], { best: "b" }))
    assert(lines.includes("Speed-up     not yet measured beside the baseline with fresh pairs"))
  })

  it("lets no control sequence through", () => {
    const lines = Report.terminalSummary(treeOf([node({ id: "a", seed: "baseline", value: 1, crowned: true })], {
      best: "a",
      stopped: "\u001b[2Jgone\nSpeed-up 99×"
    }))
    for (const line of lines) assert.doesNotMatch(line, /[\u0000-\u001f]/)
  })
})

describe("The speed-up", () => {
  const beside = (
    ratioOf: { readonly ratio: number; readonly low: number; readonly high: number; readonly undecided?: string }
  ) =>
    treeOf([
      node({ id: "a", seed: "baseline", value: 10, crowned: true }),
      node({
        id: "b",
        parent: "a",
        order: 2,
        value: 5,
        crowned: true,
        confirmations: [{
          challenger: "b",
          champion: "a",
          pairs: [[5, 10], [5, 10]],
          pValue: 0.01,
          better: true,
          purpose: "final",
          ...ratioOf
        }]
      })
    ], { best: "b", objective: { ...emptyTree.objective, direction: "minimize", metric: "time", unit: "s" } })

  it("of what is minimised is above one when it is better, and so is its interval", () => {
    const lines = Report.terminalSummary(beside({ ratio: 0.5, low: 0.4, high: 0.625 }))
    assert(lines.some((line) => line.includes("2.00× (95 % CI 1.60× to 2.50×, p = 0.01, 2 pairs)")))
  })

  it("has no interval when the pairs allowed no statement", () => {
    const text = Report.reportMarkdown(
      beside({ ratio: 0.5, low: 0, high: Number.MAX_VALUE, undecided: "one pair does not show how much it varies" })
    )
    assert.match(text, /\| undecided by fresh pairs beside the baseline: one pair does not show how much it varies \|/)
    assert.match(text, /undecided \(one pair does not show how much it varies\)/)
  })

  it("whose interval includes one is not called shown", () => {
    assert.match(Report.summaryMarkdown(beside({ ratio: 0.9, low: 0.8, high: 1.1 })), /is not shown\.\*\*/)
    assert.doesNotMatch(Report.summaryMarkdown(beside({ ratio: 0.9, low: 0.8, high: 0.95 })), /is not shown\.\*\*/)
  })
})

describe("Without a final comparison the crowning's ratio is no speed-up", () => {
  const crowning = { challenger: "b", champion: "a", pairs: [[146, 100], [146, 100]] as const, pValue: 0.01 }
  const of = treeOf([
    node({ id: "a", seed: "baseline", value: 100, crowned: true }),
    node({ id: "h", seed: "headspace", order: 2, value: 400 }),
    node({
      id: "b",
      parent: "a",
      order: 3,
      value: 151,
      crowned: true,
      confirmations: [{ ...crowning, ratio: 1.46, low: 1.41, high: 1.52, better: true, purpose: "crown" }]
    })
  ], { best: "b" })
  const said = "not yet measured beside the baseline with fresh pairs (crowned at 1.46× against a by selected pairs)"

  it("in the terminal", () => {
    assert(Report.terminalSummary(of).includes(`Speed-up     ${said}`))
  })

  it("in the summary and in the report", () => {
    for (const text of [Report.summaryMarkdown(of), Report.reportMarkdown(of)]) {
      assert(text.includes(`| **Speed-up** | ${said} |`))
      assert.doesNotMatch(text, /of the way to the headspace/)
    }
  })

  it("nor in the pictures", () => {
    for (const svg of [Plot.progress(of), Plot.hypothesisTree(of)]) {
      assert(svg.includes(`>Best 151 samples/s: ${said} · 3 experiments<`))
      assert.doesNotMatch(svg, /1\.46× the baseline|>1\.51×<|· 1\.51×/)
    }
    assert(Plot.hypothesisTree(of).includes(">1.51× (selected)<"))
  })
})

describe("The summary", () => {
  const summary = Report.summaryMarkdown(tree, { name: "search" })

  it("names each new best with the one that it dethroned", () => {
    assert.match(
      summary,
      /\| #12 \| \+batch-collate, \+typed-transform \| 1,300 samples\/s \| 1\.60× \| #5 \| 1\.23× \(1\.19× to 1\.26×\)/
    )
  })

  it("lists what hurt, worst first, against what it started from", () => {
    const rows = Array.from(
      summary.matchAll(/^\| #(\d+) \| [^|]+ \| ([0-9.]+)× \| #\d+ \|$/gm),
      ([, , times]) => Number(times)
    )
    assert(rows.length > 2)
    assert.deepEqual(rows, rows.toSorted((a, b) => a - b))
    assert((rows.at(-1) ?? 0) < 1 / 1.02)
  })

  it("says of each kind of failure how often, the first message, and where to look", () => {
    const { lookAt } = Failure.policyOf("job_startup_failed")
    assert(summary.includes("**job startup failed**, 2 experiments (#3, #16)."))
    assert(summary.includes(`Look at ${lookAt}.`))
  })
})

describe("The report", () => {
  const report = Report.reportMarkdown(tree, { name: "search", run: "search", repository: "/src/a b" })

  it("tells every experiment in order of creation, with hypothesis and result", () => {
    const orders = Array.from(
      report.slice(report.indexOf("## The story"), report.indexOf("## Failures")).matchAll(/^### #(\d+) /gm)
    )
    assert.deepEqual(orders.map(([, order]) => Number(order)), Array.from({ length: 16 }, (_, i) => i + 1))
    for (const each of tree.nodes.values()) assert(report.includes(each.hypothesis))
  })

  it("gives the best as a change set and the commands that bring it back", () => {
    assert(report.includes("| batchSize | 32 |"))
    assert(report.includes("| typed-transform | applied |"))
    const commit = tree.nodes.get(tree.best ?? "")?.commit
    assert(report.includes(`git -C '/src/a b' worktree add ../best ${commit}`))
    assert(report.includes("`espalier/search/e012`"))
  })

  it("shows the end of the log of each failure", () => {
    assert.equal(report.split("Cannot find module './decoder'").length - 1, 2)
  })

  it("stays Markdown of its own, whatever agents, configurations and logs say", () => {
    const evil = "# owned\n| a | b |\n```\n<script>alert(1)</script> [x](javascript:1) `tick` ![i](u)"
    const text = Report.reportMarkdown(
      treeOf([
        node({ id: "a", seed: "baseline", name: evil, hypothesis: evil, value: 1, crowned: true }),
        node({
          id: "b",
          parent: "a",
          order: 2,
          name: evil,
          hypothesis: evil,
          changes: { parameters: { [evil]: evil }, edits: [evil] },
          status: "failed",
          failure: Failure.make({
            kind: "job_failed",
            message: evil,
            createdAt: 0,
            logTail: `${evil}\n\u001b[31mred\n~~~\n\`\`\`\`\n# more`
          })
        })
      ], { best: "a", stopped: evil }),
      { name: evil, repository: evil }
    )
    let fence: string | null = null
    for (const line of text.split("\n")) {
      const opened = /^(`{3,})/.exec(line)?.[1]
      if (fence !== null) {
        if (line === fence) fence = null
        assert.doesNotMatch(line, /\u001b/)
      } else if (opened !== undefined) fence = opened
      else {
        assert.doesNotMatch(line, /^# (?!\\# owned)/)
        assert.doesNotMatch(line, /(?<!\\)<script|(?<!\\)\]\(javascript/)
      }
    }
    assert.equal(fence, null)
  })
})

describe("The master table", () => {
  const rows = (of: ExperimentTree) => Report.masterTable(of).slice(0, -1).split("\n").map((line) => line.split("\t"))

  it("has a header, one line for each experiment, and the same number of fields in each", () => {
    const [header = [], ...lines] = rows(tree)
    assert.deepEqual(header, [...columnNames, "median:stepTime"])
    assert.equal(lines.length, tree.nodes.size)
    for (const line of lines) assert.equal(line.length, header.length)
  })

  it("holds numbers in full, and what was confirmed", () => {
    const [header = [], ...lines] = rows(tree)
    const line = lines.find((each) => each[1] === "e012") ?? []
    const cell = (name: string) => line[header.indexOf(name)]
    assert.equal(Number(cell("value")), tree.nodes.get("e012")?.value)
    assert.equal(cell("best"), "best")
    assert.equal(cell("n"), "3")
    assert.equal(cell("confirmed"), "yes")
    assert.equal(cell("confirmed_beside"), "e005")
    assert.equal(cell("parameters"), "batchSize=32, prefetch=8")
    assert.equal(cell("edits"), "batch-collate, typed-transform")
    assert.equal(cell("created"), "2023-11-14T22:14:08Z")
  })

  it("keeps any text in its field, and gives it back", () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        assert.doesNotMatch(field(text), /[\t\n\r]/)
        assert.equal(unfield(field(text)), text)
      }),
      { seed: 61 }
    )
    const hostile = "a\tb\nc\\n\r"
    const [header = [], line = []] = rows(treeOf([node({ id: "a", name: hostile, hypothesis: hostile })]))
    assert.equal(unfield(line[header.indexOf("hypothesis")] ?? ""), hostile)
  })
})

describe("The files of a node", () => {
  it("are its spec, status, evidence and analysis, and its failure if it has one", () => {
    const files = (id: string) => Object.keys(Report.nodeFiles(tree, tree.nodes.get(id) ?? assert.fail(id)))
    assert.deepEqual(files("e012"), ["analysis.md", "evidence.json", "spec.json", "status.json"])
    assert.deepEqual(files("e003"), ["analysis.md", "evidence.json", "failure.json", "spec.json", "status.json"])
  })

  it("hold what the tree holds", () => {
    const best = tree.nodes.get("e012") ?? assert.fail()
    const files = Report.nodeFiles(tree, best)
    const { changes: changed, id, parent } = JSON.parse(files["spec.json"] ?? "") as typeof best
    assert.deepEqual({ changed, id, parent }, { changed: best.changes, id: "e012", parent: "e005" })
    const evidence = JSON.parse(files["evidence.json"] ?? "") as typeof best
    assert.deepEqual(evidence.measurements, best.measurements)
    assert.deepEqual(evidence.confirmations, best.confirmations)
    assert.match(files["analysis.md"] ?? "", /To the baseline: 1\.60×/)
  })

  it("carry what an agent said as text", () => {
    const text = Report.nodeFiles(tree, tree.nodes.get("e012") ?? assert.fail(), {
      analysis: "It is\n```\n# faster"
    })["analysis.md"]
    assert.match(text ?? "", /## Reading\n\n````text\nIt is\n```\n# faster\n````\n$/)
  })

  it("are canonical: the order in which keys were made does not show", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse())
        assert.equal(canonicalJson(value), canonicalJson(reversed))
        assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 50, seed: 62 }
    )
  })
})

describe("Markdown", () => {
  it("of any text is one line, with no markup that is not escaped", () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        const shown = inline(text)
        assert.doesNotMatch(shown, /[\n\r]/)
        assert.doesNotMatch(shown.replace(/\\./g, ""), /[`*[\]<>|~&$]/)
        assert.doesNotMatch(shown, /^(#|[-+]( |$)|\d+[.)]( |$))/)
      }),
      { seed: 63 }
    )
    assert.equal(inline("2,925 samples/s, +buffer-pool, job_failed"), "2,925 samples/s, +buffer-pool, job_failed")
  })

  it("as code cannot be ended from inside", () => {
    assert.equal(code("a`b``c|d"), "```a`b``c\\|d```")
    assert.equal(code("`"), "`` ` ``")
  })

  it("in a fence cannot be ended from inside", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("`", "```", "\n", "a", " ", "````")), (parts) => {
        const lines = fenced(parts.join("")).split("\n")
        const fence = lines.at(-1) ?? ""
        assert(lines.slice(1, -1).every((line) => !line.includes(fence)))
      }),
      { seed: 64 }
    )
  })

  it("quotes an argument for a shell", () => {
    assert.equal(shellQuoted("a/b-c_1.0"), "a/b-c_1.0")
    assert.equal(shellQuoted("it's; rm -rf ~"), "'it'\\''s; rm -rf ~'")
  })
})

describe("Numbers for people", () => {
  it("have at least four significant digits, and none before the point is lost", () => {
    const given = [0, 0.1 + 0.2, 812.4, 1234.5678, 123_456.7, -0.000123456, 1e-9, 1e20, 12, Number.NaN]
    assert.deepEqual(given.map((value) => number(value)), [
      "0",
      "0.3",
      "812.4",
      "1,235",
      "123,457",
      "-0.0001235",
      "1.000e-9",
      "1.000e+20",
      "12",
      "n/a"
    ])
  })

  it("are ratios with more digits near one", () => {
    assert.deepEqual([1, 1.0234, 0.956, 0.5, 2.345, 23.45, 234.5].map((value) => ratio(value)), [
      "1.000×",
      "1.023×",
      "0.956×",
      "0.50×",
      "2.35×",
      "23.4×",
      "235×"
    ])
  })

  it("are times in the two units that matter", () => {
    assert.deepEqual([12, 1500, 59_990, 125_000, 7_260_000, 90_000_000].map((millis) => duration(millis)), [
      "12 ms",
      "1.5 s",
      "1 min 00 s",
      "2 min 05 s",
      "2 h 01 min",
      "1 d 01 h"
    ])
    assert.equal(instant(0), "1970-01-01T00:00:00Z")
  })

  it("and changes are told against the parent", () => {
    const parent = { parameters: { a: 1, b: 2 }, edits: ["x", "y"] }
    assert.deepEqual(changes({ parameters: { a: 1, c: true }, edits: ["x", "z"] }, parent), [
      "c=true",
      "b=baseline",
      "+z",
      "−y"
    ])
  })
})
