// The pure parts of the benchmarks: what a figure is, which rows there are, what they are held to. That contenders
// and servers start is seen by running it (docs/benchmarks.md).
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BadArguments, readArguments } from "../../benchmarks/src/Arguments.ts"
import { catalogue, type Entry, quick } from "../../benchmarks/src/Catalogue.ts"
import type { Contender } from "../../benchmarks/src/Contenders.ts"
import { jsonOf, type Row, rowsOf } from "../../benchmarks/src/Rows.ts"
import { median, quantile, spread } from "../../benchmarks/src/Statistics.ts"
import { figure, table } from "../../benchmarks/src/Table.ts"
import { advantage, thresholds, verdict } from "../../benchmarks/src/Thresholds.ts"
import {
  batches,
  parcelOf,
  priorities,
  priorityOf,
  shortId,
  type Workload,
  workloads
} from "../../benchmarks/src/Trial.ts"

const entryOf = (workload: Workload, contender: Contender): Entry => {
  const found = catalogue.find((entry) => entry.workload === workload && entry.contender === contender)
  if (found === undefined) throw new Error(`${contender} is not in ${workload}`)
  return found
}

const rowOf = (workload: Workload, contender: Contender, unit: string, value: number): Row => ({
  workload,
  contender,
  unit,
  value,
  min: value,
  max: value,
  runs: 1
})

const numbers = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 20 })

describe("statistics", () => {
  it("take the middle of an odd number of values, and half-way between the two of an even number", () => {
    expect([median([3, 1, 2]), median([4, 1, 3, 2]), median([7])]).toEqual([2, 2.5, 7])
  })

  it("interpolate between ranks, and leave the values as they were", () => {
    const values = [30, 10, 20, 40, 50]
    expect([0, 0.25, 0.99, 1].map((q) => quantile(values, q))).toEqual([10, 20, 49.6, 50])
    expect(values).toEqual([30, 10, 20, 40, 50])
  })

  it("refuse to make a figure of nothing", () => {
    expect(() => median([])).toThrow("no values")
  })

  it("keep the median between the least and the greatest, with as many values below it as above", () => {
    fc.assert(fc.property(numbers, (values) => {
      const { max, min, runs, value } = spread(values)
      expect(runs).toBe(values.length)
      expect(min <= value && value <= max).toBe(true)
      expect(values.filter((other) => other < value).length).toBeLessThanOrEqual(values.length / 2)
      expect(values.filter((other) => other > value).length).toBeLessThanOrEqual(values.length / 2)
    }))
  })
})

describe("the works of a trial", () => {
  it("are added in batches that hold each number once, in order, none larger than asked", () => {
    expect([...batches(5, 2)]).toEqual([[0, 1], [2, 3], [4]])
    expect([...batches(0)]).toEqual([])
  })

  it("have all priorities about equally often, and not in order", () => {
    const counts = new Map<number, number>()
    for (let n = 0; n < 200_000; n++) counts.set(priorityOf(n), (counts.get(priorityOf(n)) ?? 0) + 1)
    expect(counts.size).toBe(priorities)
    expect(Math.min(...counts.keys())).toBe(0)
    expect(Math.max(...counts.keys())).toBe(priorities - 1)
    expect(Math.max(...counts.values()) / Math.min(...counts.values())).toBeLessThan(1.2)
    expect([0, 1, 2, 3].map(priorityOf)).not.toEqual([0, 1, 2, 3])
  })

  it("have ids of 16 bytes and payloads of 100 where memory is measured, no two alike", () => {
    const some = [0, 1, 999_999]
    expect(some.map((n) => Buffer.byteLength(shortId(n)))).toEqual([16, 16, 16])
    expect(some.map((n) => Buffer.byteLength(JSON.stringify(parcelOf(n))))).toEqual([100, 100, 100])
    expect(new Set(some.flatMap((n) => [shortId(n), parcelOf(n).data])).size).toBe(6)
  })
})

describe("rows", () => {
  const espalier = entryOf("latency-durable", "espalier")

  it("are one for each unit that was measured, with the median and the spread of the runs", () => {
    const trials = [{ "us p50": 10, "us p99": 90 }, { "us p50": 30, "us p99": 70 }, { "us p50": 20, "us p99": 80 }]
    expect(rowsOf(espalier, trials)).toEqual([
      { workload: "latency-durable", contender: "espalier", unit: "us p50", value: 20, min: 10, max: 30, runs: 3 },
      { workload: "latency-durable", contender: "espalier", unit: "us p99", value: 80, min: 70, max: 90, runs: 3 }
    ])
  })

  it("say the size or the variant after the unit", () => {
    const large = catalogue.findLast((entry) => entry.workload === "memory-backlog" && entry.contender === "espalier")!
    expect(rowsOf(large, [{ "works/s": 5 }]).map(({ unit }) => unit)).toEqual(["works/s at 1M"])
  })

  it("are none when no trial ended well", () => {
    expect(rowsOf(espalier, [])).toEqual([])
  })

  it("are printed as JSON with exactly the documented keys", () => {
    const line = jsonOf(rowOf("durable", "pg-boss", "works/s", 12_345))
    expect(Object.entries(JSON.parse(line))).toEqual([
      ["workload", "durable"],
      ["contender", "pg-boss"],
      ["value", 12_345],
      ["unit", "works/s"],
      ["min", 12_345],
      ["max", 12_345],
      ["runs", 1]
    ])
  })
})

describe("the catalogue", () => {
  it("has every workload, and ours in each", () => {
    expect(workloads.filter((workload) => !catalogue.some((entry) => entry.workload === workload))).toEqual([])
    for (const workload of workloads) expect(entryOf(workload, "espalier").works).toBeGreaterThan(0)
  })

  it("gives two rows of one contender in one workload different units", () => {
    const keys = catalogue.map(({ contender, suffix, workload }) => `${workload} ${contender}${suffix}`)
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([])
  })

  it("is smaller when it is to be quick, but for the backlogs that are named by their size", () => {
    const small = quick(catalogue)
    expect(small.every((entry) => entry.works < 1_000_000)).toBe(true)
    const backlogs = (plan: ReadonlyArray<Entry>) =>
      plan.filter((entry) => entry.workload === "memory-backlog" && entry.contender === "espalier")
    expect(backlogs(small).map(({ suffix, works }) => `${works}${suffix}`))
      .toEqual(["1000 at 1k", "10000 at 10k", "100000 at 100k"])
    expect(backlogs(small)[0]!.rounds).toBeLessThan(backlogs(catalogue)[0]!.rounds)
  })

  it("holds a contender for each threshold against a peer", () => {
    for (const threshold of thresholds) {
      if (threshold._tag !== "Peer") continue
      for (const contender of threshold.contenders) entryOf(threshold.workload, contender)
    }
  })
})

describe("thresholds", () => {
  it("against a peer stand in the peer's row: how often ours is as good, by how often it must be", () => {
    const rows = [
      rowOf("durable-steps", "espalier", "works/s", 40_000),
      rowOf("durable-steps", "dbos", "works/s", 4_000),
      rowOf("durable-steps", "effect-workflow", "works/s", 4_000)
    ]
    expect(rows.map((row) => advantage(row, rows))).toEqual([undefined, 10, 10])
    expect(rows.map((row) => verdict(row, rows))).toEqual([
      undefined,
      { asked: ">= 5x", ratio: 2 },
      { asked: ">= 20x", ratio: 0.5 }
    ])
  })

  it("against a number stand in our row", () => {
    const row = rowOf("durable", "espalier", "works/s", 50_000)
    expect(verdict(row, [row])).toEqual({ asked: ">= 100,000", ratio: 0.5 })
  })

  it("that are an upper bound are reached by less", () => {
    const row = rowOf("latency-memory", "espalier", "us p50", 25)
    expect(verdict(row, [row])).toEqual({ asked: "<= 50", ratio: 2 })
    expect(verdict({ ...row, unit: "us p99" }, [row])).toBeUndefined()
  })

  it("against another figure of ours compare the two", () => {
    const rows = [
      rowOf("memory-backlog", "espalier", "works/s at 10k", 100),
      rowOf("memory-backlog", "espalier", "works/s at 1M", 90),
      rowOf("memory-backlog", "espalier", "us/event at 1k", 2),
      rowOf("memory-backlog", "espalier", "us/event at 1M", 6)
    ]
    expect(rows.map((row) => verdict(row, rows)?.ratio)).toEqual([undefined, 90 / 60, undefined, 0.5])
    expect(verdict(rows[1]!, [rows[1]!])).toBeUndefined()
  })

  it("say how many times as good, whichever way is better, and nothing of zero", () => {
    const rows = [
      rowOf("latency-durable", "espalier", "us p50", 200),
      rowOf("latency-durable", "bullmq", "us p50", 600),
      rowOf("loop-delay", "espalier", "ms p50", 2),
      rowOf("loop-delay", "plainjob", "ms p50", 0)
    ]
    expect(rows.map((row) => advantage(row, rows))).toEqual([undefined, 3, undefined, undefined])
  })

  it("are not judged where ours was not measured", () => {
    const row = rowOf("durable", "pg-boss", "works/s", 10)
    expect([advantage(row, [row]), verdict(row, [row])]).toEqual([undefined, undefined])
  })
})

describe("the table", () => {
  it("shows three digits, or whole numbers", () => {
    expect([0.001234, 1.5, 99.94, 100.4, 1_234_567].map(figure)).toEqual(["0.00123", "1.5", "99.9", "100", "1,234,567"])
  })

  it("aligns its columns, parts the workloads and says what is short", () => {
    const rows = [
      rowOf("memory-fifo", "espalier", "works/s", 50_000),
      rowOf("memory-fifo", "fastq", "works/s", 100_000),
      rowOf("latency-memory", "espalier", "us p50", 10)
    ]
    expect(table(rows.map((row) => ({ row, works: 2_000 })))).toBe([
      "workload        contender  works   median  unit         min      max  runs  espalier is  asked  of it reached",
      "--------------  ---------  -----  -------  -------  -------  -------  ----  -----------  -----  -------------",
      "memory-fifo     espalier   2,000   50,000  works/s   50,000   50,000     1",
      "memory-fifo     fastq      2,000  100,000  works/s  100,000  100,000     1         0.5x  >= 1x      0.5 short",
      "",
      "latency-memory  espalier   2,000       10  us p50        10       10     1               <= 50        5 ok"
    ].join("\n"))
  })
})

describe("the arguments", () => {
  it("are none for all of it, five times each", () => {
    expect(readArguments([])).toEqual({
      plan: catalogue,
      runs: 5,
      quick: false,
      json: false,
      directory: undefined
    })
  })

  it("choose workloads and contenders, more than one of each", () => {
    const options = readArguments(["--only", "durable", "--only", "loop-delay", "--contender", "dbos", "--json"])
    expect(options?.plan.map(({ contender, workload }) => `${workload} ${contender}`))
      .toEqual(["durable dbos", "loop-delay dbos"])
    expect(options?.json).toBe(true)
  })

  it("make it quick, with three runs or as many as they say", () => {
    const options = readArguments(["--quick", "--only", "durable"])
    expect([options?.quick, options?.runs, options?.plan[0]?.works]).toEqual([true, 3, 30_000])
    expect(readArguments(["--quick", "--runs", "1"])?.runs).toBe(1)
  })

  it("ask for help", () => {
    expect(readArguments(["--help"])).toBeUndefined()
  })

  it("that are wrong are refused with what there is", () => {
    expect(() => readArguments(["--only", "speed"])).toThrow(`there is no workload "speed". There are: memory-fifo, `)
    expect(() => readArguments(["--contender", "cron"])).toThrow(`there is no contender "cron". There are: espalier, `)
    expect(() => readArguments(["--runs", "0.5"])).toThrow(`--runs is "0.5": it must be a whole number from 1`)
    expect(() => readArguments(["--only", "durable", "--contender", "fastq"]))
      .toThrow("fastq does not take part in durable")
    expect(() => readArguments(["--fast"])).toThrow(BadArguments)
  })
})
