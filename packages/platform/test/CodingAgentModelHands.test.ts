/** What a language model can do to the files of a tree, and what it cannot. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { done, place, run } from "./support/modelRun.ts"
import { calls, outcomes, says } from "./support/playedModel.ts"

const put = (file: string, content: string | Buffer) => {
  fs.mkdirSync(join(place.directory, file, ".."), { recursive: true })
  fs.writeFileSync(join(place.directory, file), content)
}
const get = (file: string) => fs.readFileSync(join(place.directory, file), "utf8")

describe("the hands of a model", () => {
  it.effect("list, read, search, replace and write files of the tree", () =>
    Effect.gen(function*() {
      put("src/main.ts", "const workers = 1\nrun(workers)\n")
      put("node_modules/x/index.js", "workers")
      const { told, usage } = yield* run([
        calls(["list_files", { directory: null }], ["read_file", { file: "src/main.ts", lines: null }], [
          "search_files",
          { text: "workers" }
        ]),
        calls(["replace_in_file", { file: "src/main.ts", search: "workers = 1", replace: "workers = 4" }]),
        calls(["write_file", { file: "notes.md", content: "Four.\n" }]),
        done
      ])
      assert.deepStrictEqual(told, [
        { text: "node_modules/ (not listed)\nsrc/\nsrc/main.ts", isFailure: false },
        { text: "const workers = 1\nrun(workers)\n", isFailure: false },
        { text: "src/main.ts:1: const workers = 1\nsrc/main.ts:2: run(workers)", isFailure: false },
        { text: "Replaced in src/main.ts", isFailure: false },
        { text: "Written: notes.md", isFailure: false }
      ])
      assert.strictEqual(get("src/main.ts"), "const workers = 4\nrun(workers)\n")
      assert.strictEqual(get("notes.md"), "Four.\n")
      assert.deepStrictEqual([usage.turns, usage.inputTokens, usage.outputTokens], [1, 400, 40])
    }))

  it.effect("read part of a long file and say that it is a part", () =>
    Effect.gen(function*() {
      put("long.txt", Array.from({ length: 1000 }, (_, index) => `line ${index + 1}`).join("\n"))
      put("wide.txt", "x".repeat(100_000))
      const { told } = yield* run([
        calls(
          ["read_file", { file: "long.txt", first_line: 10, lines: 2 }],
          ["read_file", { file: "long.txt" }],
          ["read_file", { file: "long.txt", first_line: 1001 }],
          ["read_file", { file: "wide.txt" }],
          ["read_file", { file: "long.txt", first_line: 999 }]
        ),
        done
      ], { files: { resultCharacters: 100 } })
      assert.deepStrictEqual(told.map(({ text }) => text), [
        "line 10\nline 11\n[cut here: lines 10 to 11 of 1000 are shown]",
        `${Array.from({ length: 13 }, (_, index) => `line ${index + 1}`).join("\n")}\n` +
        "[cut here: lines 1 to 13 of 1000 are shown]",
        "\"long.txt\" has 1000 lines, and none at 1001",
        `${"x".repeat(100)}\n[cut here: line 1 is shown to its character 100]`,
        "line 999\nline 1000"
      ])
    }))

  it.effect("read no more of a gigantic file than the bound, and do not edit it", () =>
    Effect.gen(function*() {
      const file = fs.openSync(join(place.directory, "huge.log"), "w")
      fs.writeSync(file, "begin\n")
      fs.ftruncateSync(file, 3 * 1024 ** 3)
      fs.closeSync(file)
      put("big.txt", "needle\n".repeat(1000))
      const { told } = yield* run([
        calls(
          ["read_file", { file: "huge.log", lines: 1 }],
          ["replace_in_file", { file: "huge.log", search: "begin", replace: "end" }],
          ["read_file", { file: "big.txt", first_line: 3, lines: 1 }],
          ["search_files", { text: "needle" }]
        ),
        done
      ], { files: { fileBytes: 20, resultCharacters: 1000 } })
      assert.match(told[0]!.text, /is not a text file \(3221225472 bytes\)/)
      assert.match(told[1]!.text, /has 3221225472 bytes; files of more than 20 cannot be edited/)
      assert.match(told[2]!.text, /^needle\n\[cut here: the rest is beyond what is read of a file\]$/)
      assert.strictEqual(told[3]!.text, "big.txt:1: needle\nbig.txt:2: needle\nbig.txt:3: needle")
    }))

  it.effect("are not offered for writing where the call may not write, nor in a repair", () =>
    Effect.gen(function*() {
      const { requests } = yield* run([says("no"), calls(["write_file", { file: "a", content: "" }]), done])
      const offered = requests.map(({ tools }) => tools.map(({ name }) => name))
      assert.deepStrictEqual(offered.map((names) => names.includes("write_file")), [true, false, false])
      assert.match(outcomes(requests)[0]!.text, /There is no tool "write_file"/)
      assert.deepStrictEqual(fs.readdirSync(place.directory), [])
      const reading = yield* run([calls(["replace_in_file", {}]), done], {}, null)
      assert.match(reading.told[0]!.text, /There is no tool "replace_in_file"/)
    }))

  it.effect("never leave the tree, by whatever path", () =>
    Effect.gen(function*() {
      const outside = fs.mkdtempSync(join(tmpdir(), "espalier-outside-"))
      fs.writeFileSync(join(outside, "secret"), "outside")
      fs.symlinkSync(outside, join(place.directory, "link"))
      fs.symlinkSync(join(outside, "secret"), join(place.directory, "file-link"))
      fs.symlinkSync(join(outside, "new"), join(place.directory, "dangling"))
      fs.symlinkSync(".git", join(place.directory, "git-link"))
      put(".git/config", "[core]")
      put("file", "plain")
      execFileSync("mkfifo", [join(place.directory, "pipe")])
      const paths = [
        "../x",
        "a/../../x",
        "..",
        outside,
        join(outside, "secret"),
        "/etc/passwd",
        "link/secret",
        "link/new",
        "file-link",
        "dangling",
        "dangling/below",
        ".git/config",
        ".GIT/config",
        ".git /config",
        "git-link/config",
        "a\0b",
        "a\nb",
        "\u001b[31m",
        "file/below",
        "pipe",
        "",
        ".",
        "C:\\x",
        "\\\\host\\share"
      ]
      const { told } = yield* run([
        calls(...paths.flatMap((path) => [
          ["write_file", { file: path, content: "escaped" }] as const,
          ["read_file", { file: path }] as const
        ])),
        done
      ])
      told.forEach(({ isFailure, text }, index) => {
        assert.isTrue(isFailure, `${JSON.stringify(paths[Math.floor(index / 2)])} (${index % 2}): ${text}`)
        assert.notInclude(text, "outside\"") // what the file outside holds
      })
      const link = told[2 * paths.indexOf("link/secret") + 1]!.text
      assert.strictEqual(link, "The path \"link/secret\" is refused: a symbolic link in it leads out of the tree")
      const searched = yield* run([
        calls(
          ["search_files", { text: "outside", directory: "link" }],
          ["list_files", { directory: "link" }],
          ["list_files", { directory: ".git" }],
          ["list_files", {}],
          ["search_files", { text: "o" }]
        ),
        done
      ])
      assert.deepStrictEqual(searched.told.map(({ isFailure }) => isFailure), [true, true, true, false, false])
      assert.notInclude(searched.told[3]!.text, ".git")
      assert.strictEqual(searched.told[4]!.text, "Nothing was found")
      assert.deepStrictEqual(fs.readdirSync(outside), ["secret"])
      assert.strictEqual(fs.readFileSync(join(outside, "secret"), "utf8"), "outside")
      assert.strictEqual(get(".git/config"), "[core]")
      fs.rmSync(outside, { recursive: true })
    }))

  it.effect("stay inside of what may be changed, links inside of the tree included", () =>
    Effect.gen(function*() {
      put("src/a.ts", "a")
      put("tests/a.ts", "a")
      fs.symlinkSync("../tests", join(place.directory, "src/link"))
      const { told } = yield* run([
        calls(
          ["write_file", { file: "src/b.ts", content: "b" }],
          ["write_file", { file: "tests/b.ts", content: "b" }],
          ["write_file", { file: "src/link/b.ts", content: "b" }],
          ["write_file", { file: "srcs/b.ts", content: "b" }]
        ),
        done
      ], { editable: ["./src/"] })
      assert.deepStrictEqual(told.map(({ isFailure }) => isFailure), [false, true, true, true])
      assert.match(told[2]!.text, /leads to "tests\/b.ts", which lies outside of what may be changed: \.\/src\//)
      assert.deepStrictEqual(fs.readdirSync(join(place.directory, "tests")), ["a.ts"])
    }))

  it.effect("tell the model what is wrong with its calls, and go on", () =>
    Effect.gen(function*() {
      put("a.ts", "x\nx\n")
      put("latin.txt", Buffer.from([0xe9, 0x0a, 0x61]))
      put("crlf.txt", "one\r\ntwo\r\n")
      const { told } = yield* run([
        calls(
          ["run_shell", { command: "rm -rf /" }],
          ["read_file", { file: 7 }],
          ["read_file", null],
          ["read_file", "{\"file\": "],
          ["read_file", []],
          ["read_file", { file: "a.ts", first_line: 0 }],
          ["read_file", { file: "missing" }],
          ["replace_in_file", { file: "a.ts", search: "x", replace: "y" }],
          ["replace_in_file", { file: "a.ts", search: "z", replace: "y" }],
          ["replace_in_file", { file: "latin.txt", search: "a", replace: "b" }],
          ["replace_in_file", { file: "crlf.txt", search: "one\ntwo", replace: "b" }],
          ["write_file", { file: "big", content: "x".repeat(101) }],
          ["search_files", { text: "" }],
          ["__proto__", {}]
        ),
        done
      ], { files: { writeBytes: 100 } })
      assert.isTrue(told.every(({ isFailure }) => isFailure))
      const expected = [
        /^There is no tool "run_shell". There are: list_files, read_file/,
        /do not fit: Expected string/,
        /do not fit/,
        /^The arguments are not JSON$/,
        /do not fit/,
        /do not fit/,
        /^There is no "missing"$/,
        /occurs 2 times/,
        /does not occur/,
        /is not UTF-8 text/,
        /CR LF/,
        /has 101 bytes, and at most 100/,
        /is empty/,
        /There is no tool/
      ]
      expected.forEach((pattern, index) => assert.match(told[index]!.text, pattern))
      assert.strictEqual(get("a.ts"), "x\nx\n")
      assert.isFalse(fs.existsSync(join(place.directory, "big")))
    }))

  it.effect("run no call of a reply that was cut off, and no more calls than the bound", () =>
    Effect.gen(function*() {
      const write = (index: number) => ["write_file", { file: `f${index}`, content: "" }] as const
      const { told } = yield* run([
        { ...calls(write(0)), finish: "length" },
        calls(...Array.from({ length: 60 }, (_, index) => write(index + 100))),
        done
      ])
      assert.match(told[0]!.text, /cut off/)
      assert.isFalse(fs.existsSync(join(place.directory, "f0")))
      assert.strictEqual(fs.readdirSync(place.directory).length, 50)
      assert.match(told.at(-1)!.text, /at most 50 calls/)
    }))

  it.effect("show no more in one round than the bound, and say so", () =>
    Effect.gen(function*() {
      put("long.txt", "x".repeat(100_000))
      const read = ["read_file", { file: "long.txt" }] as const
      const { told } = yield* run([calls(...Array.from({ length: 10 }, () => read)), done])
      assert.deepStrictEqual(told.map(({ isFailure }) => isFailure), [...Array(4).fill(false), ...Array(6).fill(true)])
      assert.match(told[9]!.text, /as much as one round can/)
    }))

  it.effect("tell the model where a write was refused by the workspace", () =>
    Effect.gen(function*() {
      const { told } = yield* run(
        [calls(["write_file", { file: "a", content: "" }]), done],
        {},
        () => Effect.fail({ message: "The path \"a\" is refused: it is not allowed" })
      )
      assert.deepStrictEqual(told, [{ text: "The path \"a\" is refused: it is not allowed", isFailure: true }])
    }))

  it.effect("do not show secrets that files hold", () =>
    Effect.gen(function*() {
      put(".env", "KEY=sk-marked-0123456789\n")
      const { told } = yield* run(
        [calls(["read_file", { file: ".env" }], ["search_files", { text: "KEY" }]), done],
        { secrets: [Redacted.make("sk-marked-0123456789")] }
      )
      assert.deepStrictEqual(told.map(({ text }) => text), ["KEY=<redacted>\n", ".env:1: KEY=<redacted>"])
    }))
})
