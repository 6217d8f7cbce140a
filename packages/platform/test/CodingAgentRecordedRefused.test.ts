/** Calls that are not replayed or not recorded, and what is kept out of recordings. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import * as Recorded from "../src/agent/Recorded.ts"
import type { AgentCall, Turn } from "../src/CodingAgent.ts"
import { type Ask, ask, done, files, only, place, record, replay, Summary } from "./support/recordings.ts"

describe("a call without a recording", () => {
  const miss = (call: Ask, options: Partial<Recorded.Options> = {}) =>
    Effect.map(Effect.flip(Effect.provide(ask(call), replay(options))), (error) => {
      assert.instanceOf(error, Recorded.RecordingMissing)
      assert.strictEqual(error._tag, "AgentUnavailable")
      return error as Recorded.RecordingMissing
    })

  it.effect("is told where there are none at all, to the record of calls as well", () =>
    Effect.gen(function*() {
      const calls: Array<AgentCall> = []
      const error = yield* miss({}, { record: (call) => Effect.sync(() => void calls.push(call)) })
      assert.deepStrictEqual(calls.map(({ error, turns }) => [turns.length, error]), [[0, error]])
      assert.isNull(error.closest)
      assert.match(error.message, /holds no recording at all\. Record it/)
      assert.isFalse(fs.existsSync(place.tape))
    }))

  it.effect("names the closest, and each thing that differs", () =>
    Effect.gen(function*() {
      const prompt = (last: string) => `Line one.\nLine two.\n${"x".repeat(100)} and ${last}.`
      yield* Effect.provide(ask({ prompt: "Something else altogether." }), record([done]))
      yield* Effect.provide(ask({ prompt: prompt("four") }), record([done]))
      const near = files().map((file) => join(place.tape, file)).find((file) =>
        fs.readFileSync(file, "utf8").includes("Line two")
      )!

      const changed = yield* miss({ prompt: prompt("five") })
      assert.strictEqual(changed.closest, near)
      assert.strictEqual(changed.differs.length, 1)
      assert.match(
        changed.differs[0]!,
        /^prompt: line 3 is ".*four\." in the recording, and ".*five\." in what is asked$/
      )
      assert.include(changed.message, near)

      const longer = yield* miss({ prompt: `${prompt("four")}\nAnd more.` })
      assert.match(longer.differs[0]!, /line 4 is the end in the recording, and "And more\." in what is asked/)

      const differs = (call: Ask, options: Partial<Recorded.Options> = {}) =>
        Effect.map(miss({ prompt: prompt("four"), ...call }, options), ({ differs }) => differs.join("; "))
      assert.match(yield* differs({ phase: "planning" }), /^phase: recorded with "code_change", asked with "planning"$/)
      assert.match(yield* differs({ write: true }), /^write: recorded with false, asked with true$/)
      assert.match(yield* differs({}, { identity: "another model" }), /^identity: .*"a script".*"another model"$/)
      assert.match(yield* differs({}, { state: () => Effect.succeed("abc") }), /^state: .*null.*"abc"$/)
      const schema = Schema.Struct({ summary: Schema.String, more: Schema.optional(Schema.Int) })
      assert.match(yield* differs({ schema }), /^schema: another form of the answer$/)
    }))

  it.effect("is one where the state of its directory is another", () =>
    Effect.gen(function*() {
      const state = ({ directory }: { readonly directory: string }) => Recorded.contentOf(directory)
      fs.writeFileSync(join(place.tree, "a"), "1")
      fs.symlinkSync("a", join(place.tree, "link"))
      fs.writeFileSync(join(place.tree, "large"), Buffer.alloc(3 * 1024 * 1024))
      yield* Effect.provide(ask(), record([done], { state }))
      yield* Effect.provide(ask(), replay({ state }))
      fs.writeFileSync(join(place.tree, "a"), "2")
      yield* miss({}, { state })
      fs.writeFileSync(join(place.tree, "a"), "1")
      yield* Effect.provide(ask(), replay({ state }))
      const other = join(place.root, "other")
      fs.cpSync(place.tree, other, { recursive: true, verbatimSymlinks: true })
      yield* Effect.provide(ask({ directory: other }), replay({ state }))
    }))

  it.effect("says so where the state cannot be told", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Effect.provide(ask(), replay({ state: () => Effect.fail({ message: "no such commit" }) }))
      )
      assert.match(error.message, /state of .* cannot be told: no such commit/)
    }))
})

describe("a recording that cannot be used", () => {
  const spoilt = (change: (text: string) => string) =>
    Effect.gen(function*() {
      fs.rmSync(place.tape, { recursive: true, force: true })
      yield* Effect.provide(ask(), record([done]))
      const file = only()
      fs.writeFileSync(file, change(fs.readFileSync(file, "utf8")))
      const error = yield* Effect.flip(Effect.provide(ask(), replay()))
      assert.instanceOf(error, Recorded.RecordingUnusable)
      assert.strictEqual((error as Recorded.RecordingUnusable).file, file)
      assert.include(error.message, file)
      // Nothing is guessed and nothing is overwritten where the user did not ask for it.
      const asked = yield* Effect.flip(Effect.provide(ask(), record([done], { mode: "replay-or-record" })))
      assert.instanceOf(asked, Recorded.RecordingUnusable)
      yield* Effect.provide(ask(), record([done]))
      yield* Effect.provide(ask(), replay())
      return error.message
    })

  it.effect("is told by its file, and is replaced by mode record only", () =>
    Effect.gen(function*() {
      assert.match(yield* spoilt(() => ""), /it is empty/)
      assert.match(yield* spoilt((text) => text.slice(0, -20)), /not JSON; it may be cut off/)
      assert.match(yield* spoilt((text) => text.replace("done", "dome")), /checksum is wrong/)
      assert.match(yield* spoilt((text) => text.replace("faster", "slower")), /checksum is wrong/)
      assert.match(yield* spoilt(() => "{\"format\":\"other\"}"), /form of a recording of version 1/)
      assert.match(yield* spoilt((text) => text.replace("\"version\": 1", "\"version\": 2")), /version 1/)
      assert.match(yield* spoilt(() => "\u0000\u0001binary"), /not JSON/)
    }))

  it.effect("is one that was renamed to the place of another", () =>
    Effect.gen(function*() {
      yield* Effect.provide(ask({ prompt: "One." }), record([done]))
      const one = only()
      yield* Effect.provide(ask({ prompt: "Two." }), record([done]))
      const two = files().map((file) => join(place.tape, file)).find((file) => file !== one)!
      fs.renameSync(two, one)
      const error = yield* Effect.flip(Effect.provide(ask({ prompt: "One." }), replay()))
      assert.match(error.message, /renamed: it holds another call/)
    }))

  it.effect("is one whose answer the schema's own checks do not take any more", () =>
    Effect.gen(function*() {
      yield* Effect.provide(ask({ write: true }), record([{ text: done, edits: [{ file: "a", content: "x" }] }]))
      const other = join(place.root, "other")
      fs.mkdirSync(other)
      const strict = Summary.check(Schema.makeFilter(({ summary }) => summary.length > 10))
      const error = yield* Effect.flip(
        Effect.provide(ask({ directory: other, write: true, schema: strict }), replay())
      )
      assert.match(error.message, /does not fit the schema any more/)
      assert.deepStrictEqual(fs.readdirSync(other), [])
    }))

  it.effect("is one whose changes would leave the directory", () =>
    Effect.gen(function*() {
      fs.writeFileSync(join(place.tree, "inside"), "old")
      const hands = (turn: Turn) =>
        Effect.sync(() => {
          fs.mkdirSync(join(turn.directory, "sub"), { recursive: true })
          fs.writeFileSync(join(turn.directory, "sub/file"), "new")
          return done
        })
      yield* Effect.provide(ask({ write: true }), record(hands))
      const other = join(place.root, "other")
      const outside = join(place.root, "outside")
      fs.mkdirSync(other)
      fs.mkdirSync(outside)
      fs.symlinkSync(outside, join(other, "sub"))
      const error = yield* Effect.flip(Effect.provide(ask({ directory: other, write: true }), replay()))
      assert.match(error.message, /change of sub\/file cannot be made: .*leads out of the tree/)
      assert.deepStrictEqual(fs.readdirSync(outside), [])
    }))
})

describe("what cannot be recorded", () => {
  it.effect("fails with what the call took, and leaves no file", () =>
    Effect.gen(function*() {
      const attempt = (
        hands: (directory: string) => void,
        options: Partial<Recorded.Options> = {}
      ) =>
        Effect.gen(function*() {
          fs.rmSync(place.tree, { recursive: true })
          fs.mkdirSync(place.tree)
          const error = yield* Effect.flip(Effect.provide(
            ask({ write: true }),
            record((turn) => {
              hands(turn.directory)
              return { text: done, costUsd: 0.5 }
            }, options)
          ))
          assert.instanceOf(error, Recorded.NotRecorded)
          assert.strictEqual(error.costUsd, 0.5)
          assert.deepStrictEqual(files(), [])
          return error.message
        })
      assert.match(
        yield* attempt((directory) => fs.writeFileSync(join(directory, "big"), "x".repeat(101)), { changeBytes: 100 }),
        /changed more than 100 bytes \("big" has 101\)\. Name what does not count in `ignored`/
      )
      assert.match(
        yield* attempt((directory) => fs.symlinkSync("/etc/passwd", join(directory, "link"))),
        /made "link", which is no plain file/
      )
      fs.writeFileSync(join(place.root, "a-file"), "")
      assert.match(
        yield* attempt(() => {}, { directory: join(place.root, "a-file", "tape") }),
        /cannot be written: ENOTDIR/
      )
    }))
})

describe("secrets", () => {
  const secret = "sk-marked-6b1f0c93-do-not-show"
  const secrets = [Redacted.make(secret)]
  const everything = () =>
    fs.readdirSync(place.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.parentPath.startsWith(place.tape))
      .map((entry) => fs.readFileSync(join(entry.parentPath, entry.name), "latin1"))
      .join("\n")

  it.effect("are in no recording, neither of an answer nor of a failure, and a replay finds it", () =>
    Effect.gen(function*() {
      const prompt = `Use the key ${secret} (or ${Buffer.from(secret).toString("base64")}).`
      yield* Effect.provide(
        ask({ prompt }),
        record([`thinking of ${secret}`, `{"summary":"the key is ${secret}"}`], { secrets })
      )
      yield* Effect.exit(Effect.provide(
        ask({ prompt, phase: "planning" }),
        record([{ _tag: "Unavailable", detail: `bad key ${secret}` }], { secrets })
      ))
      yield* Effect.exit(Effect.provide(
        ask({ prompt, phase: "analysis" }),
        record([secret, secret], { secrets, identity: `script with ${secret}` })
      ))
      assert.strictEqual(files().length, 3)
      assert.notInclude(everything(), "6b1f0c93")
      assert.notInclude(everything(), Buffer.from(secret).toString("base64"))
      const { answer } = yield* Effect.provide(ask({ prompt }), replay({ secrets }))
      assert.strictEqual(answer.summary, "the key is <redacted>")
    }))

  it.effect("in a file that the agent wrote keep the call from being recorded", () =>
    Effect.gen(function*() {
      for (const file of [".env", `${secret}.txt`]) {
        const error = yield* Effect.flip(Effect.provide(
          ask({ write: true }),
          record([{ text: done, edits: [{ file, content: file === ".env" ? `KEY=${secret}` : "" }] }], { secrets })
        ))
        assert.match(error.message, /wrote a secret to/)
        assert.notInclude(JSON.stringify(error) + error.message, "6b1f0c93")
        assert.strictEqual(everything(), "")
      }
    }))

  it.effect("of the environment are among them", () =>
    Effect.gen(function*() {
      process.env["ESPALIER_TEST_API_KEY"] = secret
      yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env["ESPALIER_TEST_API_KEY"]))
      yield* Effect.provide(ask(), record([`{"summary":"${secret}"}`]))
      assert.strictEqual(files().length, 1)
      assert.notInclude(everything(), "6b1f0c93")
    }))
})
