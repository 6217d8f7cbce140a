import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as Path from "node:path"
import type * as Command from "../../src/artifacts/Command.ts"
import { build, node, requestIn, temporary } from "./support/builds.ts"

/** A request whose log has a directory already, so that something can stand in its place. */
const requestWithLog = (home: string) =>
  Effect.tap(requestIn(home), ({ log }) => Effect.sync(() => fs.mkdirSync(Path.dirname(log), { recursive: true })))

/** Opens a pipe's other end after some seconds: nothing else ends a build that waits for it, and this test with it. */
const openedLate = (pipe: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [
        "-e",
        "setTimeout(() => { require('node:fs').openSync(process.argv[1], 'r+'); setTimeout(() => {}, 20000) }, 3000)",
        pipe
      ], { stdio: "ignore" })
    ),
    (opener) => Effect.sync(() => opener.kill("SIGKILL"))
  )

const socketAt = (path: string) =>
  execFileSync(process.execPath, [
    "-e",
    `require("node:net").createServer().listen(${
      JSON.stringify(Path.basename(path))
    }, () => process.kill(process.pid, 9))`
  ], { cwd: Path.dirname(path) })

describe("the log of a build", () => {
  const standing: ReadonlyArray<readonly [what: string, put: (log: string) => void]> = [
    ["a pipe", (log) => execFileSync("mkfifo", [log])],
    ["a directory", (log) => fs.mkdirSync(log)],
    ["a socket", (log) => assert.throws(() => socketAt(log), /Command failed/)]
  ]
  for (const [what, put] of standing) {
    it.live(`is not written where ${what} stands: the build is not started, and says so at once`, () =>
      Effect.gen(function*() {
        const request = yield* requestWithLog(yield* temporary)
        put(request.log)
        yield* openedLate(request.log)
        const before = fs.lstatSync(request.log).ino
        const startedAt = performance.now()
        const error = yield* Effect.flip(build({ argv: node("require('node:fs').writeFileSync('ran', '')") }, request))
        assert.isBelow(performance.now() - startedAt, 2000)
        assert.strictEqual(error.failure, "not-started")
        assert.include(error.message, `its log ${request.log} cannot be written (${what} stands there: remove it`)
        assert.isFalse(fs.existsSync(Path.join(request.tree, "ran")))
        assert.strictEqual(fs.lstatSync(request.log).ino, before)
        assert.deepStrictEqual(fs.readdirSync(Path.dirname(request.log)), [Path.basename(request.log)])
      }).pipe(Effect.scoped))
  }

  it.live("is not written to a device", () =>
    Effect.gen(function*() {
      const request = yield* requestIn(yield* temporary)
      const error = yield* Effect.flip(build({ argv: node("") }, { ...request, log: "/dev/null" }))
      assert.strictEqual(error.failure, "not-started")
      assert.include(error.message, "its log /dev/null cannot be written (a device stands there")
    }).pipe(Effect.scoped))

  it.live("is a new file in the place of a link, and what the link leads to stays as it is", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const victim = Path.join(home, "victim")
      fs.writeFileSync(victim, "precious")
      const links: ReadonlyArray<(log: string) => void> = [
        (log) => fs.symlinkSync(victim, log),
        (log) => fs.symlinkSync(Path.join(home, "nothing"), log),
        (log) => fs.symlinkSync(home, log),
        (log) => fs.linkSync(victim, log)
      ]
      for (const link of links) {
        const request = yield* requestWithLog(home)
        link(request.log)
        yield* build({ argv: node("console.log('built')") }, request)
        assert.isTrue(fs.lstatSync(request.log).isFile())
        assert.strictEqual(fs.readFileSync(request.log, "utf8"), "built\n")
        assert.strictEqual(fs.readFileSync(victim, "utf8"), "precious")
        assert.isFalse(fs.existsSync(Path.join(home, "nothing")))
      }
    }).pipe(Effect.scoped))

  it.live("replaces the one before, and no more may read it than could read that", () =>
    Effect.gen(function*() {
      const request = yield* requestWithLog(yield* temporary)
      fs.writeFileSync(request.log, "of a longer build before\n", { mode: 0o600 })
      yield* build({ argv: node("console.log('built')") }, request)
      assert.strictEqual(fs.readFileSync(request.log, "utf8"), "built\n")
      assert.strictEqual(fs.statSync(request.log).mode & 0o777, 0o600)
      assert.deepStrictEqual(fs.readdirSync(Path.dirname(request.log)), [Path.basename(request.log)])
    }).pipe(Effect.scoped))

  it.live("of a build that is in the cache neither waits for a pipe nor is written through a link", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const options: Command.Options = {
        argv: node("require('node:fs').writeFileSync('out', '')"),
        cache: { directory: Path.join(home, "cache"), outputs: ["out"] }
      }
      yield* build(options, yield* requestIn(home))
      const linked = yield* requestWithLog(home)
      const victim = Path.join(home, "victim")
      fs.writeFileSync(victim, "precious")
      fs.symlinkSync(victim, linked.log)
      yield* build(options, linked)
      assert.strictEqual(fs.readFileSync(victim, "utf8"), "precious")
      assert.match(fs.readFileSync(linked.log, "utf8"), /^Nothing was run/)
      const piped = yield* requestWithLog(home)
      execFileSync("mkfifo", [piped.log])
      yield* openedLate(piped.log)
      const error = yield* Effect.flip(build(options, piped)).pipe(Effect.provide(Logger.layer([])))
      assert.strictEqual(error.failure, "not-started")
      assert.include(error.message, "a pipe stands there")
    }).pipe(Effect.scoped))

  it.live("is not read where the build has put something else: it has ended as it has ended", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      fs.writeFileSync(Path.join(home, "victim"), "secret")
      for (
        const [what, put] of [
          ["a pipe", "require('node:child_process').execFileSync('mkfifo', [log])"],
          ["a link", `fs.symlinkSync(${JSON.stringify(Path.join(home, "victim"))}, log)`],
          ["a directory", "fs.mkdirSync(log)"]
        ]
      ) {
        const request = yield* requestIn(home)
        const script =
          `const fs = require("node:fs"); const log = ${JSON.stringify(request.log)}; fs.unlinkSync(log);` +
          `${put}; process.exit(3)`
        const startedAt = performance.now()
        const error = yield* Effect.flip(build({ argv: node(script) }, request))
        assert.isBelow(performance.now() - startedAt, 5000)
        assert.strictEqual(error.failure, "exited")
        assert.strictEqual(error.exitCode, 3)
        assert.strictEqual(error.logTail, "")
        assert.include(error.message, `Its log cannot be read: ${what} stands at ${request.log}`)
      }
    }).pipe(Effect.scoped))
})
