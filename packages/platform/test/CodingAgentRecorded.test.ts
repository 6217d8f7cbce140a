import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import * as Recorded from "../src/agent/Recorded.ts"
import * as Scripted from "../src/agent/Scripted.ts"
import { type AgentCall, type AgentRequest, CodingAgent, type Turn } from "../src/CodingAgent.ts"
import { changesBetween, look } from "../src/internal/recordedTree.ts"
import * as CodingAgentSuite from "../src/testing/CodingAgentSuite.ts"
import { passingTime } from "../src/testing/ExecutionSuite.ts"
import { ask, done, files, naive, only, place, record, replay, Summary } from "./support/recordings.ts"
import { scripted } from "./support/scriptedPlay.ts"

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
    directory: place.tape,
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
        directory: place.tape,
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
      assert.isFalse(fs.existsSync(place.tape))
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
      prepare(place.tree)
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

      const other = join(place.root, "other")
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
      const { "node_modules/junk": _, ...expected } = contents(place.tree)
      assert.deepStrictEqual(contents(other), expected)
      assert.deepStrictEqual(expected["binary"], ["\u0000\u00ff\u00fe\n", false])
      assert.deepStrictEqual(expected["run.sh"], ["#!/bin/sh\n", true])
    }))

  it.effect("sees a change that the times of a file do not show", () =>
    Effect.gen(function*() {
      fs.writeFileSync(join(place.tree, "a"), "new")
      const bounds = { ignored: [], changeBytes: 100 }
      const after = yield* look(place.tree, bounds)
      // A clock that stands still for a moment, as those of file systems do: all is as it was, but the content.
      const before = new Map([...after].map(([file, entry]) => [file, { ...entry, content: "of the old" }]))
      const changes = yield* changesBetween(place.tree, before, after, bounds)
      assert.deepStrictEqual(changes.map(({ file }) => file), ["a"])
      assert.deepStrictEqual(yield* changesBetween(place.tree, after, after, bounds), [])
    }))

  it.effect("holds the path of no directory, and answers with the one that it is replayed in", () =>
    Effect.gen(function*() {
      const other = join(place.root, "other")
      const prompt = (directory: string) => `Work in ${directory}. Not in ${directory}house or ${directory}-2.`
      yield* Effect.provide(
        ask({ prompt: prompt(place.tree) }),
        record((turn) => `{"summary":"worked in ${turn.directory}/src"}`)
      )
      const stored = fs.readFileSync(only(), "utf8")
      assert.include(stored, "Work in <<directory>>. Not in ")
      assert.include(stored, "worked in <<directory>>/src")
      const { answer } = yield* Effect.provide(
        ask({ prompt: prompt(place.tree).replace(`${place.tree}.`, `${other}.`), directory: other }),
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
