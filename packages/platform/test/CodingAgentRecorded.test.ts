import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import * as Recorded from "../src/agent/Recorded.ts"
import * as Scripted from "../src/agent/Scripted.ts"
import { type AgentCall, type AgentRequest, CodingAgent, type Turn, type Write } from "../src/CodingAgent.ts"
import { changesBetween, look } from "../src/internal/recordedTree.ts"
import * as CodingAgentSuite from "../src/testing/CodingAgentSuite.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"

let root: string
let tape: string
let tree: string
beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "espalier-recorded-"))
  tape = join(root, "tape")
  tree = join(root, "tree")
  fs.mkdirSync(tree)
})
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

const scripted = (play: CodingAgentSuite.Play): Scripted.Answer | Effect.Effect<Scripted.Answer> => {
  switch (play._tag) {
    case "Text":
      return { text: play.text, usage: play, costUsd: play.costUsd }
    case "RateLimited":
      return { _tag: "RateLimited", retryAfterMillis: play.retryAfterMillis, detail: "429" }
    case "Overloaded":
      return { _tag: "RateLimited", retryAfterMillis: null, overloaded: true, detail: "529" }
    case "Unauthorized":
      return { _tag: "Unavailable", reason: "unauthorized", detail: "401" }
    case "Unavailable":
      return { _tag: "Unavailable", detail: "it is down" }
    case "Hang":
      return Effect.never
  }
}

type SuiteOptions = CodingAgentSuite.LayerOptions

const recorder = (
  mode: "record" | "replay-or-record",
  plays: ReadonlyArray<CodingAgentSuite.Play>,
  { record, ...options }: SuiteOptions
) => {
  // A second call of the same prompt is meant to be another one in these cases, and not a replay.
  let state = 0
  return Recorded.layer({
    mode,
    secrets: options.secrets,
    ...(mode === "record" ? {} : { state: () => Effect.sync(() => String(state++)) }),
    directory: tape,
    identity: "script",
    record,
    agent: (hooks) => Scripted.layer((_, index) => scripted(plays[index]!), { ...options, ...hooks })
  })
}

describe("an agent that is being recorded keeps what every coding agent promises", () => {
  for (const mode of ["record", "replay-or-record"] as const) {
    const subject: CodingAgentSuite.Subject = {
      directory: "/tree",
      layer: (plays, options) => recorder(mode, plays, options)
    }
    for (const { effect, name } of CodingAgentSuite.cases(subject)) {
      it.effect(`${name} (${mode})`, () => passingTime(effect))
    }
  }
})

describe("an agent that is replayed keeps what every coding agent promises", () => {
  /** Every call is recorded first, unseen; what the case sees is its replay. */
  const subject: CodingAgentSuite.Subject = {
    directory: "/tree",
    layer: (plays, options) => {
      const unseen: Array<AgentCall> = []
      const recording = recorder("record", plays, {
        ...options,
        record: (call) => Effect.sync(() => void unseen.push(call))
      })
      const replay = Recorded.layer({
        mode: "replay",
        directory: tape,
        identity: "script",
        secrets: options.secrets,
        record: options.record
      })
      return Layer.effect(
        CodingAgent,
        Effect.gen(function*() {
          const first = yield* Layer.build(recording)
          const second = yield* Layer.build(replay)
          return CodingAgent.of({
            run: <A>(request: AgentRequest<A>) =>
              Effect.flatMap(CodingAgent, (agent) => agent.run(request)).pipe(
                Effect.provide(first),
                // What is given up is not recorded, so what is seen of it is the call itself.
                Effect.onInterrupt(() => Effect.forEach(unseen, (call) => options.record?.(call) ?? Effect.void)),
                Effect.exit,
                Effect.andThen(Effect.flatMap(CodingAgent, (agent) => agent.run(request))),
                Effect.provide(second)
              )
          })
        })
      )
    }
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.effect(name, () => passingTime(effect))
})

const Summary = Schema.Struct({ summary: Schema.String })
const done = "{\"summary\":\"done\"}"

const naive = (directory: string): Write => (file, content) =>
  Effect.sync(() => {
    fs.mkdirSync(join(directory, file, ".."), { recursive: true })
    fs.writeFileSync(join(directory, file), content)
  })

interface Ask {
  readonly prompt?: string
  readonly phase?: string
  readonly directory?: string
  readonly write?: boolean
  readonly schema?: Schema.Decoder<{ readonly summary: string }>
}

const ask = (
  { directory = tree, phase = "code_change", prompt = "Make it faster.", schema = Summary, write }: Ask = {}
) =>
  Effect.flatMap(CodingAgent, (agent) =>
    agent.run({
      prompt,
      schema,
      directory,
      phase,
      ...(write === true ? { write: naive(directory) } : {})
    }))

const base = () => ({ directory: tape, identity: "a script" })

const record = (
  script: Scripted.Script,
  options: Partial<Recorded.Options> & { readonly mode?: "record" | "replay-or-record" } = {}
) => Recorded.layer({ ...base(), mode: "record", agent: (hooks) => Scripted.layer(script, hooks), ...options })

const replay = (options: Partial<Recorded.Options> = {}) => Recorded.layer({ ...base(), ...options, mode: "replay" })

const files = () => fs.existsSync(tape) ? fs.readdirSync(tape) : []
const only = () => {
  assert.strictEqual(files().length, 1, files().join(", "))
  return join(tape, files()[0]!)
}

/** All below a directory, with contents and whether they can be run. */
const contents = (directory: string) =>
  Object.fromEntries(
    fs.readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [
        file.slice(directory.length + 1),
        [fs.readFileSync(file).toString("latin1"), (fs.statSync(file).mode & 0o100) !== 0]
      ])
  )

describe("a recording", () => {
  it.effect("is one file, named for its phase, and holds what was asked and answered", () =>
    Effect.gen(function*() {
      yield* Effect.provide(ask(), record([{ text: done, costUsd: 0.25, usage: { inputTokens: 7 } }]))
      assert.match(only(), /\/code-change-[0-9a-f]{24}\.json$/)
      const stored = JSON.parse(fs.readFileSync(only(), "utf8"))
      assert.deepInclude(stored.asked, {
        phase: "code_change",
        prompt: "Make it faster.",
        write: false,
        identity: "a script",
        state: null
      })
      assert.deepInclude(stored.answered, { text: done, costUsd: 0.25, error: null, changes: [] })
    }))

  it.effect("is replayed with the same answer, usage, cost and record, by any number of processes", () =>
    Effect.gen(function*() {
      const calls: Array<AgentCall> = []
      const keep = { record: (call: AgentCall) => Effect.sync(() => void calls.push(call)) }
      const script = ["no", { text: done, costUsd: 0.25, usage: { inputTokens: 7, cachedInputTokens: 3 } }]
      const first = yield* Effect.provide(ask(), record(script, keep))
      const others = yield* Effect.provide(Effect.all([ask(), ask()], { concurrency: "unbounded" }), replay(keep))
      assert.deepStrictEqual(others, [first, first])
      assert.strictEqual(calls.length, 3)
      assert.deepStrictEqual(calls[1], calls[0])
      assert.strictEqual(calls[1]?.turns.length, 2)
    }))

  it.effect("is not made of a call that dies, which is told with what it used", () =>
    Effect.gen(function*() {
      const calls: Array<AgentCall> = []
      const dies = (turn: Turn) => {
        turn.report({ usage: { inputTokens: 7, cachedInputTokens: 0, outputTokens: 1 }, costUsd: 0.25 })
        return Effect.die(new Error("broken"))
      }
      const keep = { record: (call: AgentCall) => Effect.sync(() => void calls.push(call)) }
      yield* Effect.exit(Effect.provide(ask(), record(dies, keep)))
      assert.deepStrictEqual(
        calls.map((
          { costUsd, defect, error, interrupted, usage }
        ) => [costUsd, usage.turns, defect, error, interrupted]),
        [[0.25, 1, "Error: broken", null, false]]
      )
      assert.isFalse(fs.existsSync(tape))
    }))

  it.effect("makes the changes again, those by `write` and those by the agent's own hands", () =>
    Effect.gen(function*() {
      const prepare = (directory: string) => {
        fs.mkdirSync(join(directory, "src"), { recursive: true })
        fs.mkdirSync(join(directory, "node_modules"))
        fs.writeFileSync(join(directory, "src/a.ts"), "old\n")
        fs.writeFileSync(join(directory, "src/same.ts"), "same\n")
        fs.writeFileSync(join(directory, "gone.txt"), "gone\n")
        fs.writeFileSync(join(directory, "run.sh"), "#!/bin/sh\n")
      }
      prepare(tree)
      const hands = (turn: Turn) =>
        Effect.gen(function*() {
          yield* Effect.orDie(turn.write!("src/a.ts", "first\n"))
          yield* Effect.orDie(turn.write!("./src//b.ts", "granted\n"))
          yield* Effect.orDie(turn.write!("src/a.ts", "new\n"))
          fs.writeFileSync(join(turn.directory, "binary"), Buffer.from([0, 255, 254, 10]))
          // Same size, same moment: its times need not show it.
          fs.writeFileSync(join(turn.directory, "src/same.ts"), "emas\n")
          fs.rmSync(join(turn.directory, "gone.txt"))
          fs.chmodSync(join(turn.directory, "run.sh"), 0o755)
          fs.mkdirSync(join(turn.directory, "deep/er"), { recursive: true })
          fs.writeFileSync(join(turn.directory, "deep/er/x"), "")
          fs.writeFileSync(join(turn.directory, "node_modules/junk"), "junk")
          return done
        })
      yield* Effect.provide(ask({ write: true }), record(hands))

      const other = join(root, "other")
      prepare(other)
      const written: Array<string> = []
      yield* Effect.flatMap(CodingAgent, (agent) =>
        agent.run({
          prompt: "Make it faster.",
          schema: Summary,
          directory: other,
          phase: "code_change",
          write: (file, content) => Effect.andThen(naive(other)(file, content), Effect.sync(() => written.push(file)))
        })).pipe(Effect.provide(replay()))
      assert.deepStrictEqual(written, ["src/b.ts", "src/a.ts"])
      const { "node_modules/junk": _, ...expected } = contents(tree)
      assert.deepStrictEqual(contents(other), expected)
      assert.deepStrictEqual(expected["binary"], ["\u0000\u00ff\u00fe\n", false])
      assert.deepStrictEqual(expected["run.sh"], ["#!/bin/sh\n", true])
    }))

  it.effect("sees a change that the times of a file do not show", () =>
    Effect.gen(function*() {
      fs.writeFileSync(join(tree, "a"), "new")
      const bounds = { ignored: [], changeBytes: 100 }
      const after = yield* look(tree, bounds)
      // A clock that stands still for a moment, as those of file systems do: all is as it was, but the content.
      const before = new Map([...after].map(([file, entry]) => [file, { ...entry, content: "of the old" }]))
      const changes = yield* changesBetween(tree, before, after, bounds)
      assert.deepStrictEqual(changes.map(({ file }) => file), ["a"])
      assert.deepStrictEqual(yield* changesBetween(tree, after, after, bounds), [])
    }))

  it.effect("holds the path of no directory, and answers with the one that it is replayed in", () =>
    Effect.gen(function*() {
      const other = join(root, "other")
      const prompt = (directory: string) => `Work in ${directory}. Not in ${directory}house or ${directory}-2.`
      yield* Effect.provide(
        ask({ prompt: prompt(tree) }),
        record((turn) => `{"summary":"worked in ${turn.directory}/src"}`)
      )
      const stored = fs.readFileSync(only(), "utf8")
      assert.include(stored, "Work in <<directory>>. Not in ")
      assert.include(stored, "worked in <<directory>>/src")
      const { answer } = yield* Effect.provide(
        ask({ prompt: prompt(tree).replace(`${tree}.`, `${other}.`), directory: other }),
        replay()
      )
      assert.strictEqual(answer.summary, `worked in ${other}/src`)
    }))

  it.effect("of a failure is replayed, and asked again by replay-or-record where it need not happen again", () =>
    Effect.gen(function*() {
      const limited = { _tag: "RateLimited", retryAfterMillis: 5000, detail: "429" } as const
      yield* Effect.exit(Effect.provide(ask(), record([limited])))
      const error = yield* Effect.flip(Effect.provide(ask(), replay()))
      assert.ok(error._tag === "AgentRateLimited")
      assert.strictEqual(error.retryAfterMillis, 5000)

      const again = record([done], { mode: "replay-or-record" })
      assert.strictEqual((yield* Effect.provide(ask(), again)).answer.summary, "done")
      assert.strictEqual((yield* Effect.provide(ask(), replay())).answer.summary, "done")
      // A later failure of that sort does not take its place.
      yield* Effect.exit(Effect.provide(ask(), record([limited])))
      assert.strictEqual((yield* Effect.provide(ask(), replay())).answer.summary, "done")
      // A later answer does.
      yield* Effect.provide(ask(), record(["{\"summary\":\"newer\"}"]))
      assert.strictEqual((yield* Effect.provide(ask(), replay())).answer.summary, "newer")
      assert.strictEqual(files().length, 1)
    }))

  it.effect("is asked for once by replay-or-record", () =>
    Effect.gen(function*() {
      const layer = record([done, "{\"summary\":\"other\"}"], { mode: "replay-or-record" })
      const answers = yield* Effect.provide(
        Effect.all([ask(), ask(), ask({ prompt: "Other." }), ask()]),
        layer
      )
      assert.deepStrictEqual(answers.map(({ answer }) => answer.summary), ["done", "done", "other", "done"])
    }))
})

describe("two equal calls at once", () => {
  it.effect("are asked once by replay-or-record, also where the first of them is given up", () =>
    Effect.gen(function*() {
      let asked = 0
      const begun = yield* Deferred.make<void>()
      const layer = record(
        () => {
          const turn = asked++
          return turn === 0
            ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
            : Effect.as(Effect.sleep("1 second"), `{"summary":"turn ${turn}"}`)
        },
        { mode: "replay-or-record" }
      )
      const answers = yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(ask())
        const others = yield* Effect.forkChild(Effect.all([ask(), ask()], { concurrency: "unbounded" }))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(first)
        return yield* passingTime(Fiber.join(others))
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(answers.map(({ answer }) => answer.summary), ["turn 1", "turn 1"])
      assert.strictEqual(asked, 2)
    }))
})

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
      assert.isFalse(fs.existsSync(tape))
    }))

  it.effect("names the closest, and each thing that differs", () =>
    Effect.gen(function*() {
      const prompt = (last: string) => `Line one.\nLine two.\n${"x".repeat(100)} and ${last}.`
      yield* Effect.provide(ask({ prompt: "Something else altogether." }), record([done]))
      yield* Effect.provide(ask({ prompt: prompt("four") }), record([done]))
      const near = files().map((file) => join(tape, file)).find((file) =>
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
      fs.writeFileSync(join(tree, "a"), "1")
      fs.symlinkSync("a", join(tree, "link"))
      fs.writeFileSync(join(tree, "large"), Buffer.alloc(3 * 1024 * 1024))
      yield* Effect.provide(ask(), record([done], { state }))
      yield* Effect.provide(ask(), replay({ state }))
      fs.writeFileSync(join(tree, "a"), "2")
      yield* miss({}, { state })
      fs.writeFileSync(join(tree, "a"), "1")
      yield* Effect.provide(ask(), replay({ state }))
      const other = join(root, "other")
      fs.cpSync(tree, other, { recursive: true, verbatimSymlinks: true })
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
      fs.rmSync(tape, { recursive: true, force: true })
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
      const two = files().map((file) => join(tape, file)).find((file) => file !== one)!
      fs.renameSync(two, one)
      const error = yield* Effect.flip(Effect.provide(ask({ prompt: "One." }), replay()))
      assert.match(error.message, /renamed: it holds another call/)
    }))

  it.effect("is one whose answer the schema's own checks do not take any more", () =>
    Effect.gen(function*() {
      yield* Effect.provide(ask({ write: true }), record([{ text: done, edits: [{ file: "a", content: "x" }] }]))
      const other = join(root, "other")
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
      fs.writeFileSync(join(tree, "inside"), "old")
      const hands = (turn: Turn) =>
        Effect.sync(() => {
          fs.mkdirSync(join(turn.directory, "sub"), { recursive: true })
          fs.writeFileSync(join(turn.directory, "sub/file"), "new")
          return done
        })
      yield* Effect.provide(ask({ write: true }), record(hands))
      const other = join(root, "other")
      const outside = join(root, "outside")
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
          fs.rmSync(tree, { recursive: true })
          fs.mkdirSync(tree)
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
      fs.writeFileSync(join(root, "a-file"), "")
      assert.match(
        yield* attempt(() => {}, { directory: join(root, "a-file", "tape") }),
        /cannot be written: ENOTDIR/
      )
    }))
})

describe("secrets", () => {
  const secret = "sk-marked-6b1f0c93-do-not-show"
  const secrets = [Redacted.make(secret)]
  const everything = () =>
    fs.readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.parentPath.startsWith(tape))
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
