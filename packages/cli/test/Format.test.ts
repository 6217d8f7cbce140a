import { describe, expect, it } from "vitest"
import { clipLine, formatDuration, formatGain, formatValue, plainLine, plainText, shellWord } from "../src/Format.ts"

describe("a duration", () => {
  it("has the unit that a person would choose", () => {
    const shown = [0, 0.4, 950, 1_000, 12_345, 65_000, 3_600_000, 7_384_000].map(formatDuration)
    expect(shown).toEqual(["0 ms", "0 ms", "950 ms", "1.0 s", "12.3 s", "1 min 05 s", "1 h 00 min", "2 h 03 min"])
  })

  it("never shows sixty of what has a larger unit", () => {
    expect([999.6, 59_949, 59_960, 119_700, 3_599_700].map(formatDuration)).toEqual([
      "1.0 s",
      "59.9 s",
      "1 min 00 s",
      "2 min 00 s",
      "1 h 00 min"
    ])
  })
})

describe("a number", () => {
  it("has four significant digits and its unit", () => {
    expect(formatValue(1_234_567.8, "samples/s")).toBe("1234568 samples/s")
    expect(formatValue(0.000_123_456, "s")).toBe("0.0001235 s")
    expect(formatValue(-12.345_6, "")).toBe("-12.35")
  })

  it("that is a gain has a sign, and none when it is not known", () => {
    expect([0.042, 0, -0.5, null].map(formatGain)).toEqual(["+4.2 %", "+0.0 %", "-50.0 %", "?"])
  })
})

describe("text from elsewhere", () => {
  it("cannot steer the terminal: not by colours, titles, carriage returns or single control characters", () => {
    const hostile = "\u001b[31mred\u001b[0m \u001b]0;title\u0007 a\rb\u0008c\u009bd\u0085e"
    expect(plainText(hostile)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    expect(plainText(hostile)).toContain("red")
    expect(plainText("first\r\nsecond\n")).toBe("first\nsecond\n")
    expect(plainLine("first\n   second\tthird")).toBe("first second third")
  })

  it("is cut to the columns that it has, where an ideograph takes two and an accent none", () => {
    expect(clipLine("abcdef", 6)).toBe("abcdef")
    expect(clipLine("abcdef", 5)).toBe("abcd…")
    expect(clipLine("データ読込", 10)).toBe("データ読込")
    expect(clipLine("データ読込", 9)).toBe("データ読…")
    expect(clipLine("データ読込", 8)).toBe("データ…")
    expect(clipLine("e\u0301e\u0301", 2)).toBe("e\u0301e\u0301")
    expect(clipLine("🚀🚀", 3)).toBe("🚀…")
  })

  it("that is a path can be pasted into a shell", () => {
    expect(shellWord("runs/pipeline")).toBe("runs/pipeline")
    expect(shellWord("my runs/it's")).toBe("'my runs/it'\\''s'")
    expect(shellWord("")).toBe("''")
  })
})
