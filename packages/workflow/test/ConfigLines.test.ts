/** In which line of the file a key stands. */
import { describe, it } from "@effect/vitest"
import fc from "fast-check"
import assert from "node:assert"
import { stringify, type TomlTable } from "smol-toml"
import { lineFinder } from "../src/internal/configLines.ts"

describe("The line of a key", () => {
  it("is found past texts that look like keys, lists over several lines, and comments", () => {
    const lineOf = lineFinder([
      "# name = 1",
      "a.b = \"\"\"",
      "[fake]",
      "name = 2 \\\"\"\"",
      "\"\"\" # ]",
      "list = [",
      "  \"x = 1\", # ]",
      "  'y'",
      "]",
      "[[metrics]]",
      "name = '''",
      "[[metrics]]'''",
      "[[metrics]] # second",
      "\"quoted key\" = { in = \"line\" }",
      "[metrics.inner]",
      "deep = 1"
    ].join("\r\n"))
    assert.equal(lineOf(["name"]), null)
    assert.equal(lineOf(["a", "b"]), 2)
    assert.equal(lineOf(["list", 1]), 6)
    assert.equal(lineOf(["metrics", 0, "name"]), 11)
    assert.equal(lineOf(["metrics", 1]), 13)
    assert.equal(lineOf(["metrics", 1, "quoted key", "in"]), 14)
    assert.equal(lineOf(["metrics", 1, "inner", "deep"]), 16)
    assert.equal(lineOf(["metrics", 1, "missing"]), 13)
  })

  it("is found for every key of any file that the serializer writes", () => {
    const name = fc.stringMatching(/^[a-z]{1,4}$/)
    const table = fc.dictionary(
      name,
      fc.dictionary(name, fc.oneof(fc.string(), fc.integer(), fc.array(fc.string())), {
        minKeys: 1
      })
    )
    fc.assert(
      fc.property(table, (value) => {
        const text = stringify(value as TomlTable)
        const lines = text.split("\n")
        const lineOf = lineFinder(text)
        for (const [section, entries] of Object.entries(value)) {
          for (const key of Object.keys(entries)) {
            const line = lineOf([section, key])
            assert(line !== null && lines[line - 1]?.startsWith(`${key} =`))
            assert.equal(lines.lastIndexOf(`[${section}]`, line - 1), (lineOf([section]) ?? 0) - 1)
          }
        }
      }),
      { numRuns: 100, seed: 13 }
    )
  })
})
