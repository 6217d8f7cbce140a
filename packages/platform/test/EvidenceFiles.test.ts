import { afterAll, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import * as fc from "fast-check"
import assert from "node:assert"
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { findFiles, noPlainFile } from "../src/internal/evidenceFiles.ts"
import { type Glob, parseGlob } from "../src/internal/glob.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-files-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const glob = (text: string) => Result.getOrThrow(parseGlob(text))
const pathMatches = (glob: Glob, path: string) => glob.matches(path.split("/"))
const tree = (files: Readonly<Record<string, string>>): string => {
  const directory = mkdtempSync(join(root, "tree-"))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), text)
  }
  return directory
}
const limits = { files: 10, bytes: 1000 }
const find = (directory: string, pattern: string, within = limits) => findFiles(directory, glob(pattern), within)
const paths = (directory: string, pattern: string) =>
  Effect.map(find(directory, pattern), ({ files }) => files.map(({ path }) => path))

describe("a glob", () => {
  it("matches names as a shell does", () => {
    const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
      ["a.csv", ["a.csv"], ["b.csv", "a.csv/x", "x/a.csv"]],
      ["*.csv", ["a.csv", "é.csv"], [".csv", ".a.csv", "a.csv.gz", "x/a.csv"]],
      [".*", [".a"], ["a"]],
      ["a?c", ["abc"], ["ac", "abbc", "a/c"]],
      ["[a-c]1", ["a1", "c1"], ["d1", "A1"]],
      ["[!a-c]1", ["d1"], ["a1", "/1"]],
      ["[]]", ["]"], ["["]],
      ["a[[]b", ["a[b"], ["ab"]],
      ["**/*.csv", ["a.csv", "x/a.csv", "x/y/z/a.csv"], ["x/.git/a.csv", "a.tsv"]],
      ["x/**/a", ["x/a", "x/y/a", "x/y/z/a"], ["a", "y/a"]],
      ["**/x/**/a", ["x/a", "q/x/r/s/a"], ["q/a"]],
      ["{a,b/c}.{csv,tsv}", ["a.csv", "b/c.tsv"], ["b.csv"]],
      ["./a/*", ["a/b"], ["b"]]
    ]
    for (const [pattern, yes, no] of cases) {
      for (const path of yes) assert.ok(pathMatches(glob(pattern), path), `${pattern} ${path}`)
      for (const path of no) assert.ok(!pathMatches(glob(pattern), path), `${pattern} ${path}`)
    }
  })

  it("that could leave the directory, or that cannot be meant, is refused", () => {
    const others = [
      "/etc/passwd",
      "../a",
      "a/../../b",
      "a//b",
      "a/./b",
      "a\\b",
      "a\0b",
      "a/**",
      "**",
      "",
      "{a,/b}",
      "{a,..}/c",
      "a[",
      "a[b",
      "a[z-a]",
      "[a]/b[!"
    ]
    for (const text of [...others, "a/".repeat(65) + "b", "{a,b}".repeat(7)]) {
      assert.ok(Result.isFailure(parseGlob(text)), JSON.stringify(text))
    }
  })

  it("takes time in proportion to the name: a matcher that backtracked would run into the time-out", () => {
    assert.ok(!pathMatches(glob(`${"*a".repeat(60)}b`), "a".repeat(255)))
    assert.ok(!pathMatches(glob(`${"**/a/".repeat(30)}b`), "a/".repeat(100) + "c"))
  })

  it("finds on a disk what it matches by name", async () => {
    const names = ["a", "b", "ab", ".h"]
    const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) =>
      `${parts.join("/")}.txt`
    )
    const segment = fc.constantFrom("*", "**", "a", "?", "a*", "[ab]", "{a,ab}")
    const pattern = fc.tuple(fc.array(segment, { maxLength: 2 }), fc.constantFrom("*.txt", "a.txt", "[!b]*.txt"))
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(path, { minLength: 1, maxLength: 8 }), pattern, async (files, [before, last]) => {
        const text = [...before, last].join("/")
        const directory = tree(Object.fromEntries(files.map((one) => [one, ""])))
        const found = await Effect.runPromise(paths(directory, text))
        rmSync(directory, { recursive: true })
        assert.deepStrictEqual(found, files.filter((one) => pathMatches(glob(text), one)).sort())
      }),
      { numRuns: 60 }
    )
  })
})

describe("the files of a job", () => {
  it.effect("are found in the order of their paths, and read whole", () =>
    Effect.gen(function*() {
      const directory = tree({ "b.txt": "B", "a.txt": "A".repeat(900), "a/b.txt": "C", "empty.txt": "" })
      const { files, refused } = yield* find(directory, "**/*.txt")
      assert.deepStrictEqual(refused, [])
      const read = yield* Effect.forEach(files, ({ bytes, path }) =>
        Effect.map(Stream.mkString(Stream.decodeText(bytes)), (text) => [path, text.length]))
      assert.deepStrictEqual(read, [["a.txt", 900], ["a/b.txt", 1], ["b.txt", 1], ["empty.txt", 0]])
    }))

  it.effect("are none where the directory is not there", () =>
    Effect.gen(function*() {
      for (const directory of [join(root, "none"), "relative", ""]) {
        assert.deepStrictEqual(yield* find(directory, "*"), { files: [], refused: [] })
      }
    }))

  it.effect("are no links that lead out, by a file, by a directory, or by a detour", () =>
    Effect.gen(function*() {
      const outside = tree({ "secret.txt": "value=42" })
      const directory = tree({ "own.txt": "x", "deep/own.txt": "y" })
      symlinkSync(join(outside, "secret.txt"), join(directory, "file.txt"))
      symlinkSync(outside, join(directory, "directory"))
      symlinkSync("../..", join(directory, "deep", "up"))
      symlinkSync("file.txt", join(directory, "link-to-link.txt"))
      for (
        const pattern of ["file.txt", "directory/secret.txt", "*/secret.txt", "link-to-link.txt", "deep/up/x"]
      ) {
        const { files, refused } = yield* find(directory, pattern)
        assert.deepStrictEqual(files, [], pattern)
        assert.match(refused.join(), /leads out of the directory/, pattern)
      }
      assert.deepStrictEqual(yield* paths(directory, "**/*.txt"), ["deep/own.txt", "own.txt"])
    }))

  it.effect("may be links that stay inside; circles end", () =>
    Effect.gen(function*() {
      const directory = tree({ "runs/1/a.txt": "x" })
      symlinkSync("runs/1", join(directory, "latest"))
      symlinkSync(".", join(directory, "here"))
      symlinkSync("a.txt", join(directory, "runs/1/b.txt"))
      symlinkSync("..", join(directory, "runs/1/up"))
      symlinkSync("self", join(directory, "self"))
      symlinkSync("nowhere", join(directory, "dangling.txt"))
      assert.deepStrictEqual(yield* paths(directory, "latest/*.txt"), ["latest/a.txt", "latest/b.txt"])
      assert.deepStrictEqual(yield* paths(directory, "here/runs/1/a.txt"), ["here/runs/1/a.txt"])
      assert.deepStrictEqual(yield* paths(directory, "**/a.txt"), ["runs/1/a.txt"])
      assert.deepStrictEqual(yield* paths(directory, "{self,dangling.txt}"), [])
    }))

  it.effect("with a name that is no UTF-8 are passed over, and the refusal says so", () =>
    Effect.gen(function*() {
      const directory = tree({ "a.txt": "x", "\ufffd.txt": "y" })
      writeFileSync(Buffer.concat([Buffer.from(`${directory}/b`), Buffer.from([0xff]), Buffer.from(".txt")]), "z")
      const { files, refused } = yield* find(directory, "*.txt")
      assert.deepStrictEqual(files.map(({ path }) => path), ["a.txt", "\ufffd.txt"])
      assert.deepStrictEqual(refused, ["a name that is no UTF-8 cannot be opened, and was passed over: b\ufffd.txt"])
    }))

  it.effect("named one by one are looked at before they are read as an output", () =>
    Effect.gen(function*() {
      const directory = tree({ plain: "x", "directory/a": "x" })
      symlinkSync("plain", join(directory, "link"))
      assert.strictEqual(yield* noPlainFile(directory, "plain"), undefined)
      assert.strictEqual(yield* noPlainFile(directory, "none"), undefined)
      assert.match((yield* noPlainFile(directory, "link")) ?? "", /^link was not read.* a link$/)
      assert.match((yield* noPlainFile(directory, "directory")) ?? "", /a directory$/)
    }))

  it.effect("are not read at all when they are too many or too large, and the refusal says so", () =>
    Effect.gen(function*() {
      const many = tree(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`${i}.txt`, "x"])))
      const tooMany = yield* find(many, "*.txt")
      assert.deepStrictEqual(tooMany.files, [])
      assert.match(tooMany.refused[0] ?? "", /more than 10 files match/)
      const large = tree({ "a.txt": "x", "b.txt": "x" })
      truncateSync(join(large, "b.txt"), 1001)
      const tooLarge = yield* find(large, "*.txt")
      assert.deepStrictEqual(tooLarge.files, [])
      assert.match(tooLarge.refused[0] ?? "", /b\.txt has 1001 bytes, more than 1000/)
    }))

  it.effect("are read no further than they were long: a file may grow for ever", () =>
    Effect.gen(function*() {
      const directory = tree({ "a.txt": "12345" })
      const { files } = yield* find(directory, "a.txt")
      writeFileSync(join(directory, "a.txt"), "1234567890")
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(files[0]!.bytes)), "12345")
    }))

  it.effect("that were replaced by a link after they were found are an error, and not read", () =>
    Effect.gen(function*() {
      const outside = tree({ "secret.txt": "value=42" })
      const directory = tree({ "a.txt": "12345", "deep/b.txt": "12345" })
      const [a, b] = (yield* find(directory, "**/*.txt")).files
      rmSync(join(directory, "a.txt"))
      symlinkSync(join(outside, "secret.txt"), join(directory, "a.txt"))
      rmSync(join(directory, "deep"), { recursive: true })
      symlinkSync(outside, join(directory, "deep"))
      linkSync(join(outside, "secret.txt"), join(outside, "b.txt"))
      for (const file of [a!, b!]) {
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(file.bytes)))._tag, "EvidenceError")
      }
    }))
})
