import { describe, it } from "@effect/vitest"
import { type MetricRule, MetricRule as MetricRuleSchema, type Take } from "@espalier/platform/Evidence"
import { harmless, LineSplitter, logTail, Tail } from "@espalier/platform/evidence/LogText"
import { compile, MetricScan } from "@espalier/platform/evidence/MetricScan"
import { keyValues, parseJson, parseNumber } from "@espalier/platform/evidence/MetricText"
import { Result, Schema } from "effect"
import * as fc from "fast-check"
import assert from "node:assert"

const scan = (rules: ReadonlyArray<MetricRule>, lines: ReadonlyArray<string>) => {
  const scan = new MetricScan(Result.getOrThrow(compile(rules)))
  for (const line of lines) scan.line("stdout", line)
  return scan.result()
}

describe("a number", () => {
  it("is what JSON and C write", () => {
    for (const text of ["0", "-1", "+2", "3.5", ".5", "5.", "1e3", "-2.5E-10", "007"]) {
      assert.strictEqual(parseNumber(text), Number(text), text)
    }
  })

  it("is nothing else", () => {
    const others = [
      "",
      " 1",
      "NaN",
      "nan",
      "inf",
      "Infinity",
      "1e999",
      "-1e999",
      "0x1f",
      "1_000",
      "1,000",
      "12ms",
      "1e",
      "."
    ]
    for (const text of [...others, "--1", "1 2", "true", "null", "١", "1n", "[1]"]) {
      assert.strictEqual(parseNumber(text), undefined, text)
    }
  })
})

describe("key=value pairs", () => {
  it("stand anywhere in a line, apart by blanks, semicolons or commas before a key", () => {
    assert.deepStrictEqual(keyValues("epoch 3: loss=0.5, acc=0.9;lr=1e-3\tname=\"run\""), [
      ["loss", "0.5"],
      ["acc", "0.9"],
      ["lr", "1e-3"],
      ["name", "run"]
    ])
    assert.deepStrictEqual(keyValues("a=1,b=2,c=3,4"), [["a", "1"], ["b", "2"], ["c", "3,4"]])
  })

  it("of a line that was cut are those that end before the cut", () => {
    assert.deepStrictEqual(keyValues("x=5 bbbb", true), [["x", "5"]])
    assert.deepStrictEqual(keyValues("x=5 y=12", true), [["x", "5"]])
    assert.deepStrictEqual(keyValues("x=5,", true), [])
    assert.deepStrictEqual(keyValues("x=5,y=", true), [["x", "5"]])
    assert.deepStrictEqual(keyValues("x=5;", true), [["x", "5"]])
  })

  it("are exact about their key", () => {
    assert.deepStrictEqual(keyValues("x=1 ax=2 x.y=3 a/b=4 7=5 =6 ==7 x==8"), [
      ["x", "1"],
      ["ax", "2"],
      ["x.y", "3"],
      ["a/b", "4"],
      ["x", "=8"]
    ])
  })

  it("are found in a line of any length: a time that grew with its square would run into the test's time-out", () => {
    for (const unit of ["a=,", "=", ",a", "a=b,c", "a ", "aaaa", "\"=", "=,="]) {
      assert.ok(keyValues(unit.repeat(300_000 / unit.length)).length >= 0)
    }
  })
})

describe("rules", () => {
  it("take which of the values they say", () => {
    const lines = ["x=4", "x=1", "y=9", "x=10 x=1"]
    const expected: Record<Take, Array<number>> = {
      last: [1],
      first: [4],
      mean: [4],
      median: [2.5],
      min: [1],
      max: [10],
      sum: [16],
      all: [4, 1, 10, 1]
    }
    for (const take of MetricRuleSchema.cases.KeyValue.fields.take.schema.literals) {
      assert.deepStrictEqual(scan([{ _tag: "KeyValue", name: "x", take }], lines).metrics, { x: expected[take] }, take)
    }
  })

  it("give one number for everything but all, the same as from the whole list", () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 })
    fc.assert(fc.property(fc.array(number, { minLength: 1, maxLength: 50 }), (given) => {
      const lines = given.map((value) => `x=${value}`)
      const values = given.map((value) => value + 0)
      const take = (take: Take) => scan([{ _tag: "KeyValue", name: "x", take }], lines).metrics["x"]!
      assert.deepStrictEqual(take("all"), values)
      assert.deepStrictEqual(take("min"), [Math.min(...values)])
      assert.deepStrictEqual(take("max"), [Math.max(...values)])
      const [low, middle, high] = [take("min")[0]!, take("median")[0]!, take("max")[0]!]
      assert.ok(low <= middle && middle <= high)
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      assert.ok(Math.abs(take("mean")[0]! - mean) <= 1e-3)
    }))
  })

  it("never give what is not finite", () => {
    const pieces = [
      "NaN",
      "Infinity",
      "1e",
      "999",
      "1",
      "-",
      "+",
      ".",
      ",",
      ";",
      " ",
      "x=",
      "\"",
      "{",
      "}",
      "\0",
      "\u2028",
      "é"
    ]
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 8 })
    fc.assert(fc.property(fc.array(text, { maxLength: 8 }), fc.boolean(), (texts, json) => {
      const rules: ReadonlyArray<MetricRule> = [
        { _tag: "KeyValue", name: "x", take: "all", required: false },
        { _tag: "JsonLines", name: "y", field: "x", take: "all", required: false },
        { _tag: "Regex", name: "z", pattern: "x(.*)", take: "all", required: false }
      ]
      const lines = texts.map((one) => one.join("")).flatMap((one) => [
        json ? `{"x":${one}}` : `x=${one}`,
        one,
        JSON.stringify({ x: one })
      ])
      for (const values of Object.values(scan(rules, lines).metrics)) {
        assert.ok(values.length > 0 && values.every((value) => Number.isFinite(value)))
      }
    }))
  })

  it("add exactly where plain addition loses", () => {
    const lines = ["x=1e100", "x=1", "x=-1e100"]
    assert.deepStrictEqual(scan([{ _tag: "KeyValue", name: "x", take: "sum" }], lines).metrics, { x: [1] })
  })

  it("refuse a result that is too large for a number", () => {
    const found = scan([{ _tag: "KeyValue", name: "x", take: "sum" }], ["x=1.7e308", "x=1.7e308"])
    assert.deepStrictEqual(found.metrics, {})
    assert.match(found.notes[0]!.message, /too large/)
    assert.deepStrictEqual(
      scan([{ _tag: "KeyValue", name: "x", take: "median" }], ["x=1.7e308", "x=1.7e308"]).metrics,
      {
        x: [1.7e308]
      }
    )
  })

  it("keep a bounded number of values, and say so", () => {
    const lines = Array.from({ length: 10_005 }, (_, i) => `x=${i}`)
    const found = scan([{ _tag: "KeyValue", name: "x", take: "all" }], lines)
    assert.strictEqual(found.metrics["x"]!.length, 10_000)
    assert.deepStrictEqual(found.notes.map((note) => note.message), [
      "only the first 10000 of its 10005 values are kept in the record, and its samples tell of all"
    ])
  })

  it("find a JSON field by its own name first, then by its path", () => {
    const rule: MetricRule = { _tag: "JsonLines", name: "m", field: "a.b", take: "all" }
    assert.deepStrictEqual(
      scan([rule], [
        "{\"a\":{\"b\":1}}",
        "{\"a.b\":2,\"a\":{\"b\":3}}",
        "{\"a\":4}",
        "[{\"a.b\":5}]",
        "{\"a\":{\"b\":",
        "  {\"a\":{\"b\":6}}"
      ])
        .metrics,
      { m: [1, 2, 6] }
    )
  })

  it("refuse NaN and Infinity in JSON with a note, and read the other fields of the line", () => {
    const lines = [
      "{\"loss\": 0.5, \"grad\": 1}",
      "{\"loss\": 0.1, \"grad\": NaN, \"text\": \"NaN, \\\"Infinity\"}",
      "{\"loss\": [-Infinity, NaN], \"grad\": -Infinity}",
      "{\"loss\": Infinity}"
    ]
    const found = scan([
      { _tag: "JsonLines", name: "loss" },
      { _tag: "JsonLines", name: "grad" },
      { _tag: "JsonLines", name: "text", required: false }
    ], lines)
    assert.deepStrictEqual(found.metrics, { loss: [0.1], grad: [1] })
    assert.deepStrictEqual(found.notes.map(({ count, message, metric }) => [metric, count, message]), [
      ["grad", 2, "a value was refused, it is not a finite number: NaN"],
      ["text", 1, "a value was refused, it is not a finite number: \"NaN, \\\"Infinity\""],
      ["loss", 2, "a value was refused, it is not a finite number: -Infinity,NaN"]
    ])
  })

  it("note a line that begins like a JSON object and is none, but not every line with a brace", () => {
    const lines = ["{'loss': 0.5}", "{\"loss\": nan}", "{\"loss\": 1} done", "{", "{}", "{1, 2}", "[{\"loss\": 2}]"]
    const { notes } = scan([{ _tag: "JsonLines", name: "loss", required: false }], lines)
    assert.deepStrictEqual(notes, [{
      metric: "loss",
      message: "a line begins like a JSON object, but is none, and was not read: \"{'loss': 0.5}\"",
      count: 4
    }])
  })

  it("find pieces of JSON in time linear in its length: a time that grew with its square would run into the time-out", () => {
    for (const unit of ["\"", "\\\"", "\"\\", "NaN", "Infinity,", "\"NaN\"", "-", " "]) {
      assert.strictEqual(parseJson(`{"a": NaN ${unit.repeat(1_000_000 / unit.length)}`), undefined)
    }
  })

  it("do not look into what every object inherits", () => {
    const rules: ReadonlyArray<MetricRule> = [
      { _tag: "JsonLines", name: "a", field: "constructor.length", required: false },
      { _tag: "JsonLines", name: "b", field: "__proto__.x", required: false }
    ]
    assert.deepStrictEqual(scan(rules, ["{\"x\":1}", "{\"toString\":1}"]).metrics, {})
  })

  it("match a pattern as often as it is in the line, by the group named value or the first", () => {
    assert.deepStrictEqual(
      scan([
        { _tag: "Regex", name: "first", pattern: "t=(\\d+)ms", take: "all" },
        { _tag: "Regex", name: "named", pattern: "(\\w)=(?<value>\\d+)", take: "sum" },
        { _tag: "Regex", name: "optional", pattern: "t=(?:never|(\\d+)ms)" }
      ], ["t=5ms t=7ms", "t=never"]).metrics,
      { first: [5, 7], named: [12], optional: [7] }
    )
  })

  it("say which required metrics are missing, and what numbers there were", () => {
    const found = scan([{ _tag: "KeyValue", name: "x" }, { _tag: "KeyValue", name: "y", required: false }], [
      "speed=1 speed=2 name=fast",
      "{\"loss\":1,\"text\":\"a\"}"
    ])
    assert.deepStrictEqual(found.missing.map((rule) => rule.name), ["x"])
    assert.deepStrictEqual(found.seen, ["speed", "loss"])
  })

  it("are checked by their schema", () => {
    const decode = Schema.decodeUnknownResult(MetricRuleSchema)
    for (const name of ["", "__proto__", "a b", "1st", "a\n"]) {
      assert.ok(Result.isFailure(decode({ _tag: "KeyValue", name })), JSON.stringify(name))
    }
    assert.ok(Result.isSuccess(decode({ _tag: "JsonLines", name: "step-time/p99", field: "x" })))
  })
})

describe("lines", () => {
  const bytes = (text: string) => new TextEncoder().encode(text)

  it("are the same however the bytes come in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "é", "\n", "\r\n", "\r", "😀", "bc"), { maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        (parts, size) => {
          const all = bytes(parts.join(""))
          const splitter = new LineSplitter(1000)
          const lines = []
          for (let at = 0; at < all.length; at += size) lines.push(...splitter.push(all.subarray(at, at + size)))
          lines.push(...splitter.end())
          assert.deepStrictEqual(
            lines,
            parts.join("").split(/[\r\n]+/).filter((text) => text !== "").map((text) => ({ text, cut: false }))
          )
        }
      )
    )
  })

  it("are cut at the limit, and say so", () => {
    const splitter = new LineSplitter(4)
    assert.deepStrictEqual(splitter.push(bytes("abcd\nabcdef")), [{ text: "abcd", cut: false }])
    assert.deepStrictEqual(splitter.push(bytes("gh\nx")), [{ text: "abcd", cut: true }])
    assert.deepStrictEqual(splitter.end(), [{ text: "x", cut: false }])
    assert.deepStrictEqual(splitter.end(), [])
  })

  it("are not changed by what is read into the same buffer afterwards", () => {
    const buffer = Buffer.from("abc")
    const splitter = new LineSplitter(100)
    splitter.push(buffer)
    buffer.fill("x")
    assert.deepStrictEqual(splitter.push(bytes("d\n")), [{ text: "abcd", cut: false }])
  })

  it("that are exact end at line feeds only, and may be empty", () => {
    const splitter = new LineSplitter(3, { exact: true })
    assert.deepStrictEqual(splitter.push(bytes("a\rb\n\nlong")), [{ text: "a\rb", cut: false }, {
      text: "",
      cut: false
    }])
    assert.deepStrictEqual(splitter.push(bytes("er\n\nx")), [{ text: "lon", cut: true }, { text: "", cut: false }])
    assert.deepStrictEqual(splitter.end(), [{ text: "x", cut: false }])
    assert.deepStrictEqual(splitter.end(), [])
  })
})

describe("a log tail", () => {
  const tail = (limit: number, ...chunks: ReadonlyArray<string>) => {
    const tail = new Tail(limit)
    for (const chunk of chunks) tail.push(new TextEncoder().encode(chunk))
    return tail
  }

  it("is all there is, when that is little", () => {
    assert.strictEqual(tail(100, "one\n", "two").end().text, "one\ntwo")
  })

  it("begins with a whole line, or at least with a whole character", () => {
    assert.strictEqual(tail(8, "first\nsec", "ond\nend\n").end().text, "end\n")
    assert.strictEqual(tail(6, "a".repeat(50), "éééé").end().text, "ééé")
    assert.strictEqual(tail(5, "éééé").end().text, "éé")
  })

  it("names the outputs that there are, and what is left out", () => {
    assert.strictEqual(
      logTail(tail(9, "x"), tail(9, "one\ntwo\nthree\n")),
      "[stdout]\nx\n[stderr: last 6 of 14 bytes]\nthree\n"
    )
    assert.strictEqual(logTail(tail(9), tail(9)), "")
  })

  it("is bounded in lines too, and as a terminal would show what was overwritten", () => {
    const tail = new Tail(1000, 2)
    tail.push(new TextEncoder().encode("one\ntwo\n 1%\r 50%\r100%\nlast\n"))
    assert.deepStrictEqual(tail.end(), { text: "100%\nlast\n", bytes: 19 })
    const open = new Tail(1000, 2)
    open.push(new TextEncoder().encode("one\ntwo\nthree"))
    assert.strictEqual(open.end().text, "two\nthree")
  })

  it("stays within its bytes when control characters become pictures, and invalid bytes marks", () => {
    const tail = new Tail(100)
    tail.push(new Uint8Array(1000))
    assert.ok(Buffer.byteLength(tail.end().text) <= 100)
    assert.match(tail.end().text, /^\u2400+$/)
    const invalid = new Tail(100)
    invalid.push(new Uint8Array(1000).fill(0xff))
    assert.ok(Buffer.byteLength(invalid.end().text) <= 100)
    assert.match(invalid.end().text, /^\ufffd+$/)
  })
})

describe("text made harmless", () => {
  it("has no terminal sequence and no control character but tabs and line ends", () => {
    assert.strictEqual(harmless("\u001b[1;31mred\u001b[0m\tplain\n"), "red\tplain\n")
    assert.strictEqual(harmless("\u001b]0;title\u0007a\u001b]8;;http://x\u001b\\b\u001b(Bc\u009b31md"), "abcd")
    assert.strictEqual(harmless("a\0b\u0007c\u007fd\u0085e\u202ef"), "a\u2400b\u2407c\u2421d\ufffde\ufffdf")
    assert.strictEqual(harmless("one\u2028two\u2029three"), "one\ufffdtwo\ufffdthree")
    assert.strictEqual(harmless("\u001b]0;never closed\nnext"), "0;never closed\nnext")
  })

  it("whatever it was", () => {
    const piece = fc.constantFrom(
      "\u001b",
      "[",
      "]",
      "31m",
      "\u0007",
      "\u009b",
      "\\",
      "P",
      "x",
      "\n",
      "\0",
      "\u202e",
      "\u2028",
      "\u2029",
      "é"
    )
    fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      assert.doesNotMatch(harmless(pieces.join("")), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e]/)
    }))
  })
})
