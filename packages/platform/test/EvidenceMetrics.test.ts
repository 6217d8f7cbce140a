import { describe, it } from "@effect/vitest"
import type { MetricRule, Warmup } from "@espalier/platform/Evidence"
import { compile, MetricScan } from "@espalier/platform/evidence/MetricScan"
import { csvFields } from "@espalier/platform/evidence/MetricText"
import { Result } from "effect"
import * as fc from "fast-check"
import assert from "node:assert"

const scanned = (rule: MetricRule, lines: ReadonlyArray<string>, source = "stdout") => {
  const scan = new MetricScan(Result.getOrThrow(compile([rule])))
  scan.lines(source, lines.map((text) => ({ text, cut: false })))
  return scan.result()
}
const values = (rule: MetricRule, lines: ReadonlyArray<string>, source?: string) =>
  scanned(rule, lines, source).metrics[rule.name]
const refusal = (rule: MetricRule): string => {
  const result = compile([rule])
  return Result.isFailure(result) ? result.failure.message : "was not refused"
}

describe("a row of CSV", () => {
  it("is the fields that were written", () => {
    const field = fc.array(fc.constantFrom("a", "1", ",", "\"", " ", "\n", "é", ";", "'"), { maxLength: 6 }).map((
      parts
    ) => parts.join(""))
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 6 }), fc.constantFrom(",", ";", "|"), (fields, by) => {
        const written = fields.map((one) => `"${one.replaceAll("\"", "\"\"")}"`).join(by)
        assert.deepStrictEqual(csvFields(written, by).fields, fields.map((one) => one))
      })
    )
  })

  it("may be written plainly, loosely, or not at all", () => {
    const cases: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
      ["a,b,c", ",", ["a", "b", "c"]],
      [" a , b ,", ",", ["a", "b", ""]],
      ["", ",", [""]],
      [",", ",", ["", ""]],
      ["a\tb\t\tc", "\t", ["a", "b", "", "c"]],
      ["  a   b\t c  ", " ", ["a", "b", "c"]],
      ["\"a b\" c", " ", ["a b", "c"]],
      ["\"a\" x,b", ",", ["a x", "b"]],
      ["a\"b,c", ",", ["a\"b", "c"]]
    ]
    for (const [text, by, fields] of cases) assert.deepStrictEqual(csvFields(text, by), { fields, open: false }, text)
    assert.deepStrictEqual(csvFields("a,\"b", ","), { fields: ["a", "b"], open: true })
  })

  it("goes on over lines, with all its fields", () => {
    const fields = ["a\n1", "", "b", "c\n\"\n2", "3"]
    const lines = fields.map((one) => `"${one.replaceAll("\"", "\"\"")}"`).join(",").split("\n")
    let row = csvFields(lines[0]!, ",")
    for (const line of lines.slice(1)) {
      assert.ok(row.open)
      row = csvFields(line, ",", row)
    }
    assert.deepStrictEqual(row, { fields, open: false })
  })

  it("is found in time linear in its length: a time that grew with its square would run into the time-out", () => {
    for (const unit of [",", "\"", "\"\"", "\",\"", " ", "a ", "a,\"b\","]) {
      for (const by of [",", " ", "\t"]) csvFields(unit.repeat(600_000 / unit.length), by)
    }
  })
})

describe("a column of a table", () => {
  const csv = (more: Partial<Extract<MetricRule, { _tag: "Csv" }>>): MetricRule => ({
    _tag: "Csv",
    name: "x",
    column: "x",
    take: "all",
    required: false,
    ...more
  })

  it("is found by the name in its header, whatever comes before it", () => {
    assert.deepStrictEqual(values(csv({}), ["loading, please wait", "a,x", "1,2", "3,4"]), [2, 4])
    assert.deepStrictEqual(values(csv({}), ["1,2"]), undefined)
    assert.deepStrictEqual(values(csv({ delimiter: "\t" }), ["a\tx", "1\t2"]), [2])
  })

  it("is found by its number, with a header and without", () => {
    assert.deepStrictEqual(values(csv({ column: 1 }), ["a,x", "1,2", "3,4"]), [2, 4])
    assert.deepStrictEqual(values(csv({ column: 1, header: false }), ["1,2", "3", "4,5,6"]), [2, 5])
    assert.deepStrictEqual(values(csv({ column: 0 }), ["x", "1", "2"]), [1, 2])
    assert.deepStrictEqual(values(csv({}), ["x", "1", "2"]), [1, 2])
  })

  it("takes its warm-up from another column, by name or by number", () => {
    const until = (field: string): Warmup => ({ _tag: "Until", field, from: 10 })
    assert.deepStrictEqual(values(csv({ warmup: until("step") }), ["step,x", "5,1", "10,2", ",3", "20,4"]), [2, 4])
    assert.deepStrictEqual(
      values(csv({ column: 1, header: false, warmup: until("0") }), ["5,1", "10,2"]),
      [2]
    )
    assert.deepStrictEqual(values(csv({ warmup: until("none") }), ["step,x", "50,1"]), undefined)
  })

  it("of a file goes on over quoted line ends, and a quote that is never closed does not swallow the file", () => {
    const rule = csv({ files: "a.csv" })
    assert.deepStrictEqual(values(rule, ["note,x", "\"two", "lines\",7", "plain,8"], "tree a.csv"), [7, 8])
    const open = ["note,x", "\"never closed,1", ...Array.from({ length: 20_000 }, () => "aaaa,2"), "last,3"]
    const found = scanned({ ...rule, take: "last" }, open, "tree a.csv")
    assert.deepStrictEqual(found.metrics, { x: [3] })
    assert.match(found.notes[0]?.message ?? "", /never closed/)
    const often = Array.from({ length: 60_000 }, (_, i) => i % 2 === 0 ? "\"b" : "c\",\"1\"")
    assert.deepStrictEqual(values({ ...rule, take: "sum" }, ["note,x", ...often], "tree a.csv"), [30_000])
  })

  it("of a file is read on with after a quote that is never closed, with a note", () => {
    const inFile = (lines: ReadonlyArray<string>, more: Partial<Extract<MetricRule, { _tag: "Csv" }>> = {}) => {
      const scan = new MetricScan(Result.getOrThrow(compile([csv({ files: "a.csv", ...more })])))
      scan.start("tree a.csv")
      scan.lines("tree a.csv", lines.map((text) => ({ text, cut: false })))
      scan.end("tree a.csv")
      const { metrics, notes } = scan.result()
      return { values: metrics["x"], notes: notes.map(({ count, message }) => `${count} ${message}`) }
    }
    const never =
      "1 a quoted field is never closed, or closed before more text, and the line that it begins in was left out"
    // To the end of the file; before a field that is quoted well; before another stray quote; before the header.
    assert.deepStrictEqual(inFile(["x,note", "1,a", "2,\"b", "3,c", "4,d"]), { values: [1, 3, 4], notes: [never] })
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "3,c", "4,\"d, e\"", "5,f"]), {
      values: [3, 4, 5],
      notes: [never]
    })
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "3,c", "4,\"d", "5,f"]), {
      values: [3, 5],
      notes: [never.replace("1", "2")]
    })
    assert.deepStrictEqual(inFile(["\"results, of today", "x,note", "2,b"]), { values: [2], notes: [never] })
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "3\",c,\"d", "4,d"]), {
      values: [4],
      notes: [never.replace("1", "2")]
    })
    // What is good CSV is read as such, but it is said when it swallows what looks like rows.
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "3,c", "d\"", "4,e"]), {
      values: [2, 4],
      notes: ["1 a quoted field goes over lines that look like rows, and they were read as its text"]
    })
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "not a row", "d\"", "4,e"]), { values: [2, 4], notes: [] })
    assert.deepStrictEqual(inFile(["x,note", "2,\"b", "3,c", "d\",e", "4,f"]).values, [3, 4])
  })

  it("is found in time linear in the file, whatever quotes are in it", () => {
    for (const unit of ["\"", "1,\"b", "a\",b,\"c", "\"a", "a\"\",\"", "\"\"\","]) {
      scanned(
        csv({ files: "a.csv", header: false, column: 0 }),
        Array.from({ length: 100_000 }, () => unit),
        "tree a.csv"
      )
    }
  })

  it("of each file is found by the header of that file", () => {
    const rule = csv({ files: "*.csv", column: 0 })
    const scan = new MetricScan(Result.getOrThrow(compile([rule])))
    for (const file of [["a", "1"], ["b", "2"]]) {
      scan.start("tree *.csv")
      scan.lines("tree *.csv", file.map((text) => ({ text, cut: false })))
    }
    assert.deepStrictEqual(scan.result().metrics, { x: [1, 2] })
  })

  it("is no half number of a row that was cut", () => {
    const scan = new MetricScan(Result.getOrThrow(compile([csv({})])))
    scan.line("stdout", "a,x")
    scan.line("stdout", "1,23", true)
    assert.deepStrictEqual(scan.result().metrics, {})
  })

  it("is refused where it cannot be meant", () => {
    assert.match(refusal(csv({ header: false })), /number, counted from 0/)
    for (
      const more of [{ column: -1 }, { column: 1.5 }, { column: "" }, { delimiter: "\"" }, { delimiter: ",," }, {
        delimiter: ""
      }]
    ) {
      assert.match(refusal(csv(more)), /The rule of the metric x has .*where this was expected/, JSON.stringify(more))
    }
  })
})

describe("the warm-up", () => {
  it("by number or by part leaves out the first values, and counts them", () => {
    fc.assert(fc.property(
      fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 0, max: 70 }),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      (given, count, fraction) => {
        const lines = given.map((value) => `x=${value}`)
        for (
          const [warmup, left] of [
            [{ _tag: "Values", count } as const, Math.min(count, given.length)],
            [{ _tag: "Fraction", fraction } as const, Math.floor(given.length * fraction)]
          ] as const
        ) {
          const warm = given.slice(left)
          const { metrics, samples } = scanned({ _tag: "KeyValue", name: "x", take: "all", warmup }, lines)
          assert.deepStrictEqual(metrics["x"] ?? [], warm)
          if (warm.length === 0) continue
          assert.strictEqual(samples["x"]?.discarded, left)
          assert.strictEqual(samples["x"].count, warm.length)
          for (const take of ["first", "last", "min", "max", "median", "mean", "sum"] as const) {
            const one: MetricRule = { _tag: "KeyValue", name: "x", take, warmup }
            assert.deepStrictEqual(
              values(one, lines),
              values({ _tag: "KeyValue", name: "x", take }, lines.slice(left)),
              take
            )
          }
        }
      }
    ))
  })

  it("by a field goes by what stands beside the value", () => {
    const until = (field: string): Warmup => ({ _tag: "Until", field, from: 1.5 })
    assert.deepStrictEqual(
      values({ _tag: "KeyValue", name: "x", take: "all", warmup: until("t") }, [
        "t=1 x=1",
        "x=2 t=1.5",
        "x=3",
        "t=NaN x=4"
      ]),
      [2]
    )
    assert.deepStrictEqual(
      values({ _tag: "JsonLines", name: "x", take: "all", warmup: until("at.s") }, [
        "{\"at\":{\"s\":1},\"x\":1}",
        "{\"at\":{\"s\":2},\"x\":2}",
        "{\"at\":{\"s\":\"2\"},\"x\":3}"
      ]),
      [2]
    )
  })

  it("is refused where it cannot be meant", () => {
    const rule = (warmup: Warmup): MetricRule => ({
      _tag: "Regex",
      name: "x",
      pattern: "x (\\d+)",
      warmup
    })
    assert.match(refusal(rule({ _tag: "Until", field: "step", from: 1 })), /no group of that name/)
    assert.match(refusal(rule({ _tag: "Values", count: -1 })), /has warmup\.count = -1, /)
    assert.match(refusal(rule({ _tag: "Fraction", fraction: 1 })), /has warmup\.fraction = 1, /)
  })
})

describe("a warm-up by fraction", () => {
  it("leaves out the part that was written, also where the product of the two is a little less", () => {
    for (const [count, fraction, first] of [[100, 0.29, 29], [10, 0.7, 7], [10, 0.25, 2], [3, 0.999, 2]] as const) {
      const warmup: Warmup = { _tag: "Fraction", fraction }
      const lines = Array.from({ length: count }, (_, i) => `x=${i}`)
      assert.deepStrictEqual(values({ _tag: "KeyValue", name: "x", take: "first", warmup }, lines), [first])
    }
  })
})

describe("what all values tell", () => {
  it("is their count, mean and spread", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 40 }),
        (given) => {
          const { samples } = scanned({ _tag: "KeyValue", name: "x" }, given.map((value) => `x=${value}`))
          const mean = given.reduce((sum, value) => sum + value, 0) / given.length
          const deviation = Math.sqrt(given.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (given.length - 1))
          const found = samples["x"]!
          assert.ok(Math.abs(found.mean - mean) <= 1e-6 && Math.abs(found.standardDeviation! - deviation) <= 1e-6)
          assert.ok(
            found.count === given.length && found.min === Math.min(...given) + 0 && found.max === Math.max(...given) + 0
          )
        }
      )
    )
  })

  it("stays finite where the numbers are huge", () => {
    const { samples } = scanned({ _tag: "KeyValue", name: "x" }, ["x=1.7e308", "x=1.7e308", "x=-1.7e308"])
    assert.ok(Number.isFinite(samples["x"]!.mean))
    assert.strictEqual(samples["x"]!.standardDeviation, null)
  })

  it("of many metrics of many values still fits into a record", () => {
    const rules = Array.from({ length: 40 }, (_, i): MetricRule => ({ _tag: "KeyValue", name: `m${i}`, take: "all" }))
    const scan = new MetricScan(Result.getOrThrow(compile(rules)))
    const line = rules.map(({ name }) => `${name}=0.12345678901234567`).join(" ")
    for (let i = 0; i < 2000; i++) scan.line("stdout", line)
    assert.ok(JSON.stringify(scan.result()).length < 600_000)
  })
})

describe("rules that read files", () => {
  const ofFile = (lines: ReadonlyArray<string>, more: Partial<Extract<MetricRule, { _tag: "JsonLines" }>> = {}) => {
    const rule: MetricRule = { _tag: "JsonLines", name: "x", files: "*.json", take: "all", required: false, ...more }
    const scan = new MetricScan(Result.getOrThrow(compile([rule])))
    for (const half of [lines, lines]) {
      scan.start("tree *.json")
      scan.lines("tree *.json", half.map((text) => ({ text, cut: false })))
      scan.end("tree *.json")
    }
    return scan.result().metrics["x"]
  }

  it("find a field in lines of JSON, in a document over many lines, and in an array of objects", () => {
    assert.deepStrictEqual(ofFile(["{\"x\":1}", "{\"x\":2}"]), [1, 2, 1, 2])
    const result = { name: "a", x: 3, steps: [{ x: 4 }, { x: 5 }] }
    assert.deepStrictEqual(ofFile(JSON.stringify(result, null, 2).split("\n")), [3, 3])
    assert.deepStrictEqual(ofFile(["\ufeff{", "\"a\": {", "\"x\": 3 } }"], { field: "a.x" }), [3, 3])
    assert.deepStrictEqual(ofFile(["[", " {\"x\":1},", " {\"x\":2}", "]"]), [1, 2, 1, 2])
    assert.deepStrictEqual(ofFile(["[{\"x\":1},{\"x\":2},3,null,[4]]"]), [1, 2, 1, 2])
  })

  it("find it in lines after all, when the file only begins like a document, or is too long for one", () => {
    assert.deepStrictEqual(ofFile(["{\"x\":1", "{\"x\":2}", "{\"x\":3}"]), [2, 3, 2, 3])
    const long = ["{\"torn", ...Array.from({ length: 300 }, () => `"${"p".repeat(20_000)}`), "{\"x\":7}"]
    assert.deepStrictEqual(ofFile(long), [7, 7])
  })

  it("are refused where they cannot be meant", () => {
    assert.match(refusal({ _tag: "KeyValue", name: "x", files: "../a" }), /must not leave the directory/)
    assert.match(refusal({ _tag: "KeyValue", name: "x", files: "/a" }), /is absolute/)
    assert.match(refusal({ _tag: "KeyValue", name: "x", files: "a", stream: "stderr" }), /both a stream and files/)
    assert.match(refusal({ _tag: "KeyValue", name: "x", within: "job" }), /no files/)
  })

  it("are refused from code as from a configuration, with the value that was seen", () => {
    const refused = (rule: unknown) => refusal(rule as MetricRule)
    assert.match(refused({ _tag: "KeyValue", name: "__proto__" }), /has name = "__proto__", .*a letter, then/)
    assert.match(refused({ _tag: "KeyValue", name: "x", take: "most" }), /metric x has take = "most", .*"median"/)
    assert.match(
      refused({ _tag: "KeyValue", name: "x", warmup: { _tag: "Values", count: -1 } }),
      /has warmup\.count = -1, /
    )
    assert.match(refused({ _tag: "Excel", name: "x" }), /is \{"_tag":"Excel","name":"x"\}, /)
    for (const none of [undefined, null, "x", 3]) assert.match(refused(none), new RegExp(`one is "?${none}"?\\.$`))
    assert.match(refused({ _tag: "KeyValue" }), /has name = undefined, /)
  })

  it("are refused where they could never match", () => {
    for (const key of ["a b", "a=b", "1a", "\"a\"", "é"]) {
      assert.match(refusal({ _tag: "KeyValue", name: "x", key }), /has key = .*a letter or _/, key)
      const warmup: Warmup = { _tag: "Until", field: key, from: 1 }
      assert.match(refusal({ _tag: "KeyValue", name: "x", warmup }), /can be no key of a line/, key)
      assert.strictEqual(refusal({ _tag: "JsonLines", name: "x", field: key, warmup }), "was not refused")
    }
    assert.match(refusal({ _tag: "Csv", name: "x", column: 0, files: "a[" }), /"a\[".* write \[\[\]/)
  })
})

describe("patterns that backtrack", () => {
  const trap = "x".repeat(3000)
  const hostile = ["^(?:x+)+y(\\d)", "(?:x|x)*y(\\d)", "^(?:x*)*y(\\d)", "(?:x*x*x*x*x*)y(\\d)"]

  it("leave out the lines that they cannot bear, and are given up when those are many", () => {
    for (const pattern of hostile) {
      const rule: MetricRule = { _tag: "Regex", name: "x", pattern, required: false, take: "all" }
      const found = scanned(rule, ["xxy1", trap, "xy2"])
      assert.match(found.notes.map((note) => note.message).join(), /too long, and was left out/, pattern)
      assert.strictEqual(found.metrics["x"]?.length, 2, pattern)
      const many = scanned(rule, [trap, trap, trap, trap, trap, "xy2"])
      assert.match(many.notes.map((note) => note.message).join(), /given up/, pattern)
      assert.deepStrictEqual(many.metrics, {}, pattern)
    }
  }, 60_000)

  it("in one line of thousands cost that line only", () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => i === 9999 ? trap : `xy${i % 10}`)
    const found = scanned({ _tag: "Regex", name: "x", pattern: hostile[0]!, take: "sum" }, lines)
    assert.strictEqual(found.samples["x"]?.count, 19_999)
  }, 60_000)
})
