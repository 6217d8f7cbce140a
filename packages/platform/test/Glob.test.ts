import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { compileGlob, mistakeIn, parseGlob } from "../src/internal/glob.ts"

const matches = (pattern: string, path: string, ignoreCase = false) =>
  compileGlob(pattern, { ignoreCase }).matches(path.split("/"))

describe("a glob", () => {
  const table: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    ["src", ["src"], ["src/a", "srcs"]],
    ["*.json", ["a.json", ".json", "line\nend.json"], ["a/b.json", "a.jsonx"]],
    ["src/*", ["src/a", "src/.hidden"], ["src", "src/a/b"]],
    ["src/**", ["src", "src/a", "src/.a/b", "src/line\nend/b"], ["srcs/a", "a/src/b"]],
    ["**/*.pem", ["a.pem", "x/y/.z.pem"], ["a.pem/b"]],
    ["**", ["a", "a/b/c"], []],
    ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "b", "a/bb", "ab"]],
    ["a?c", ["abc", "a.c"], ["ac", "a/c"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "x"]],
    ["[!a]x", ["bx", "!x"], ["ax"]],
    ["[]]x", ["]x"], ["x"]],
    ["{a,b/*}.ts", ["a.ts", "b/c.ts"], ["b.ts", "c.ts"]],
    ["{a,{b,c}}d", ["ad", "bd", "cd"], ["d"]],
    ["a+(b).$", ["a+(b).$"], ["abb", "a+(b)x"]],
    ["./src/", ["src"], ["x"]],
    ["\\*", ["*"], ["a"]],
    ["[z-a]", ["[z-a]"], ["b"]],
    ["[open", ["[open"], ["o"]],
    ["{open", ["{open"], ["open"]]
  ]
  for (const [pattern, yes, no] of table) {
    it(`${pattern} matches what it says and nothing else`, () => {
      for (const path of yes) assert.isTrue(matches(pattern, path), path)
      for (const path of no) assert.isFalse(matches(pattern, path), path)
    })
  }

  it("that is a plain name matches that name and no other, whatever characters it has", () => {
    const segment = fc.string({ minLength: 1, unit: "binary" }).filter((value) =>
      !/[/*?[{\\]/.test(value) && value !== "."
    )
    fc.assert(fc.property(segment, segment, (one, other) => {
      assert.isTrue(compileGlob(one).matches([one]))
      assert.strictEqual(compileGlob(one).matches([other]), one === other)
      assert.isTrue(compileGlob(one).plain)
    }))
  })

  it("can be told not to mind upper and lower case", () => {
    assert.isTrue(matches("src/Secret*", "SRC/sECRETS", true))
    assert.isFalse(matches("src/Secret*", "SRC/sECRETS"))
  })

  it("of many stars and braces is answered at once", () => {
    const path = Array.from({ length: 200 }, () => "a").join("/")
    assert.isFalse(matches("**/a/".repeat(50) + "b", path))
    // One that backtracks takes a minute for the fifth star, and longer than anybody lives for the tenth.
    const name = "a".repeat(255)
    for (
      const pattern of ["*a".repeat(60) + "b", "**/**/".repeat(60) + "*a".repeat(20) + "b", "*?*a*[a]*b".repeat(20)]
    ) {
      assert.isFalse(matches(pattern, name, true), pattern)
      assert.isFalse(matches(pattern, `${"a/".repeat(200)}${name}`), pattern)
    }
    assert.isTrue(matches("**/".repeat(100) + "a".repeat(100) + "*a*a*a", `${"b/".repeat(100)}${name}`))
  })

  it("with braces that stand for more than anybody writes is refused at once, also where all of it is the same", () => {
    for (const pattern of ["{a,b}".repeat(40), "{a,a}".repeat(40), "{,}".repeat(1000), "{a,{a,{a,a}}}".repeat(20)]) {
      assert.match(mistakeIn(pattern) ?? "", /more than 1000 patterns/)
      assert.isTrue(Result.isFailure(parseGlob(`x${pattern}`)))
      // One of what is denied would let everything pass.
      assert.throws(() => compileGlob(pattern), /more than 1000 patterns/)
    }
    assert.isUndefined(mistakeIn("{a,a}".repeat(9)))
  })

  it("of a job's files with a brace or a bracket that is not closed is refused, and one with the character itself is not", () => {
    for (const [pattern, missing] of [["{a,b.csv", "}"], ["{a,{b,c}.csv", "}"], ["[a.csv", "]"]] as const) {
      const found = parseGlob(pattern)
      assert.match(Result.isFailure(found) ? found.failure : "", new RegExp(`without its \\${missing}`))
    }
    const own = parseGlob("[{]a,b.csv")
    assert.isTrue(Result.isSuccess(own) && own.success.matches(["{a,b.csv"]))
  })

  it("in the words of a job's files means the same, but for dots that a name begins with", () => {
    const part = fc.constantFrom("a", "b", "*", "?", "[ab]", "[!b]", "**", "/", "{a,b}", "{a,{b,ab}}", ".")
    const pattern = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""))
    const path = fc.array(fc.constantFrom("a", "b", "ab", "ba", ".a", ".ab"), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(pattern, path, (text, names) => {
        const files = parseGlob(text)
        if (Result.isFailure(files)) return
        const guard = compileGlob(text).matches(names)
        const isHidden = names.some((name) => name.startsWith("."))
        if (isHidden ? !guard : true) {
          assert.strictEqual(files.success.matches(names), guard, `${text} ${names.join("/")}`)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("with braces that are not closed around others that are means what a shell makes of it", () => {
    assert.isTrue(matches("{{a,b}", "{b"))
    assert.isTrue(matches("{a,{b}}c", "{b}c"))
    assert.isFalse(matches("{a,{b}}c", "bc"))
  })
})
