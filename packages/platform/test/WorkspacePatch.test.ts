import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { diffOf } from "../src/internal/workspaceDiff.ts"
import { parsePatch } from "../src/internal/workspacePatch.ts"
import { applyHunks } from "../src/internal/workspacePatchApply.ts"

/** Lines of few kinds, so that they repeat, some without an end. */
const text = fc.tuple(
  fc.array(fc.constantFrom("a", "b", "", "-- x", "++ y", "@@ -1 +1 @@", "\\", "a\r", "é", " "), { maxLength: 30 }),
  fc.boolean()
).map(([lines, ends]) => lines.length === 0 ? "" : lines.join("\n") + (ends ? "\n" : "x"))

const name = fc.constantFrom(
  "f",
  "a b/c",
  "quote\"s",
  "tab\tb",
  "line\nend",
  "ü/🌳",
  "b/b",
  "back\\slash",
  " f ",
  "a/x b/x"
)

const side = (content: string | undefined, executable = false) =>
  content === undefined
    ? undefined
    : { bytes: Buffer.from(content, "utf8"), mode: executable ? "100755" as const : "100644" as const }

const applyAll = (patch: string, content: string) => {
  const files = Result.getOrThrow(parsePatch("p", patch))
  assert.strictEqual(files.length, 1)
  const [file] = files
  const after = applyHunks("p", "f", Buffer.from(content, "utf8").toString("latin1"), file!.hunks)
  return { file: file!, after: Result.map(after, (bytes) => Buffer.from(bytes, "latin1").toString("utf8")) }
}

describe("a unified diff", () => {
  it("of any two texts, under any name, turns the one into the other", () => {
    fc.assert(
      fc.property(text, text, name, (before, after, file) => {
        fc.pre(before !== after)
        const { patch } = diffOf([{ file, before: side(before), after: side(after) }])
        const applied = applyAll(patch, before)
        assert.deepStrictEqual([applied.file.from, applied.file.to], [file, file])
        assert.strictEqual(Result.getOrThrow(applied.after), after)
      }),
      { numRuns: 500 }
    )
  })

  it("creates and deletes a file of any name and content, and says whether it is executable", () => {
    fc.assert(
      fc.property(text, name, fc.boolean(), (content, file, executable) => {
        const made = diffOf([{ file, before: undefined, after: side(content, executable) }])
        const created = applyAll(made.patch, "")
        assert.deepStrictEqual([created.file.from, created.file.to], [null, file])
        assert.strictEqual(created.file.executable, executable)
        assert.strictEqual(Result.getOrThrow(created.after), content)
        const gone = diffOf([{ file, before: side(content, executable), after: undefined }])
        const deleted = applyAll(gone.patch, content)
        assert.deepStrictEqual([deleted.file.from, deleted.file.to], [file, null])
        assert.strictEqual(Result.getOrThrow(deleted.after), "")
      }),
      { numRuns: 300 }
    )
  })

  it("never puts lines elsewhere than where its context is: it applies exactly, or not at all", () => {
    fc.assert(
      fc.property(text, text, text, (before, after, other) => {
        fc.pre(before !== after)
        const { patch } = diffOf([{ file: "f", before: side(before), after: side(after) }])
        const { after: result, file } = applyAll(patch, other)
        if (Result.isFailure(result)) return
        // What it took away was there, in order, and what is left of the other text is all that it took not.
        const latin = (value: string) => Buffer.from(value, "utf8").toString("latin1")
        const removed = file.hunks.reduce((sum, hunk) => sum + hunk.before.join("").length, 0)
        const added = file.hunks.reduce((sum, hunk) => sum + hunk.after.join("").length, 0)
        const grew = latin(result.success).length - latin(other).length
        const isConverted = other.includes("\r\n") && !/(?:^|[^\r])\n/.test(other)
        if (!isConverted) assert.strictEqual(grew, added - removed)
      }),
      { numRuns: 500 }
    )
  })

  it("may be any text at all: it is read or refused, and never throws or hangs", () => {
    const line = fc.oneof(
      fc.constantFrom(
        "--- a/f",
        "+++ b/f",
        "@@ -1 +1 @@",
        "@@",
        "diff --git a/f b/f",
        "rename from f",
        "new file mode 100644",
        "+x",
        "-x",
        " x",
        "",
        "\\ No newline at end of file",
        "+++ /dev/null",
        "GIT binary patch",
        "--- \"a/\\303",
        "@@ -99999999999999999999,1 +1 @@"
      ),
      fc.string({ unit: "binary", maxLength: 20 })
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 25 }), (lines) => {
        const parsed = parsePatch("p", lines.join("\n"))
        if (Result.isFailure(parsed)) return assert.isAbove(parsed.failure.message.length, 10)
        for (const { from, hunks, to } of parsed.success) {
          assert.isTrue(from !== null || to !== null)
          applyHunks("p", "f", "x\ny\n", hunks)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("of a text with a hundred thousand equal lines is placed in linear time", () => {
    const equal = "same\n".repeat(100_000)
    const body = " same\n".repeat(50_000)
    const patch = `--- a/f\n+++ b/f\n@@ -7,50000 +7,50001 @@\n${body}+more\n`
    const { after } = applyAll(patch, equal)
    assert.strictEqual(Result.getOrThrow(after).indexOf("more"), 5 * 50_006)
    const elsewhere = applyAll(patch.replace("-7,", "-99999,"), equal).after
    assert.isTrue(Result.isFailure(elsewhere) && elsewhere.failure.problem === "ambiguous")
  })

  it("in several hunks goes on from where the one before was found", () => {
    const block = "begin\nvalue\nend\n"
    const patch =
      "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-head\n+HEAD\n begin\n@@ -5,3 +5,3 @@\n begin\n-value\n+VALUE\n end\n"
    // Three lines came before since the patch was written, so its second hunk is meant three lines later, too.
    const { after } = applyAll(patch, `new\nnew\nnew\nhead\n${block.repeat(3)}`)
    assert.strictEqual(Result.getOrThrow(after), `new\nnew\nnew\nHEAD\n${block}begin\nVALUE\nend\n${block}`)
  })
})
