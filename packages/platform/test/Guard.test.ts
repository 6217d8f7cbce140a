import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { branchName, safeName } from "../src/internal/gitNames.ts"
import { checkEditable, editContent, policyOf, segmentsOf } from "../src/internal/guard.ts"
import { requireOptions } from "../src/internal/guardOptions.ts"
import { hostileIds } from "../src/testing/WorkspaceSuite.ts"

const anyId = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("a", "A", "-", ".", "/", "+", "x", "0", "@", "{", " ") }),
  fc.constantFrom(...hostileIds)
)

/** What `git check-ref-format` and a file system that folds case ask of one component. */
const isSafe = (name: string): boolean =>
  /^[a-z0-9_][a-z0-9_+.-]*$/.test(name) && !name.includes("..") && !name.endsWith(".") && !name.endsWith(".lock") &&
  name.length <= 80

describe("a name for an id", () => {
  it("is a safe component of a ref and of a path, for any id", () => {
    fc.assert(fc.property(anyId, (id) => isSafe(safeName(id))))
  })

  it("differs for different ids, also where upper and lower case are the same", () => {
    fc.assert(fc.property(anyId, anyId, (one, other) => one === other || safeName(one) !== safeName(other)))
    assert.strictEqual(new Set(hostileIds.map((id) => safeName(id).toLowerCase())).size, hostileIds.length)
  })

  it("is the id itself where that is safe, so that branches can be read", () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,40}$/), (id) => safeName(id) === id))
    assert.strictEqual(branchName("search", "workers-4.prefetch_2"), "espalier/search/workers-4.prefetch_2")
  })

  it("is stable, because branches of older runs are found by it", () => {
    assert.strictEqual(safeName("Run A/b"), "run-a-b+75157de8888ae5ed")
  })
})

describe("a guarded path", () => {
  it("never has a segment that leads up, or into git's data", () => {
    const segment = fc.oneof(fc.constantFrom("..", ".", "", ".git", ".GIT", ".git ", "a", "b.ts"), fc.string())
    fc.assert(fc.property(fc.array(segment), (parts) => {
      const result = segmentsOf(parts.join("/"))
      if (Result.isFailure(result)) return true
      return result.success.length > 0 &&
        result.success.every((part) => part !== ".." && part !== "." && part !== "" && !/^\.git[. ]*$/i.test(part))
    }))
  })

  it("may be changed below an allowed prefix and only there, by whole segments", () => {
    const allowed = (path: string, editable: ReadonlyArray<string>) =>
      Result.isSuccess(checkEditable(path, path.split("/"), policyOf({ editable })))
    assert.isTrue(allowed("src/a/b.ts", ["src"]))
    assert.isTrue(allowed("src", ["./src/"]))
    assert.isTrue(allowed("anything", [""]))
    assert.isTrue(allowed("anything", ["."]))
    assert.isFalse(allowed("srcs/a.ts", ["src"]))
    assert.isFalse(allowed("other/src/a.ts", ["src"]))
    assert.isFalse(allowed("src/a.ts", []))
  })
})

describe("an edit", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", "é", "$", "&") })

  it("applies exactly where its search text occurs once, counting overlaps, and nowhere else", () => {
    fc.assert(fc.property(text, text, text, (content, search, replace) => {
      const places: Array<number> = []
      for (let at = 0; at <= content.length; at++) {
        if (search !== "" && content.startsWith(search, at)) places.push(at)
      }
      const edit = { name: "edit", file: "f", search, replace }
      const result = editContent(edit, Buffer.from(content))
      if (places.length !== 1) return Result.isFailure(result) && result.failure.matches === places.length
      const expected = content.slice(0, places[0]) + replace + content.slice(places[0]! + search.length)
      return Result.isSuccess(result) && result.success.toString() === expected
    }))
  })

  it("says so when only the line ends differ", () => {
    const edit = { name: "edit", file: "f", search: "a\nb", replace: "" }
    const result = editContent(edit, Buffer.from("a\r\nb\r\n"))
    assert.isTrue(Result.isFailure(result) && /CR LF/.test(result.failure.message))
  })
})

describe("an option of the guard", () => {
  const refusal = (options: Parameters<typeof requireOptions>[0]) =>
    Effect.runSync(Effect.result(requireOptions(options)))

  const hopeless = [
    "src/[s",
    "{src/secret",
    "src/{a,b",
    "",
    " ",
    "src\\secret",
    "src\\",
    "../x",
    "src/../x",
    "{a,../x}"
  ]
  for (const pattern of [...hopeless, "!src", "src/[z-a]", "{{a,b}", "{a,b}".repeat(10), "nul\0"]) {
    it(`that is the pattern ${JSON.stringify(pattern)} is refused with its field, itself and a remedy`, () => {
      for (const field of ["editable", "denied", "ignored"] as const) {
        const found = refusal({ [field]: ["src", pattern] })
        assert.isTrue(Result.isFailure(found))
        if (!Result.isFailure(found)) continue
        assert.deepInclude(found.failure.reason, { _tag: "OptionRefused", field, value: JSON.stringify(pattern) })
        assert.match(found.failure.message, /Name|Close|Separate|NUL|Write fewer/)
      }
    })
  }

  it("that names no directory, or excludes nothing that can be left out, is refused with its field", () => {
    for (const path of ["", "trees\0"]) {
      for (const field of ["directory", "source", "repository"] as const) {
        const found = refusal({ [field]: path })
        assert.deepInclude(Result.isFailure(found) ? found.failure.reason : {}, { field, value: JSON.stringify(path) })
      }
    }
    for (const path of ["", ".", "./", "././", "a\0"]) {
      const found = refusal({ excluded: ["runs", path] })
      assert.deepInclude(Result.isFailure(found) ? found.failure.reason : {}, {
        field: "excluded",
        value: JSON.stringify(path)
      })
    }
    assert.isTrue(
      Result.isSuccess(refusal({ directory: "trees", excluded: ["runs", "./a", ".a", "..a", "../b", "/c"] }))
    )
  })

  it("that denies or ignores the tree itself is refused, and one that allows it to be changed is not", () => {
    for (const pattern of [".", "/", "./"]) {
      assert.isTrue(Result.isFailure(refusal({ denied: [pattern] })))
      assert.isTrue(Result.isFailure(refusal({ ignored: [pattern] })))
      assert.isTrue(Result.isSuccess(refusal({ editable: [pattern] })))
    }
  })

  it("that is a pattern that can match is taken, though it looks odd", () => {
    const sound = ["src", "src/", "./src", "/src", "src/**", "*.[jt]s", "[!a]*", "[]]", "{a,b/*}.ts", "a}b", "\\[x]"]
    const all = [...sound, "\\!x", "\\{x", "a,b", "a{b}", "**/..x", "日本語"]
    const found = refusal({ editable: all, denied: all, ignored: all })
    assert.isTrue(Result.isSuccess(found), Result.isFailure(found) ? found.failure.message : "")
  })

  it("that is a limit has to be a whole number of bytes, or without an end", () => {
    for (const field of ["maxFileBytes", "maxChangeBytes", "maxSourceBytes"] as const) {
      for (const value of [NaN, -1, 1.5, -Infinity]) assert.isTrue(Result.isFailure(refusal({ [field]: value })))
      for (const value of [0, 1000, Infinity]) assert.isTrue(Result.isSuccess(refusal({ [field]: value })))
    }
  })
})
