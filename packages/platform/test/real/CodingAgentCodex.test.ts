// Codex' real program against a double of its provider on this machine: what it does with the flags that the layer gives
// it, and what its own sandbox holds, tried instead of believed.
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import * as CodexCli from "../../src/agent/CodexCli.ts"
import type { AgentRequest } from "../../src/CodingAgent.ts"
import { codexProgram, path } from "./support/agentPrograms.ts"
import { type Double, trap } from "./support/httpDouble.ts"
import { ownTemporary } from "./support/leftovers.ts"
import { fails, says } from "./support/modelDouble.ts"
import { type Move, openAiDouble, patches, runs, toolResults } from "./support/openAiDouble.ts"
import { ask as askOnce, done, granted, programCases, treeName, treeWith } from "./support/programCases.ts"

const { homes, remove } = ownTemporary()
afterAll(remove)

const program = codexProgram()
const key = "sk-double-0123456789"
const price = { inputUsd: 3, outputUsd: 15 }

const layerOf = (double: Double, options: CodexCli.Options = {}) =>
  CodexCli.layer({
    program,
    model: "gpt-5-codex",
    apiKey: Redacted.make(key),
    baseUrl: `${double.url}/v1`,
    retries: 1,
    price,
    ...options,
    environment: { ...trap(double.url), PATH: path, ...options.environment }
  })

programCases({
  name: "Codex' program",
  layer: layerOf,
  double: openAiDouble,
  fails: (play) => {
    switch (play._tag) {
      case "RateLimited":
        return fails(429, "rate_limit_exceeded")
      case "Overloaded":
        return fails(503, "overloaded")
      case "Unauthorized":
        return fails(401, "invalid_api_key")
      case "Unavailable":
        return fails(500, "server_error")
    }
  },
  // It does not pass on how long to wait; and its time grows with the square of an answer: 12 s for 20 MB.
  suite: { knowsWait: false, hugeAnswer: 4_000_000 },
  folders: [".git"],
  homes,
  endless: {
    time: "4 seconds",
    double: () => openAiDouble([runs("(setsid sleep 4321 &); exec sleep 4321"), done]),
    layer: (double) => layerOf(double, { grace: "1 second" })
  }
})

const tree = treeWith([".git"])

const ask = (
  double: Double,
  directory: string,
  options: CodexCli.Options = {},
  extra: Partial<AgentRequest<unknown>> = {}
) => askOnce(layerOf(double, options), directory, extra)

describe("Codex' program", () => {
  it.live("changes files of the tree where the call may write, and talks to nobody but its provider", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const double = yield* openAiDouble([
        patches("*** Update File: main.ts", "@@", "-slow()", "+fast()"),
        runs("echo 'new()' > new.ts"),
        done
      ])
      const { answer, costUsd, usage } = yield* ask(double, directory, {}, granted)
      assert.deepStrictEqual(answer, { done: true })
      assert.strictEqual(fs.readFileSync(Path.join(directory, "main.ts"), "utf8"), "fast()\n")
      assert.strictEqual(fs.readFileSync(Path.join(directory, "new.ts"), "utf8"), "new()\n")
      assert.deepStrictEqual([usage.inputTokens, usage.outputTokens, usage.turns], [300, 30, 1])
      assert.closeTo(costUsd, 3 * 0.00045, 1e-9)
      const [first] = double.asked
      assert.strictEqual(first?.headers.authorization, `Bearer ${key}`)
      assert.strictEqual(first?.body.model, "gpt-5-codex")
      assert.include(JSON.stringify(first?.body.input), "Make it faster.")
      assert.deepStrictEqual(double.strays, [])
      assert.deepStrictEqual(homes(), [])
      assert.sameMembers(fs.readdirSync(directory), [".git", "link", "main.ts", "new.ts"])
    }).pipe(Effect.scoped))

  it.live("cannot write in a call that does not grant it, nor in a repair", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const moves = [
        runs("touch new.ts"),
        patches("*** Update File: main.ts", "@@", "-slow()", "+fast()"),
        runs("cat main.ts"),
        done
      ]
      const reading = yield* openAiDouble(moves)
      yield* ask(reading, directory)
      const repaired = yield* openAiDouble([says("I am done."), ...moves])
      const { usage } = yield* ask(repaired, directory, {}, granted)
      assert.strictEqual(usage.turns, 2)
      for (const { asked } of [reading, repaired]) {
        const [touched, patched, read] = toolResults(asked)
        assert.match(touched!, /Read-only file system/)
        assert.match(patched!, /rejected|denied|read-only/i)
        assert.match(read!, /slow\(\)/)
      }
      assert.sameMembers(fs.readdirSync(directory), [".git", "link", "main.ts"])
    }).pipe(Effect.scoped))

  it.live("is held inside the tree by its own sandbox, shell and patches alike, and reaches no network", () =>
    Effect.gen(function*() {
      const { directory, home } = yield* tree
      const double = yield* openAiDouble([
        runs(`echo escaped > '${home}/outside.txt'`),
        runs("echo escaped > link/linked.txt"),
        patches("*** Add File: ../above.txt", "+escaped"),
        runs("echo escaped > .git/config"),
        runs("echo escaped > /tmp/espalier-escaped"),
        runs(
          "node -e \"fetch(process.env.HTTP_PROXY).catch((error) => console.log('no network:', error.cause?.code))\""
        ),
        done
      ])
      yield* ask(double, directory, {}, granted)
      const results = toolResults(double.asked)
      assert.strictEqual(results.length, 6)
      assert.deepStrictEqual(
        results.map((result) => /Read-only file system|rejected|denied|no network/.test(result)),
        [true, true, true, true, true, true],
        results.join("\n")
      )
      assert.sameMembers(fs.readdirSync(home), [treeName])
      assert.deepStrictEqual(fs.readdirSync(Path.join(directory, ".git")), [])
      assert.isFalse(fs.existsSync("/tmp/espalier-escaped"))
    }).pipe(Effect.scoped))

  // Not what one wishes for, but what is so; docs/coding-agent.md says it.
  it.live("may read whatever its user may read", () =>
    Effect.gen(function*() {
      const { directory, home } = yield* tree
      fs.writeFileSync(Path.join(home, "outside.txt"), "not of the tree")
      const double = yield* openAiDouble([runs("cat ../outside.txt"), done])
      yield* ask(double, directory)
      assert.match(toolResults(double.asked)[0]!, /not of the tree/)
    }).pipe(Effect.scoped))

  it.live("hides secrets from its shells, and no answer tells one", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const token = Redacted.make("token-of-something-else")
      const double = yield* openAiDouble([
        runs("env; cat /proc/*/environ | tr '\\0' '\\n'; echo seen"),
        says(`{"done": true} ${key} token-of-something-else`)
      ])
      const { text } = yield* ask(double, directory, { environment: { OTHER: token, SHOWN: "shown" } }, granted)
      const [result] = toolResults(double.asked)
      assert.match(result!, /SHOWN=shown/)
      assert.notInclude(result!, key)
      assert.notInclude(result!, "token-of-something-else")
      assert.strictEqual(text, "{\"done\": true} <redacted> <redacted>")
    }).pipe(Effect.scoped))

  it.live("takes no settings and no instructions from the tree", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      fs.mkdirSync(Path.join(directory, ".codex"))
      fs.writeFileSync(Path.join(directory, "AGENTS.md"), "INSTRUCTIONS OF THE TREE")
      for (const place of [".codex", ".agents"]) {
        const skill = Path.join(directory, place, "skills", "skill")
        fs.mkdirSync(skill, { recursive: true })
        fs.writeFileSync(
          Path.join(skill, "SKILL.md"),
          "---\nname: skill\ndescription: SKILL OF THE TREE\n---\nSKILL OF THE TREE"
        )
      }
      fs.writeFileSync(
        Path.join(directory, ".codex", "config.toml"),
        "model = \"another\"\nsandbox_mode = \"danger-full-access\"\ndeveloper_instructions = \"SETTINGS OF THE TREE\"\n"
      )
      const double = yield* openAiDouble([runs("touch new.ts"), done])
      yield* ask(double, directory)
      const asked = JSON.stringify(double.asked)
      assert.notInclude(asked, "OF THE TREE")
      assert.strictEqual(double.asked[0]?.body.model, "gpt-5-codex")
      assert.isFalse(fs.existsSync(Path.join(directory, "new.ts")))
    }).pipe(Effect.scoped))

  it.live("is ended by limits of rounds and of cost, which it does not know itself, and what it used counts", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const rounds = yield* openAiDouble([runs("sleep 1")])
      const first = yield* Effect.flip(ask(rounds, directory, { limits: { rounds: 3 } }))
      assert.strictEqual(first._tag === "AgentLimitReached" && first.limit, "rounds", first.message)
      assert.isAtMost(rounds.asked.length, 4)
      assert.isAtLeast(first.usage.inputTokens, 300)
      const cost = yield* openAiDouble([runs("sleep 1")])
      const second = yield* Effect.flip(ask(cost, directory, {}, { limits: { costUsd: 0.001 } }))
      assert.strictEqual(second._tag === "AgentLimitReached" && second.limit, "cost", second.message)
      assert.isAtMost(cost.asked.length, 4)
      assert.isAtLeast(second.costUsd, 0.001)
    }).pipe(Effect.scoped))

  it.live("answers in its last round", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const double = yield* openAiDouble([runs("cat main.ts"), done])
      const { answer } = yield* ask(double, directory, { limits: { rounds: 2, costUsd: 0.0009 } })
      assert.deepStrictEqual(answer, { done: true })
    }).pipe(Effect.scoped))

  it.live("uses a login that is there, with none of its settings, and leaves no session in it", () =>
    Effect.gen(function*() {
      const { directory, home } = yield* tree
      const login = Path.join(home, "login")
      fs.mkdirSync(login)
      fs.writeFileSync(
        Path.join(login, "auth.json"),
        JSON.stringify({ auth_mode: "apikey", OPENAI_API_KEY: "sk-login" })
      )
      fs.writeFileSync(Path.join(login, "config.toml"), "model = \"another\"\n")
      const double = yield* openAiDouble([done])
      const extra = [`--config=openai_base_url=${JSON.stringify(`${double.url}/v1`)}`]
      yield* ask(double, directory, { apiKey: undefined, login, arguments: extra })
      assert.strictEqual(double.asked[0]?.headers.authorization, "Bearer sk-login")
      assert.strictEqual(double.asked[0]?.body.model, "gpt-5-codex")
      assert.notInclude(fs.readdirSync(login), "sessions")
      assert.deepStrictEqual(double.strays.filter((stray) => stray !== "GET /v1/responses"), [])
    }).pipe(Effect.scoped))

  it.live("asks its provider again as often as it may", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const broken = yield* openAiDouble([fails(500, "server_error")])
      const error = yield* Effect.flip(ask(broken, directory, { retries: 0 }))
      assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "unreachable")
      assert.strictEqual(broken.asked.length, 1)
      const recovering = yield* openAiDouble([fails(500, "server_error"), fails(503, "overloaded"), done])
      assert.deepStrictEqual((yield* ask(recovering, directory, { retries: 2 })).answer, { done: true })
    }).pipe(Effect.scoped))

  it.live("that is told of no money, of a request that is wrong, and of no network, says which", () =>
    Effect.gen(function*() {
      const { directory } = yield* tree
      const reasonOf = (move: Move) =>
        Effect.gen(function*() {
          const double = yield* openAiDouble([move])
          const error = yield* Effect.flip(ask(double, directory))
          return error._tag === "AgentUnavailable" ? error.reason : error._tag
        })
      assert.strictEqual(yield* reasonOf(fails(429, "insufficient_quota")), "out-of-credit")
      assert.strictEqual(yield* reasonOf(fails(400, "invalid_request_error", { message: "no such model" })), "refused")
      const closed = { url: "http://127.0.0.1:1", asked: [], strays: [], next: Effect.never }
      const error = yield* Effect.flip(ask(closed, directory))
      assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "unreachable", error.message)
    }).pipe(Effect.scoped))
})
