import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Artifacts } from "../../src/Artifacts.ts"
import * as Command from "../../src/artifacts/Command.ts"
import * as ArtifactsSuite from "../../src/testing/ArtifactsSuite.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier build ")))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

const requestIn = (home: string, commit = "c0ffee", name = commit) =>
  Effect.sync(() => {
    const tree = Path.join(home, name)
    fs.mkdirSync(tree, { recursive: true })
    return { tree, commit, log: Path.join(home, "logs", `${name}.log`) }
  })

const node = (script: string): readonly [string, ...ReadonlyArray<string>] => [process.execPath, "-e", script]

const build = (options: Command.Options, request: Parameters<Artifacts["Service"]["build"]>[0]) =>
  Effect.flatMap(Artifacts, (artifacts) => artifacts.build(request)).pipe(Effect.provide(Command.layer(options)))

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
  })

const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** Starts a child that ignores SIGTERM, writes both process ids to `pids`, and hangs. */
const stubborn = `
  const { spawn } = require("node:child_process")
  const ignore = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"
  const child = spawn(process.execPath, ["-e", ignore], { stdio: ["ignore", "pipe", "inherit"] })
  process.on("SIGTERM", () => {})
  child.stdout.once("data", () => {
    require("node:fs").writeFileSync("pids", process.pid + "\\n" + child.pid + "\\n")
  })
  setInterval(() => {}, 1000)
`

describe("a build command keeps what all artifacts promise", () => {
  const subject: ArtifactsSuite.Subject = {
    request: (commit) => Effect.flatMap(temporary, (home) => requestIn(home, commit)),
    succeeds: Command.layer({ argv: node("console.log('built')") }),
    fails: Command.layer({ argv: node("console.error('broken'); process.exit(3)") }),
    hangs: Command.layer({ argv: node("setInterval(() => {}, 1000)"), grace: "100 millis" })
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

  it.live("is not started in a tree that is gone, with a NUL in an argument, or without a log", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      fs.writeFileSync(Path.join(home, "file"), "")
      const attempts = [
        build({ argv: node("") }, { ...request, tree: Path.join(home, "gone") }),
        build({ argv: [process.execPath, "a\0b"] }, request),
        build({ argv: node("") }, { ...request, log: Path.join(home, "file", "log") })
      ]
      for (const attempt of attempts) assert.strictEqual((yield* Effect.flip(attempt)).failure, "not-started")
    }).pipe(Effect.scoped))

  it.live("that is killed from outside is told from one that failed", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const error = yield* Effect.flip(build({ argv: node("process.kill(process.pid, 'SIGKILL')") }, request))
      assert.strictEqual(error.failure, "killed")
      assert.strictEqual(error.signal, "SIGKILL")
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

  it.live("does not outlive an engine that is killed", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const gone = `
        const tick = setInterval(() => {}, 1000)
        process.on("SIGTERM", () => {
          require("node:fs").writeFileSync("ended", "\\n")
          clearInterval(tick)
        })
        require("node:fs").writeFileSync("pids", process.pid + "\\n")
      `
      const engine = spawn(process.execPath, [
        "--conditions=espalier-source",
        Path.join(import.meta.dirname, "support", "buildingEngine.ts"),
        request.tree,
        gone
      ], { stdio: "inherit" })
      yield* linesOf(Path.join(request.tree, "pids"), 1)
      engine.kill("SIGKILL")
      yield* Effect.promise(() => once(engine, "exit"))
      assert.deepStrictEqual(yield* linesOf(Path.join(request.tree, "ended"), 1), [""])
    }).pipe(Effect.scoped))

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

  it.live("may name the artifact on the last line that it prints", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const request = yield* requestIn(home)
      const artifact = { kind: "image", reference: "lastLine" } as const
      const printed = yield* build({ argv: node("console.log('building\\nsha256:c0ffee\\n')"), artifact }, request)
      assert.deepStrictEqual(printed, { kind: "image", reference: "sha256:c0ffee" })
      const error = yield* Effect.flip(build({ argv: node(""), artifact }, request))
      assert.strictEqual(error.failure, "nothing-built")
    }).pipe(Effect.scoped))
})

describe("a build cache", () => {
  const counting = "require('node:fs').mkdirSync('dist/deep', { recursive: true });" +
    "require('node:fs').writeFileSync('dist/deep/out', process.env.ESPALIER_COMMIT);" +
    "require('node:fs').appendFileSync('../built', process.env.ESPALIER_COMMIT + '\\n')"

  const builds = (home: string) => {
    const file = Path.join(home, "built")
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : []
  }

  it.live("brings what was built back into a fresh tree, by commit and command", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const options: Command.Options = {
        argv: node(counting),
        cache: { directory: Path.join(home, "cache"), outputs: ["dist"] }
      }
      const first = yield* build(options, yield* requestIn(home, "aaaa", "first"))
      const request = yield* requestIn(home, "aaaa", "second")
      assert.deepStrictEqual(yield* build(options, request), first)
      assert.strictEqual(fs.readFileSync(Path.join(request.tree, "dist/deep/out"), "utf8"), "aaaa")
      assert.deepStrictEqual(builds(home), ["aaaa"])
      yield* build(options, yield* requestIn(home, "bbbb"))
      yield* build({ ...options, argv: node(`${counting};0`) }, yield* requestIn(home, "aaaa", "third"))
      yield* build({ ...options, environment: { LEVEL: "3" } }, yield* requestIn(home, "aaaa", "fourth"))
      assert.deepStrictEqual(builds(home), ["aaaa", "bbbb", "aaaa", "aaaa"])
    }).pipe(Effect.scoped))

  it.live("that is damaged costs a build and no more", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const directory = Path.join(home, "cache")
      const options: Command.Options = { argv: node(counting), cache: { directory, outputs: ["dist"] } }
      yield* build(options, yield* requestIn(home, "aaaa", "first"))
      for (const name of fs.readdirSync(directory)) {
        if (name.endsWith(".json")) fs.writeFileSync(Path.join(directory, name), "{\"artifact\"")
      }
      yield* build(options, yield* requestIn(home, "aaaa", "second"))
      for (const name of fs.readdirSync(directory)) {
        if (!name.endsWith(".json")) fs.rmSync(Path.join(directory, name), { recursive: true })
      }
      yield* build(options, yield* requestIn(home, "aaaa", "third"))
      yield* build(options, yield* requestIn(home, "aaaa", "fourth"))
      assert.strictEqual(builds(home).length, 3)
    }).pipe(Effect.scoped))

  it.live("does not keep a build that lacks what it should have made, or that failed", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const cache = { directory: Path.join(home, "cache"), outputs: ["dist/missing.js"] }
      const error = yield* Effect.flip(build({ argv: node(counting), cache }, yield* requestIn(home)))
      assert.strictEqual(error.failure, "nothing-built")
      assert.match(error.message, /did not make .*missing\.js/)
      yield* Effect.flip(build({ argv: node("process.exit(1)"), cache }, yield* requestIn(home)))
      assert.isFalse(fs.existsSync(cache.directory))
      const outside = { ...cache, outputs: ["../built"] }
      const refused = yield* Effect.flip(build({ argv: node(counting), cache: outside }, yield* requestIn(home)))
      assert.match(refused.message, /no path below the tree/)
    }).pipe(Effect.scoped))
})
