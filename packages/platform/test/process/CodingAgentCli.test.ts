// The layers of agents that are programs, with programs that do what the real ones cannot be made to do.
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { inspect } from "node:util"
import * as ClaudeCli from "../../src/agent/ClaudeCli.ts"
import * as CodexCli from "../../src/agent/CodexCli.ts"
import { type AgentCall, CodingAgent } from "../../src/CodingAgent.ts"
import * as CodingAgentSuite from "../../src/testing/CodingAgentSuite.ts"
import { ownTemporary } from "../real/support/leftovers.ts"
import { fakeClaude, fakeCodex, programOf } from "./support/fakeAgents.ts"
import { muteSupervisors } from "./support/muteSupervisor.ts"

const { homes, remove } = ownTemporary()
afterAll(remove)

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier agent's ")))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

const prices = { inputUsd: 30, outputUsd: 700 }

describe("an agent that speaks like Claude's program keeps what every coding agent promises", () => {
  const subject: CodingAgentSuite.Subject = {
    directory: process.cwd(),
    layer: (plays, options) =>
      Layer.unwrap(Effect.map(temporary, (home) => ClaudeCli.layer({ ...options, program: fakeClaude(home, plays) })))
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.live(name, () => effect)
})

describe("an agent that speaks like Codex' program keeps what every coding agent promises", () => {
  const subject: CodingAgentSuite.Subject = {
    directory: process.cwd(),
    costOf: (play) => (play.inputTokens * 30 + play.outputTokens * 700) / 1e6,
    knowsWait: false,
    layer: (plays, options) =>
      Layer.unwrap(Effect.map(
        temporary,
        (home) => CodexCli.layer({ ...options, program: fakeCodex(home, plays), price: prices })
      ))
  }
  for (const { effect, name } of CodingAgentSuite.cases(subject)) it.live(name, () => effect)
})

const secret = "sk-fake 0123\"456789"

const ask = (layer: Layer.Layer<CodingAgent>, directory: string, prompt = "Answer.") =>
  Effect.flatMap(CodingAgent, (agent) => agent.run({ prompt, schema: Schema.Unknown, directory, phase: "planning" }))
    .pipe(Effect.provide(layer))

/** Both layers, with one program for both: what is done to a process is the same for them. */
const both = (directory: string, script: string, options: ClaudeCli.Options & CodexCli.Options = {}) => {
  const program = programOf(Path.join(directory, "bin"), script)
  const all = { grace: "200 millis", apiKey: Redacted.make(secret), ...options, program } as const
  return [["claude", ClaudeCli.layer(all)], ["codex", CodexCli.layer(all)]] as const
}

/** Prints an answer as each of the programs does. Expects `answer`. */
const answering = `
const { writeFileSync } = require("node:fs")
const answer = (text) => process.argv.includes("exec")
  ? console.log(JSON.stringify({ type: "item.completed", item: { type: "agent_message", text } }) + "\\n" +
      JSON.stringify({ type: "turn.completed", usage: { input_tokens: 1, output_tokens: 1 } }))
  : console.log(JSON.stringify({ type: "result", subtype: "success", is_error: false, result: text }))
`

/** Waits, by file system events, until a file holds whole lines, and returns them. */
const linesOf = (file: string, count: number) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const look = () => {
      const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : []
      if (lines.length >= count) resume(Effect.succeed(lines))
    }
    const watcher = fs.watch(Path.dirname(file), look)
    look()
    return Effect.sync(() => watcher.close())
  }).pipe(Effect.timeout("60 seconds"))

const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** Ignores every request to end, starts one that does so too in a session of its own, writes both ids to `pids`, hangs. */
const stubborn = `
  const { spawn } = require("node:child_process")
  const ignore = "for (const s of ['SIGTERM','SIGINT','SIGHUP']) process.on(s, () => {});"
  const child = spawn(process.execPath, ["-e", ignore + "console.log('up'); setInterval(() => {}, 1000)"], {
    stdio: ["ignore", "pipe", "inherit"], detached: true, env: {}
  })
  eval(ignore)
  child.stdout.once("data", () => require("node:fs").writeFileSync("pids", process.pid + "\\n" + child.pid + "\\n"))
  setInterval(() => {}, 1000)
`

describe("an agent that is a program", () => {
  it.live("gets its arguments as they are, its prompt on standard input, and of the environment only what is on the list", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const strange = "-c $(touch x) `id`; 'a' \"b\" *\nüml\u{1f333}"
      const script = `${answering}
        const { readFileSync } = require("node:fs")
        answer(JSON.stringify({ argv: process.argv.slice(2), prompt: readFileSync(0, "utf8"), env: process.env }))`
      const options = { model: strange, environment: { COLOUR: "green" }, arguments: [strange] }
      process.env["ESPALIER_LEAK"] = "leaked"
      yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env["ESPALIER_LEAK"]))
      for (const [name, layer] of both(home, script, options)) {
        const prompt = `--help\n${strange}\n${"long ".repeat(150_000)}`
        const { answer } = yield* ask(layer, home, prompt)
        const got = answer as { argv: Array<string>; prompt: string; env: Record<string, string> }
        assert.strictEqual(got.prompt, prompt)
        assert.include(got.argv, `--model=${strange}`)
        assert.include(got.argv, strange)
        assert.strictEqual(got.env["COLOUR"], "green")
        assert.strictEqual(got.env[name === "claude" ? "ANTHROPIC_API_KEY" : "CODEX_API_KEY"], "<redacted>")
        assert.notProperty(got.env, "ESPALIER_LEAK")
        assert.notStrictEqual(got.env["HOME"], os.homedir())
        const known =
          /^(?:PATH|LANG|LC_\w+|TZ|USER|LOGNAME|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|HOME|TMPDIR|COLOUR|ESPALIER_COMMAND|ANTHROPIC_\w+|CLAUDE_\w+|CODEX_\w+|DISABLE_\w+|PWD|OLDPWD|SHLVL|_|IFS|PS[124]|PPID|OPTIND)$/
        assert.deepStrictEqual(Object.keys(got.env).filter((variable) => !known.test(variable)), [])
      }
    }).pipe(Effect.scoped))

  it.live("may end without reading its prompt", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const [, layer] of both(home, `${answering} answer("[1]"); process.stdin.destroy()`)) {
        assert.deepStrictEqual((yield* ask(layer, home, "long ".repeat(1_000_000))).answer, [1])
      }
    }).pipe(Effect.scoped))

  it.live("that prints nothing, or nothing that can be read, has failed, and the error says how it ended", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const scripts: ReadonlyArray<readonly [string, RegExp]> = [
        ["", /ended with exit code 0 and no result/],
        [
          "process.stdout.write(Buffer.from([0xff, 0xfe, 0, 10, 123, 10])); console.log('{\"type\":\"result\"}\\n[]\\nnull\\n7')",
          /ended with exit code 0 and no result/
        ],
        [
          "console.error('bad flag\\nuse another'); process.exit(3)",
          /exit code 3 and no result, and said: bad flag \| use another/
        ],
        ["process.kill(process.pid, 'SIGKILL')", /ended by SIGKILL and no result/]
      ]
      for (const [script, expected] of scripts) {
        for (const [, layer] of both(home, script)) {
          const error = yield* Effect.flip(ask(layer, home))
          assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "failed")
          assert.match(error.message, expected)
        }
      }
    }).pipe(Effect.scoped))

  it.live("that tells its key where it fails does not bring it into an error or a record", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `console.error("no access with " + (process.env.ANTHROPIC_API_KEY ?? process.env.CODEX_API_KEY) +
        " or " + process.env.TOKEN); process.exit(1)`
      const calls: Array<AgentCall> = []
      const options = {
        environment: { TOKEN: Redacted.make("another-secret") },
        record: (call: AgentCall) => Effect.sync(() => void calls.push(call))
      }
      for (const [, layer] of both(home, script, options)) {
        const error = yield* Effect.flip(ask(layer, home, `My key is ${secret}`))
        assert.match(error.message, /no access with <redacted> or <redacted>/)
        const all = JSON.stringify([error, calls])
        assert.notInclude(all, "0123")
        assert.notInclude(all, "another-secret")
      }
      assert.deepStrictEqual(calls.map(({ turns }) => turns[0]?.prompt), [
        "My key is <redacted>",
        "My key is <redacted>"
      ])
    }).pipe(Effect.scoped))

  it.live("that is not there, or cannot run, is told with what to do", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const plain = Path.join(home, "plain")
      fs.writeFileSync(plain, "")
      for (const program of ["no-such-agent", Path.join(home, "gone"), plain, "nul\0"]) {
        for (const layer of [ClaudeCli.layer({ program }), CodexCli.layer({ program })]) {
          const error = yield* Effect.flip(ask(layer, home))
          assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "not-installed", error.message)
          assert.match(error.message, /Install it/)
        }
      }
      const error = yield* Effect.flip(ask(ClaudeCli.layer({ program: process.execPath }), Path.join(home, "no tree")))
      assert.match(error.message, /the directory .*no tree does not exist/)
    }).pipe(Effect.scoped))

  it.live("refuses what it cannot hand on, by name, before anything starts, and never shows it", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const program = programOf(home, `require("node:fs").writeFileSync(__dirname + "/started", "")`)
      const secret = "sk-ant-abcdefghijklmnop"
      const key = (end: string) => Redacted.make(secret + end)
      const password = "https://user:pa55word99@host/v1"
      const refused: ReadonlyArray<
        readonly [Layer.Layer<CodingAgent>, "unauthorized" | "refused", RegExp]
      > = [
        [ClaudeCli.layer({ program, apiKey: key("\0") }), "unauthorized", /ANTHROPIC_API_KEY ends with a zero byte/],
        [ClaudeCli.layer({ program, oauthToken: key("\n") }), "unauthorized", /OAUTH_TOKEN ends with a line break/],
        [CodexCli.layer({ program, apiKey: key("\0\n") }), "unauthorized", /CODEX_API_KEY ends with a zero byte/],
        [ClaudeCli.layer({ program, environment: { T: key("\0x") } }), "unauthorized", /variable T contains a zero/],
        [CodexCli.layer({ program, environment: { T: `${secret}\0` } }), "refused", /variable T ends with a zero byte/],
        [CodexCli.layer({ program, environment: { "A=B": "" } }), "refused", /"A=B" in `environment` cannot be/],
        [ClaudeCli.layer({ program, baseUrl: password }), "refused", /`baseUrl` holds a name or a password/],
        [CodexCli.layer({ program, baseUrl: password }), "refused", /`baseUrl` holds a name or a password/],
        [CodexCli.layer({ program, baseUrl: "pa55word99" }), "refused", /`baseUrl` is no address/],
        [ClaudeCli.layer({ program, arguments: ["x\0"] }), "refused", /`arguments` holds a zero byte/],
        [CodexCli.layer({ program, model: "x".repeat(1e6) }), "refused", /together longer than the system takes/]
      ]
      for (const [layer, reason, expected] of refused) {
        const error = yield* Effect.flip(ask(layer, home))
        assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, reason)
        assert.match(error.message, expected)
        if (reason === "refused") assert.match(error.message, /\. Correct the options of the agent$/)
        assert.notMatch(inspect(error, { depth: 10 }), /abcdefgh|pa55/)
      }
      assert.isFalse(fs.existsSync(Path.join(home, "started")))
    }).pipe(Effect.scoped))

  it.live("refuses limits that it cannot keep", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const program = programOf(home, `${answering} answer("[]")`)
      const price = prices
      const refused: ReadonlyArray<readonly [CodexCli.Options, RegExp]> = [
        [{ limits: { costUsd: 1 } }, /give `price`/],
        [{ login: home, price, limits: { costUsd: 1 } }, /with a login/],
        [{ login: home, limits: { rounds: 1 } }, /with a login/]
      ]
      for (const [options, expected] of refused) {
        const error = yield* Effect.flip(ask(CodexCli.layer({ ...options, program }), home))
        assert.strictEqual(error._tag === "AgentUnavailable" && error.reason, "refused")
        assert.match(error.message, expected)
      }
      yield* ask(CodexCli.layer({ login: home, program, limits: { time: "1 minute" } }), home)
    }).pipe(Effect.scoped))

  it.live("that hangs is ended with all that it started, whatever they ignore, and its home is removed", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const [name, layer] of both(home, stubborn, { limits: { time: "1500 millis" } })) {
        const tree = Path.join(home, name)
        fs.mkdirSync(tree)
        const error = yield* Effect.flip(ask(layer, tree))
        assert.strictEqual(error._tag === "AgentLimitReached" && error.limit, "time")
        const pids = yield* linesOf(Path.join(tree, "pids"), 2)
        assert.deepStrictEqual(pids.map(Number).map(isAlive), [false, false])
        assert.deepStrictEqual(homes(), [])
      }
    }).pipe(Effect.scoped))

  it.live("is ended with all that it started when the call is given up", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const [name, layer] of both(home, stubborn)) {
        const tree = Path.join(home, name)
        fs.mkdirSync(tree)
        const fiber = yield* Effect.forkChild(ask(layer, tree), { startImmediately: true })
        const pids = yield* linesOf(Path.join(tree, "pids"), 2)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(pids.map(Number).map(isAlive), [false, false])
      }
    }).pipe(Effect.scoped))

  it.live("leaves nothing running when it has answered", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `${answering}
        const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
          stdio: "inherit", detached: true
        })
        writeFileSync("pids", child.pid + "\\n")
        child.unref()
        answer("[]")`
      for (const [, layer] of both(home, script)) {
        yield* ask(layer, home)
        const [pid] = yield* linesOf(Path.join(home, "pids"), 1)
        assert.isFalse(isAlive(Number(pid)))
      }
    }).pipe(Effect.scoped))

  it.live("does not outlive an engine that is killed, nor does its home", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `
        process.on("SIGINT", () => {
          require("node:fs").writeFileSync("ended", "\\n")
          process.exit()
        })
        require("node:fs").writeFileSync("pids", process.env.HOME + "\\n")
        setInterval(() => {}, 1000)`
      const program = programOf(Path.join(home, "bin"), script)
      const engine = spawn(process.execPath, [
        "--conditions=espalier-source",
        Path.join(import.meta.dirname, "support", "askingEngine.ts"),
        program,
        home
      ], { stdio: "inherit" })
      const [agentHome] = yield* linesOf(Path.join(home, "pids"), 1)
      assert.isTrue(fs.existsSync(agentHome!))
      engine.kill("SIGKILL")
      yield* Effect.promise(() => once(engine, "exit"))
      assert.deepStrictEqual(yield* linesOf(Path.join(home, "ended"), 1), [""])
      yield* Effect.sleep("20 millis").pipe(
        Effect.repeat({ while: () => fs.existsSync(agentHome!) }),
        Effect.timeout("30 seconds")
      )
    }).pipe(Effect.scoped))

  it.live("is ended when its supervisor is killed, and that is told", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `
        require("node:fs").writeFileSync("pids", process.ppid + "\\n" + process.pid + "\\n")
        setInterval(() => {}, 1000)`
      for (const [name, layer] of both(home, script)) {
        const tree = Path.join(home, name)
        fs.mkdirSync(tree)
        const fiber = yield* Effect.forkChild(Effect.flip(ask(layer, tree)), { startImmediately: true })
        const [supervisor, agent] = (yield* linesOf(Path.join(tree, "pids"), 2)).map(Number)
        process.kill(supervisor!, "SIGKILL")
        const error = yield* Fiber.join(fiber)
        assert.match(error.message, /ended together with its supervisor/)
        assert.isFalse(isAlive(agent!))
        assert.deepStrictEqual(homes(), [])
      }
    }).pipe(Effect.scoped))

  it.live("is ended with all that it started when its supervisor is killed before it has told which process it is", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const layers = both(home, stubborn)
      yield* muteSupervisors(home)
      for (const [name, layer] of layers) {
        const tree = Path.join(home, name)
        fs.mkdirSync(tree)
        const error = yield* Effect.flip(ask(layer, tree))
        assert.match(error.message, /ended together with its supervisor/)
        const pids = (yield* linesOf(Path.join(tree, "pids"), 2)).map(Number)
        assert.deepStrictEqual(pids.map(isAlive), [false, false])
        assert.match(fs.readFileSync(Path.join(tree, "muted"), "utf8"), /"Started"/)
        assert.deepStrictEqual(homes(), [])
      }
    }).pipe(Effect.scoped))

  it.live("is ended when it does not stop printing, in lines or without an end", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const [index, end] of ["\\n", ""].entries()) {
        const script = `const more = "x".repeat(1 << 16) + "${end}"
          const print = () => { while (process.stdout.write(more)); process.stdout.once("drain", print) }
          print()`
        const [, layer] = both(home, script)[index]!
        const before = process.memoryUsage.rss()
        const error = yield* Effect.flip(ask(layer, home))
        assert.strictEqual(error._tag === "AgentLimitReached" && error.limit, "answer", error.message)
        assert.isBelow(process.memoryUsage.rss() - before, 200 * 1024 * 1024)
      }
    }).pipe(Effect.scoped))

  it.live("may print millions of lines that say nothing: they are read about as fast as they come, and others go on", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `${answering}
        const chunk = "x\\n".repeat(1 << 15)
        const print = (left) =>
          left > 0 ? process.stdout.write(chunk, () => print(left - 1)) : answer("[1]")
        print(300)`
      for (const [, layer] of both(home, script)) {
        let [before, longest] = [performance.now(), 0]
        const timer = setInterval(() => {
          longest = Math.max(longest, performance.now() - before)
          before = performance.now()
        }, 5)
        const answered = yield* Effect.timed(ask(layer, home)).pipe(
          Effect.ensuring(Effect.sync(() => clearInterval(timer)))
        )
        assert.deepStrictEqual(answered[1].answer, [1])
        // With each line decoded: 20 s and more.
        assert.isBelow(Duration.toMillis(answered[0]), 8000)
        assert.isBelow(longest, 500)
      }
    }).pipe(Effect.scoped))

  it.live("may run many times at once in one directory, each with a home of its own", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script =
        `${answering} answer(JSON.stringify([process.env.HOME, require("node:fs").readFileSync(0, "utf8")]))`
      for (const [, layer] of both(home, script)) {
        const prompts = Array.from({ length: 6 }, (_, index) => `prompt ${index}`)
        const answers = yield* Effect.forEach(prompts, (prompt) => ask(layer, home, prompt), {
          concurrency: "unbounded"
        })
        const got = answers.map(({ answer }) => answer as [string, string])
        assert.deepStrictEqual(got.map(([, prompt]) => prompt), prompts)
        assert.strictEqual(new Set(got.map(([own]) => own)).size, prompts.length)
      }
    }).pipe(Effect.scoped))
})
