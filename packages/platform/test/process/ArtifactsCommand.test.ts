import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as Path from "node:path"
import * as Command from "../../src/artifacts/Command.ts"
import * as ArtifactsSuite from "../../src/testing/ArtifactsSuite.ts"
import { build, goneAll, isAlive, linesOf, node, requestIn, runaway, stubborn, temporary } from "./support/builds.ts"
import { muteSupervisors } from "./support/muteSupervisor.ts"

describe("a build command keeps what all artifacts promise", () => {
  const subject: ArtifactsSuite.Subject = {
    request: (commit) => Effect.flatMap(temporary, (home) => requestIn(home, commit)),
    succeeds: Command.layer({ argv: node("console.log('built')") }),
    remembers: false,
    fails: Command.layer({ argv: node("console.error('broken'); process.exit(3)") }),
    hangs: Command.layer({ argv: node("setInterval(() => {}, 1000)"), grace: "100 millis" }),
    expires: Command.layer({ argv: node("setInterval(() => {}, 1000)"), timeout: "50 millis", grace: "100 millis" }),
    missing: Command.layer({ argv: ["no-such-compiler"] })
  }
  for (const { effect, name } of ArtifactsSuite.cases(subject)) it.live(name, () => effect)
})

describe("a build command", () => {
  it.live("runs in the tree with its environment, and its whole output is in the log in order", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = "console.log(process.cwd()); console.error(process.env.COLOUR, process.env.ESPALIER_COMMIT)"
      const artifact = yield* build({ argv: node(script), environment: { COLOUR: "green" } }, request)
      assert.deepStrictEqual(artifact, { kind: "tree", reference: "c0ffee" })
      assert.strictEqual(fs.readFileSync(request.log, "utf8"), `${request.tree}\ngreen c0ffee\n`)
    }).pipe(Effect.scoped))

  it.live("gets its arguments as they are, for no shell reads them", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const strange = ["$(touch x)", "`id`", "; false", "a b", "\"'", "*", "line\nend", "-e"]
      const script = "console.log(JSON.stringify(process.argv.slice(1)))"
      yield* build({ argv: [...node(script), "--", ...strange] }, request)
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(request.log, "utf8")), strange)
    }).pipe(Effect.scoped))

  it.live("that does not exist is not started, and the error says what to correct", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const error = yield* Effect.flip(build({ argv: ["no-such-compiler", "all"] }, request))
      assert.strictEqual(error.failure, "not-started")
      assert.match(error.message, /\["no-such-compiler","all"\] could not be started.*ENOENT.*Correct build\.argv/)
    }).pipe(Effect.scoped))

  it.live("is not started in a tree that is gone, without a log, or with what no process can have", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      fs.writeFileSync(Path.join(home, "file"), "")
      const attempts = [
        build({ argv: node("") }, { ...request, tree: Path.join(home, "gone") }),
        build({ argv: node("") }, { ...request, tree: Path.join(home, "file") }),
        build({ argv: [process.execPath, "a\0b"] }, request),
        build({ argv: [""] }, request),
        build({ argv: [process.execPath, "-e", "", "a".repeat(3_000_000)] }, request),
        build({ argv: node(""), environment: { NAME: "a\0b" } }, request),
        build({ argv: node(""), environment: { "NA=ME": "value" } }, request),
        build({ argv: node("") }, { ...request, log: Path.join(home, "file", "log") })
      ]
      for (const attempt of attempts) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error.failure, "not-started")
        assert.isBelow(error.message.length, 4_000_000)
      }
    }).pipe(Effect.scoped))

  it.live("gets an environment that changes nothing outside of it", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      fs.writeFileSync(Path.join(request.tree, "early.cjs"), "console.log('early')")
      const environment = { NODE_OPTIONS: "--require ./early.cjs" }
      yield* build({ argv: node("console.log('built')"), environment }, request)
      assert.strictEqual(fs.readFileSync(request.log, "utf8"), "early\nbuilt\n")
      const broken = { NODE_OPTIONS: "--no-such-option" }
      const error = yield* Effect.flip(build({ argv: node(""), environment: broken }, request))
      assert.strictEqual(error.failure, "exited")
    }).pipe(Effect.scoped))

  it.live("that is killed from outside is told from one that failed", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const error = yield* Effect.flip(build({ argv: node("process.kill(process.pid, 'SIGKILL')") }, request))
      assert.strictEqual(error.failure, "killed")
      assert.strictEqual(error.signal, "SIGKILL")
    }).pipe(Effect.scoped))

  it.live("that crashes has failed: a fault in a program is no trouble of the machine", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const signal of ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS"]) {
        const request = yield* requestIn(home)
        const error = yield* Effect.flip(build({ argv: node(`process.kill(process.pid, "${signal}")`) }, request))
        assert.strictEqual(error.failure, "exited")
        assert.strictEqual(error.exitCode, null)
        assert.strictEqual(error.signal, signal)
        assert.match(error.message, new RegExp(`crashed with ${signal}, which is a fault in the program`))
      }
    }).pipe(Effect.scoped))

  it.live("with a time limit or a grace that is none is not started", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const argv = node("require('node:fs').writeFileSync('ran', '')")
      for (
        const [name, value] of [
          ["timeout", "ten minutes"],
          ["timeout", 0],
          ["timeout", -5],
          ["timeout", NaN],
          ["timeout", { minutes: NaN }],
          ["grace", "soon"],
          ["grace", -1],
          ["grace", NaN],
          ["grace", { seconds: NaN }]
        ] as const
      ) {
        const request = yield* requestIn(home)
        const options = { argv, [name]: value } as Command.Options
        const error = yield* Effect.flip(build(options, request))
        assert.strictEqual(error.failure, "not-started")
        assert.match(error.message, new RegExp(`has a ${name} that is none: .*Correct build\\.${name}`))
        assert.isFalse(fs.existsSync(Path.join(request.tree, "ran")))
      }
    }).pipe(Effect.scoped))

  it.live("with a grace that is longer than any timer has that grace, and not none", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const grace of ["60 days", Infinity] as const) {
        const request = yield* requestIn(home)
        const script =
          "process.on('SIGTERM', () => setTimeout(() => { console.log('tidied'); process.exit(0) }, 300));" +
          "console.log('up'); require('node:fs').writeFileSync('pids', process.pid + '\\n'); setInterval(() => {}, 1000)"
        const fiber = yield* Effect.forkChild(build({ argv: node(script), grace }, request), { startImmediately: true })
        yield* linesOf(Path.join(request.tree, "pids"), 1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(fs.readFileSync(request.log, "utf8"), "up\ntidied\n")
      }
    }).pipe(Effect.scoped))

  it.live("that deletes its log has ended as it has ended", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = `require("node:fs").unlinkSync(${JSON.stringify(request.log)}); process.exit(3)`
      const error = yield* Effect.flip(build({ argv: node(script) }, request))
      assert.strictEqual(error.failure, "exited")
      assert.strictEqual(error.exitCode, 3)
      assert.match(error.message, /ended with exit code 3\. Its log cannot be read: ENOENT/)
    }).pipe(Effect.scoped))

  it.effect("that takes too long is ended with all that it started, also what ignores SIGTERM", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const argv = node(`console.log("compiling");${stubborn}`)
      const options: Command.Options = { argv, timeout: "90 minutes", grace: "50 millis" }
      const fiber = yield* Effect.forkChild(Effect.flip(build(options, request)), { startImmediately: true })
      const pids = yield* linesOf(Path.join(request.tree, "pids"), 2)
      yield* TestClock.adjust("90 minutes")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.failure, "timed-out")
      assert.match(error.message, /took longer than 1h 30m and was ended/)
      assert.strictEqual(error.logTail, "compiling")
      assert.strictEqual(error.durationMillis, 90 * 60 * 1000)
      assert.deepStrictEqual(pids.map(Number).map(isAlive), [false, false])
    }).pipe(Effect.scoped))

  it.live("is ended with all that it started when the build is interrupted", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const options = { argv: node(stubborn), grace: "50 millis" } as const
      const fiber = yield* Effect.forkChild(build(options, request), { startImmediately: true })
      const pids = yield* linesOf(Path.join(request.tree, "pids"), 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(pids.map(Number).map(isAlive), [false, false])
    }).pipe(Effect.scoped))

  it.live("is ended with what left its process group, its session and its environment", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const options = { argv: node(runaway), grace: "50 millis" } as const
      const fiber = yield* Effect.forkChild(build(options, request), { startImmediately: true })
      const pids = yield* linesOf(Path.join(request.tree, "pids"), 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(pids.map(Number).map(isAlive), [false, false])
    }).pipe(Effect.scoped))

  it.live("that is killed leaves nothing behind either, once it has been seen for a second", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const options = { argv: node(runaway), grace: "50 millis" } as const
      const fiber = yield* Effect.forkChild(Effect.flip(build(options, request)), { startImmediately: true })
      const pids = (yield* linesOf(Path.join(request.tree, "pids"), 2)).map(Number)
      yield* Effect.sleep("1200 millis")
      process.kill(pids[0]!, "SIGKILL")
      assert.strictEqual((yield* Fiber.join(fiber)).failure, "killed")
      assert.deepStrictEqual(pids.map(isAlive), [false, false])
    }).pipe(Effect.scoped))

  it.live("whose supervisor is killed is ended from here, and is no failure of the tree", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = `require("node:fs").writeFileSync("supervisor", process.ppid + "\\n");${stubborn}`
      const fiber = yield* Effect.forkChild(Effect.flip(build({ argv: node(script) }, request)), {
        startImmediately: true
      })
      const pids = (yield* linesOf(Path.join(request.tree, "pids"), 2)).map(Number)
      const [supervisor] = yield* linesOf(Path.join(request.tree, "supervisor"), 1)
      process.kill(Number(supervisor), "SIGKILL")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.failure, "killed")
      assert.match(error.message, /together with its supervisor/)
      assert.deepStrictEqual(pids.map(isAlive), [false, false])
    }).pipe(Effect.scoped))

  it.live("whose supervisor is killed before it has told of it is ended all the same", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const argv = node(stubborn)
      yield* muteSupervisors(home)
      const error = yield* Effect.flip(build({ argv }, request))
      assert.strictEqual(error.failure, "killed")
      assert.match(error.message, /was ended together with its supervisor/)
      const pids = (yield* linesOf(Path.join(request.tree, "pids"), 2)).map(Number)
      assert.deepStrictEqual(pids.map(isAlive), [false, false])
      assert.match(fs.readFileSync(Path.join(request.tree, "muted"), "utf8"), /"Started"/)
    }).pipe(Effect.scoped))

  for (const [name, script] of Object.entries({ "is deaf to SIGTERM": stubborn, "runs away": runaway })) {
    it.live(`that ${name} does not outlive an engine that is killed`, () =>
      Effect.gen(function*() {
        const home = yield* temporary
        const request = yield* requestIn(home)
        const engine = spawn(process.execPath, [
          "--conditions=espalier-source",
          Path.join(import.meta.dirname, "support", "buildingEngine.ts"),
          request.tree,
          script
        ], { stdio: "inherit" })
        const pids = (yield* linesOf(Path.join(request.tree, "pids"), 2)).map(Number)
        const gone = once(engine, "exit")
        engine.kill("SIGKILL")
        yield* Effect.promise(() => gone)
        yield* goneAll(pids)
      }).pipe(Effect.scoped))
  }

  it.live("leaves no process behind when it ends well", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = `
        const { spawn } = require("node:child_process")
        const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" })
        require("node:fs").writeFileSync("pids", child.pid + "\\n")
        child.unref()
      `
      yield* build({ argv: node(script), grace: "100 millis" }, request)
      const [pid] = yield* linesOf(Path.join(request.tree, "pids"), 1)
      assert.isFalse(isAlive(Number(pid)))
    }).pipe(Effect.scoped))

  it.live("keeps the end of a long log in the error", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = "for (let i = 1; i <= 5000; i++) console.log('line ' + i); process.exitCode = 1"
      const error = yield* Effect.flip(build({ argv: node(script) }, request))
      const lines = error.logTail.split("\n")
      assert.strictEqual(lines.length, 40)
      assert.deepStrictEqual([lines[0], lines.at(-1)], ["line 4961", "line 5000"])
      assert.match(error.message, /ended with exit code 1\. It ended with: line 5000\. All of it is in /)
    }).pipe(Effect.scoped))

  it.live("may print 100 MB: they are in the log, and not in memory", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = `
        const { writeSync } = require("node:fs")
        const chunk = Buffer.alloc(1 << 20, "x".repeat(1023) + "\\n")
        for (let i = 0; i < 100; i++) for (let at = 0; at < chunk.length;) at += writeSync(1, chunk, at)
        process.exitCode = 1
      `
      const before = process.memoryUsage().rss
      const error = yield* Effect.flip(build({ argv: node(script) }, request))
      assert.isBelow(process.memoryUsage().rss - before, 64 << 20)
      assert.strictEqual(fs.statSync(request.log).size, 100 << 20)
      assert.isAtMost(error.logTail.length, 8192)
      assert.isBelow(error.message.length, 2000)
    }).pipe(Effect.scoped))

  it.live("may print anything: what is told of it is plain text", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const script = `
        process.stdout.write(Buffer.from([0, 1, 2, 255, 254, 10]))
        console.log("10 %\\r20 %\\r\\n\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07done\\x07\\r")
        process.exitCode = 1
      `
      const error = yield* Effect.flip(build({ argv: node(script) }, request))
      assert.strictEqual(error.logTail, "\ufffd\ufffd\n20 %\nred done")
      const turning = "\\u061ca\\u202eb\\u2066c\\u2069d\\u2028e\\u2029f\\u200eg\\u200fh\\u202a"
      const print = `console.log("${turning}")`
      const turned = yield* Effect.flip(build({ argv: node(`${print}; process.exit(1)`) }, request))
      assert.strictEqual(turned.logTail, "abcdefgh")
      const artifact = { kind: "image", reference: "lastLine" } as const
      assert.strictEqual((yield* build({ argv: node(print), artifact }, request))?.reference, "abcdefgh")
    }).pipe(Effect.scoped))

  it.live("may name the artifact on the last line that it prints", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const artifact = { kind: "image", reference: "lastLine" } as const
      const printed = yield* build({ argv: node("console.log('building\\nsha256:c0ffee\\n')"), artifact }, request)
      assert.deepStrictEqual(printed, { kind: "image", reference: "sha256:c0ffee" })
      const coloured = yield* build({ argv: node("console.log('\\x1b[32msha256:beef\\x1b[0m')"), artifact }, request)
      assert.strictEqual(coloured?.reference, "sha256:beef")
      for (const script of ["", "console.log('x'.repeat(1025))", "console.log('x'.repeat(20000))"]) {
        const error = yield* Effect.flip(build({ argv: node(script), artifact }, request))
        assert.strictEqual(error.failure, "nothing-built")
        assert.match(error.message, /its last line is to name the artifact/)
      }
    }).pipe(Effect.scoped))
})
