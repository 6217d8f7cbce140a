import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { LanguageModel } from "effect/ai"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import * as Agent from "../src/agent/LanguageModel.ts"
import { CodingAgent, type Write } from "../src/CodingAgent.ts"
import * as CodingAgentSuite from "../src/testing/CodingAgentSuite.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import { type Answer, calls, outcomes, played, playOf, prices, says } from "./support/playedModel.ts"

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "espalier-model-"))
})
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }))

describe("an agent on a language model keeps what every coding agent promises", () => {
  const subject: CodingAgentSuite.Subject = {
    directory: "/tree",
    layer: (plays, options) =>
      Layer.provide(
        Agent.layer({ model: "a-model", prices, ...options }),
        played((_, index) => playOf(plays[index]!)).layer
      )
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.effect(name, () => passingTime(effect))
})

const Summary = Schema.Struct({ summary: Schema.String })
const done = says("{\"summary\":\"done\"}")

/** The naive write of a careless user: all that guards it is the agent. */
const naive: Write = (file, content) => Effect.sync(() => fs.writeFileSync(join(directory, file), content))

const run = (
  answers: ReadonlyArray<Answer> | ((index: number) => Answer),
  options: Partial<Agent.Options> = {},
  write: Write | null = naive
) => {
  const model = played((_, index) => typeof answers === "function" ? answers(index) : answers[index]!)
  return Effect.flatMap(
    CodingAgent,
    (agent) =>
      agent.run({
        prompt: "Make it faster.",
        schema: Summary,
        directory,
        phase: "code_change",
        write: write ?? undefined
      })
  ).pipe(
    Effect.provide(Layer.provide(Agent.layer({ model: "a-model", prices, ...options }), model.layer)),
    Effect.map((answer) => ({ ...answer, requests: model.requests, told: outcomes(model.requests) }))
  )
}

const put = (file: string, content: string | Buffer) => {
  fs.mkdirSync(join(directory, file, ".."), { recursive: true })
  fs.writeFileSync(join(directory, file), content)
}
const get = (file: string) => fs.readFileSync(join(directory, file), "utf8")

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
      const file = fs.openSync(join(directory, "huge.log"), "w")
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
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      const reading = yield* run([calls(["replace_in_file", {}]), done], {}, null)
      assert.match(reading.told[0]!.text, /There is no tool "replace_in_file"/)
    }))

  it.effect("never leave the tree, by whatever path", () =>
    Effect.gen(function*() {
      const outside = fs.mkdtempSync(join(tmpdir(), "espalier-outside-"))
      fs.writeFileSync(join(outside, "secret"), "outside")
      fs.symlinkSync(outside, join(directory, "link"))
      fs.symlinkSync(join(outside, "secret"), join(directory, "file-link"))
      fs.symlinkSync(join(outside, "new"), join(directory, "dangling"))
      fs.symlinkSync(".git", join(directory, "git-link"))
      put(".git/config", "[core]")
      put("file", "plain")
      execFileSync("mkfifo", [join(directory, "pipe")])
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
      fs.symlinkSync("../tests", join(directory, "src/link"))
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
      assert.deepStrictEqual(fs.readdirSync(join(directory, "tests")), ["a.ts"])
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
      assert.isFalse(fs.existsSync(join(directory, "big")))
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
      assert.isFalse(fs.existsSync(join(directory, "f0")))
      assert.strictEqual(fs.readdirSync(directory).length, 50)
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

describe("the limits of a model", () => {
  const look = calls(["list_files", {}])

  it.effect("end an endless loop of tools, after a last round without them", () =>
    Effect.gen(function*() {
      const model = played(() => look)
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) => agent.run({ prompt: "x", schema: Summary, directory, phase: "p" })).pipe(
          Effect.provide(
            Layer.provide(Agent.layer({ model: "a-model", prices, limits: { rounds: 4 } }), model.layer)
          )
        )
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "rounds")
      assert.strictEqual(error.usage.inputTokens, 400)
      assert.approximately(error.costUsd, 0.04, 1e-9)
      assert.deepStrictEqual(model.requests.map(({ toolChoice }) => toolChoice), ["auto", "auto", "auto", "none"])
      assert.match(JSON.stringify(model.requests.at(-1)!.messages.at(-1)), /last round/)
    }))

  it.effect("keep a model from changing files in the last round, whatever it calls", () =>
    Effect.gen(function*() {
      const write = (file: string) => calls(["write_file", { file, content: "" }])
      const error = yield* Effect.flip(run([write("first"), write("second")], { limits: { rounds: 2 } }))
      assert.strictEqual(error._tag, "AgentLimitReached")
      assert.deepStrictEqual(fs.readdirSync(directory), ["first"])
    }))

  it.effect("end a model whose replies can never be used", () =>
    Effect.gen(function*() {
      const broken = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () => Effect.succeed([{ type: "text", text: null as never }]),
          streamText: () => undefined as never
        })
      )
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) => agent.run({ prompt: "x", schema: Summary, directory, phase: "p" })).pipe(
          Effect.provide(
            Layer.provide(Agent.layer({ model: "m", prices: "unknown", limits: { rounds: 3 } }), broken)
          )
        )
      )
      assert.ok(error._tag === "AgentLimitReached")
      assert.match(error.message, /no answer that can be used came in 3 rounds/)
    }))

  it.effect("count a reply that cannot be used, which was paid too, as what it was expected to be", () =>
    Effect.gen(function*() {
      const ask = (options: Partial<Agent.Options>) => {
        let asked = 0
        const broken = Layer.effect(
          LanguageModel.LanguageModel,
          LanguageModel.make({
            generateText: () =>
              Effect.sync(() => {
                asked++
                return [{ type: "text", text: null as never }]
              }),
            streamText: () => undefined as never
          })
        )
        return Effect.flip(
          Effect.flatMap(CodingAgent, (agent) => agent.run({ prompt: "x", schema: Summary, directory, phase: "p" }))
            .pipe(
              Effect.provide(
                Layer.provide(Agent.layer({ model: "a-model", prices, maxOutputTokens: 10, ...options }), broken)
              )
            )
        ).pipe(Effect.map((error) => {
          assert.ok(error._tag === "AgentLimitReached", error.message)
          return { asked, error }
        }))
      }
      const money = yield* ask({ limits: { costUsd: 0.5 } })
      assert.strictEqual(money.error.limit, "cost")
      assert.isTrue(money.asked > 1 && money.asked < 20, String(money.asked))
      assert.isTrue(money.error.costUsd > 0.05 && money.error.costUsd <= 0.5, String(money.error.costUsd))
      const { asked, error: { limit, usage } } = yield* ask({ maxTokens: 10_000 })
      assert.strictEqual(limit, "cost")
      assert.isTrue(asked > 1 && asked < 20, String(asked))
      assert.strictEqual(usage.outputTokens, asked * 10)
      assert.isTrue(usage.inputTokens > 1000 && usage.inputTokens + usage.outputTokens <= 10_000)
    }))

  it.effect("are 50 rounds where nothing is said", () =>
    Effect.gen(function*() {
      let asked = 0
      const error = yield* Effect.flip(run(() => {
        asked++
        return look
      }))
      assert.strictEqual(error._tag, "AgentLimitReached")
      assert.strictEqual(asked, 50)
    }))

  it.effect("leave an answer that comes in the last round", () =>
    Effect.map(
      run([look, look, done], { limits: { rounds: 3 } }),
      ({ answer }) => assert.strictEqual(answer.summary, "done")
    ))

  it.effect("end a turn before the round that would break the limit in money, not after it", () =>
    Effect.gen(function*() {
      let asked = 0
      const error = yield* Effect.flip(run(() => {
        asked++
        return look
      }, { limits: { costUsd: 0.05 }, maxOutputTokens: 10 }))
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "cost")
      assert.isTrue(error.costUsd <= 0.05, String(error.costUsd))
      assert.approximately(error.costUsd, asked * 0.01, 1e-9)
      assert.isTrue(asked >= 3, String(asked))
      assert.match(error.message, /0\.0\d+ US\$ were spent in \d rounds/)
    }))

  it.effect("count tokens, those of the cache too", () =>
    Effect.gen(function*() {
      const cached = { uncachedTokens: 10, cachedTokens: 900, cacheWriteTokens: 90, outputTokens: 10 }
      const error = yield* Effect.flip(
        run(() => ({ ...look, usage: cached }), { maxTokens: 5000, maxOutputTokens: 10, prices: "unknown" })
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.usage.cachedInputTokens, error.usage.inputTokens * 0.9)
      assert.isTrue(error.usage.inputTokens + error.usage.outputTokens <= 5000)
      assert.match(error.message, /the limit is 5000/)
    }))

  it.effect("cost what the table says, the cache apart", () =>
    Effect.gen(function*() {
      const used = { uncachedTokens: 1000, cachedTokens: 10_000, cacheWriteTokens: 2000, outputTokens: 500 }
      const { costUsd } = yield* run([{ ...done, usage: used }], {
        prices: { "a-model": { inputUsd: 3, cachedInputUsd: 0.3, cacheWriteUsd: 3.75, outputUsd: 15 } }
      })
      assert.approximately(costUsd, 0.003 + 0.003 + 0.0075 + 0.0075, 1e-12)
    }))

  it.effect("in money are refused where no price is known, of the agent and of a call", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(run([done], { prices: "unknown", limits: { costUsd: 1 } }))
      assert.ok(refused._tag === "OptionsInvalid")
      assert.strictEqual(refused.field, "limits.costUsd")
      const model = played(() => done)
      const error = yield* Effect.flip(
        Effect.flatMap(CodingAgent, (agent) =>
          agent.run({ prompt: "x", schema: Summary, directory, phase: "p", limits: { costUsd: 1 } })).pipe(
            Effect.provide(Layer.provide(Agent.layer({ model: "a-model", prices: "unknown" }), model.layer))
          )
      )
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /price of a-model is unknown\. Give its price, or limit maxTokens instead$/)
      assert.strictEqual(model.requests.length, 0)
    }))

  it.effect("cannot be kept, and are not pretended to be, where the model does not say what it used", () =>
    Effect.gen(function*() {
      const silent = { ...done, usage: undefined }
      const { costUsd, usage } = yield* run([silent])
      assert.deepStrictEqual([costUsd, usage.inputTokens], [0, 0])
      const error = yield* Effect.flip(run([silent], { maxTokens: 1000 }))
      assert.match(error.message, /does not say how many tokens/)
    }))

  it.effect("that make no sense, and models without a price, are refused by name", () =>
    Effect.gen(function*() {
      const field = (options: Partial<Agent.Options>) =>
        Effect.map(Effect.flip(run([done], options)), (error) => error._tag === "OptionsInvalid" ? error.field : error)
      assert.strictEqual(yield* field({ model: "other" }), "prices")
      assert.strictEqual(yield* field({ model: "toString" }), "prices")
      assert.strictEqual(yield* field({ prices: { "a-model": { inputUsd: -1, outputUsd: 1 } } }), "prices")
      assert.strictEqual(yield* field({ maxTokens: 0 }), "maxTokens")
      assert.strictEqual(yield* field({ limits: { rounds: Number.NaN } }), "limits.rounds")
    }))
})

describe("a model's reply", () => {
  it.effect("that does not fit the interface is asked for again, and the rounds count", () =>
    Effect.gen(function*() {
      let round = 0
      const finish = { type: "finish" as const, reason: "stop" as const, usage: { inputTokens: {}, outputTokens: {} } }
      const model = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () =>
            Effect.sync(() =>
              round++ === 0
                ? [{ type: "text", text: 7 as never }, finish]
                : [{ type: "text", text: "{\"summary\":\"again\"}" }, finish]
            ),
          streamText: () => undefined as never
        })
      )
      const { answer } = yield* Effect.flatMap(CodingAgent, (agent) =>
        agent.run({ prompt: "x", schema: Summary, directory, phase: "p" })).pipe(
          Effect.provide(Layer.provide(Agent.layer({ model: "m", prices: "unknown" }), model))
        )
      assert.deepStrictEqual([answer.summary, round], ["again", 2])
    }))

  it.effect("without words takes those that were said on the way", () =>
    Effect.gen(function*() {
      const { answer } = yield* run([
        { ...calls(["list_files", {}]), parts: [...done.parts, ...calls(["list_files", {}]).parts] },
        { ...done, parts: [] }
      ])
      assert.strictEqual(answer.summary, "done")
    }))

  it.effect("that declines is told as that", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run([{ ...says("I will not."), finish: "content-filter" }]))
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /I will not/)
      assert.strictEqual(error.usage.inputTokens, 100)
    }))

  it.effect("keeps what the provider put beside its reasoning", () =>
    Effect.gen(function*() {
      const data = { type: "thinking", thinking: "hm", signature: "abc" }
      const reasoning = { type: "reasoning" as const, text: "hm", data }
      const look = calls(["list_files", {}])
      const { requests } = yield* run([{ ...look, parts: [reasoning, ...look.parts] }, done])
      assert.deepStrictEqual(requests[1]!.messages[1]!.parts[0], reasoning)
    }))

  it.effect("that never comes is ended by the time limit, and what came before it counts", () =>
    Effect.gen(function*() {
      const error = yield* passingTime(
        Effect.flip(run([calls(["list_files", {}]), "hang"], { limits: { time: "2 seconds" } }))
      )
      assert.ok(error._tag === "AgentLimitReached", error.message)
      assert.strictEqual(error.limit, "time")
      assert.strictEqual(error.usage.inputTokens, 100)
      assert.approximately(error.costUsd, 0.01, 1e-9)
    }))

  it.effect("that fails in the middle of a turn leaves what the turn used", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        run([calls(["list_files", {}]), { _tag: "ContextTooLong", detail: "200001 tokens > 200000" }])
      )
      assert.ok(error._tag === "AgentUnavailable")
      assert.strictEqual(error.reason, "refused")
      assert.match(error.message, /too long for the model: .*200001/)
      assert.strictEqual(error.usage.inputTokens, 100)
      assert.approximately(error.costUsd, 0.01, 1e-9)
    }))
})
