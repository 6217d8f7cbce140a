import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import * as fc from "fast-check"
import { editContent } from "../src/internal/guard.ts"
import { diffOf } from "../src/internal/workspaceDiff.ts"
import { parsePatch } from "../src/internal/workspacePatch.ts"
import { allowedWork, applyHunks } from "../src/internal/workspacePatchApply.ts"
import * as Memory from "../src/workspace/Memory.ts"

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

  it("goes where its lines are once, or where its number says, and nowhere else", () => {
    const lines = fc.array(fc.constantFrom<Array<string>>("a\n", "b\n", "c\n", "d\n"), { maxLength: 8 })
    fc.assert(
      fc.property(lines, fc.array(fc.constantFrom("a\n", "b\n", "e\n"), { minLength: 1, maxLength: 3 }), fc.nat(8), (
        file,
        before,
        number
      ) => {
        const start = number === 0 ? undefined : number
        const places = file.map((_, at) => at).filter((at) => before.every((line, index) => file[at + index] === line))
        const place = start !== undefined && places.includes(start - 1)
          ? start - 1
          : places.length === 1
          ? places[0]
          : undefined
        const result = applyHunks("p", "f", file.join(""), [{ start, before, after: ["new\n"] }])
        if (place === undefined) {
          const problem = places.length === 0 ? "context" : "ambiguous"
          return assert.isTrue(Result.isFailure(result) && result.failure.problem === problem)
        }
        assert.strictEqual(Result.getOrThrow(result), file.toSpliced(place, before.length, "new\n").join(""))
      }),
      { numRuns: 2000 }
    )
  })

  it("of ten thousand hunks costs no more than a few readings of the file, with numbers and without", () => {
    const content = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join("")
    for (const header of [(at: number) => `@@ -${at} +${at} @@`, () => "@@"]) {
      const hunks = Array.from(
        { length: 10_000 },
        (_, index) => `${header(2 * index + 1)}\n-line ${2 * index}\n+LINE ${2 * index}\n`
      ).join("")
      const [file] = Result.getOrThrow(parsePatch("p", `--- a/f\n+++ b/f\n${hunks}`))
      const work = allowedWork()
      const before = work.left
      const after = Result.getOrThrow(applyHunks("p", "f", content, file!.hunks, work))
      assert.strictEqual(after.match(/LINE/g)?.length, 10_000)
      assert.isBelow(before - work.left, 200_000)
    }
  })

  it("that was made to take for ever is refused as too much: hunks that fit only together, lines and hunks without end", () => {
    const lines = Array.from({ length: 10_000 }, (_, index) => `line ${index}\n`)
    // Every line is there twice, and two in this order once: each hunk has to be looked for in all of the file.
    const content = lines.join("") + lines.map((_, index) => lines[(index * 7919) % lines.length]).join("")
    const pairs = Array.from({ length: 5000 }, (_, index) => `@@\n ${lines[2 * index]}-${lines[2 * index + 1]}+new\n`)
    const { after } = applyAll(`--- a/f\n+++ b/f\n${pairs.join("")}`, content)
    assert.isTrue(Result.isFailure(after) && after.failure.problem === "too much" && after.failure.hunk !== null)
    const few = applyAll(`--- a/f\n+++ b/f\n${pairs.slice(0, 50).join("")}`, content).after
    assert.strictEqual(Result.getOrThrow(few).match(/new/g)?.length, 50)
    for (
      const endless of [
        `--- /dev/null\n+++ b/f\n@@ -0,0 +1,9 @@\n${"+a\n".repeat(10_000_000)}`,
        `--- a/f\n+++ b/f\n${"@@ -1 +1 @@\n-a\n+b\n".repeat(100_000)}`
      ]
    ) {
      const parsed = parsePatch("p", endless)
      assert.isTrue(Result.isFailure(parsed) && parsed.failure.problem === "too much")
    }
    // Names that could be cut at every blank, and a block of context that is nowhere.
    assert.isTrue(Result.isFailure(parsePatch("p", `diff --git ${"a ".repeat(1_000_000)}\nnew mode 100755\n`)))
    const upside = lines.toReversed().map((line) => ` ${line}`).join("")
    const nowhere = applyAll(`--- a/f\n+++ b/f\n@@\n${upside}+x\n`, content).after
    assert.isTrue(Result.isFailure(nowhere) && nowhere.failure.problem === "context")
  })

  it.effect("that names one file again and again is refused as too much, and others go on meanwhile", () =>
    Effect.gen(function*() {
      const { workspace } = yield* Memory.make({ files: { f: `${"x".repeat(99)}\n`.repeat(50_000) } })
      const tree = yield* workspace.open({ run: "run", node: "node", base: "HEAD" })
      let turns = 0
      const other = yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sync(() => turns++), Effect.yieldNow)))
      const patch = "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n".repeat(1000)
      const error = yield* Effect.flip(workspace.apply(tree, [{ _tag: "Patch", name: "p", patch }]))
      yield* Fiber.interrupt(other)
      assert.isTrue(error._tag === "PatchRejected" && error.problem === "too much" && error.file === "f")
      assert.isAbove(turns, 10)
    }).pipe(Effect.scoped))
})

describe("an edit that was made to take for ever", () => {
  it("is counted like any other", () => {
    const content = Buffer.from("a".repeat(2_000_000))
    const edit = (search: string) => editContent({ name: "e", file: "f", search, replace: "" }, content)
    const many = edit("a".repeat(1_000_000))
    assert.isTrue(Result.isFailure(many) && many.failure.matches === 1_000_001)
    const none = edit(`b${"a".repeat(1_000_000)}`)
    assert.isTrue(Result.isFailure(none) && none.failure.matches === 0)
  })
})
