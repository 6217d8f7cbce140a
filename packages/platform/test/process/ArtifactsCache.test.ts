import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { Artifacts } from "../../src/Artifacts.ts"
import * as Command from "../../src/artifacts/Command.ts"
import * as ArtifactsSuite from "../../src/testing/ArtifactsSuite.ts"
import { build, node, requestIn, temporary } from "./support/builds.ts"

const cachingLayer = (script: string, options: Partial<Command.Options> = {}) => {
  // A layer is built for each case, and each case gets a cache of its own.
  const make = (directory: string) =>
    Command.layer({ argv: node(script), cache: { directory, outputs: ["out"] }, grace: "100 millis", ...options })
  return Layer.unwrap(Effect.map(temporary, (home) => make(Path.join(home, "cache"))))
}

describe("a build command with a cache keeps what all artifacts promise", () => {
  const hang = "setInterval(() => {}, 1000)"
  const subject: ArtifactsSuite.Subject = {
    request: (commit) => Effect.flatMap(temporary, (home) => requestIn(home, commit)),
    succeeds: cachingLayer("require('node:fs').writeFileSync('out', process.env.ESPALIER_COMMIT)"),
    remembers: true,
    fails: cachingLayer("console.error('broken'); process.exit(3)"),
    hangs: cachingLayer(hang),
    expires: cachingLayer(hang, { timeout: "50 millis" }),
    missing: cachingLayer("", { argv: ["no-such-compiler"] })
  }
  for (const { effect, name } of ArtifactsSuite.cases(subject)) it.live(name, () => effect)
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
    }).pipe(Effect.scoped))

  const caching = (home: string, options: Partial<Command.Options> = {}): Command.Options => ({
    argv: node(counting),
    cache: { directory: Path.join(home, "cache"), outputs: ["dist"] },
    ...options
  })

  it.live("says in the log that nothing was run", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      yield* build(caching(home), yield* requestIn(home, "aaaa"))
      const request = yield* requestIn(home, "aaaa")
      yield* build(caching(home), request)
      assert.match(fs.readFileSync(request.log, "utf8"), /^Nothing was run: aaaa was built at \d{4}-.*\n$/)
    }).pipe(Effect.scoped))

  it.live("puts what was built in the place of what is in the tree, with links and rights as they were", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `${counting}; const fs = require("node:fs")
        fs.writeFileSync("dist/run", "#!/bin/sh", { mode: 0o755 }); fs.symlinkSync("deep/out", "dist/link")
        fs.symlinkSync("/etc/passwd", "dist/outside"); fs.mkdirSync("dist/empty")`
      const options = caching(home, { argv: node(script) })
      yield* build(options, yield* requestIn(home, "aaaa"))
      const request = yield* requestIn(home, "aaaa")
      const dist = Path.join(request.tree, "dist")
      fs.mkdirSync(Path.join(dist, "deep"), { recursive: true })
      fs.writeFileSync(Path.join(dist, "deep", "stale"), "of another build")
      yield* build(options, request)
      assert.deepStrictEqual(fs.readdirSync(dist).sort(), ["deep", "empty", "link", "outside", "run"])
      assert.deepStrictEqual(fs.readdirSync(Path.join(dist, "deep")), ["out"])
      assert.strictEqual(fs.statSync(Path.join(dist, "run")).mode & 0o777, 0o755)
      assert.strictEqual(fs.readlinkSync(Path.join(dist, "link")), "deep/out")
      assert.strictEqual(fs.readlinkSync(Path.join(dist, "outside")), "/etc/passwd")
      assert.deepStrictEqual(builds(home), ["aaaa"])
    }).pipe(Effect.scoped))

  it.live("never serves files that changed since they were kept", () =>
    Effect.gen(function*() {
      const damages: ReadonlyArray<(files: string) => void> = [
        (files) => fs.writeFileSync(Path.join(files, "dist/deep/out"), "bbbb"),
        (files) => fs.truncateSync(Path.join(files, "dist/deep/out")),
        (files) => fs.chmodSync(Path.join(files, "dist/deep/out"), 0o755),
        (files) => fs.writeFileSync(Path.join(files, "dist/more"), ""),
        (files) => fs.rmSync(Path.join(files, "dist/deep"), { recursive: true }),
        (files) => {
          fs.rmSync(Path.join(files, "dist/deep/out"))
          fs.symlinkSync("/etc/passwd", Path.join(files, "dist/deep/out"))
        }
      ]
      for (const damage of damages) {
        const home = yield* temporary
        const { directory } = caching(home).cache!
        yield* build(caching(home), yield* requestIn(home, "aaaa"))
        damage(Path.join(directory, fs.readdirSync(directory).find((name) => !name.endsWith(".json"))!))
        const request = yield* requestIn(home, "aaaa")
        yield* build(caching(home), request)
        assert.strictEqual(fs.readFileSync(Path.join(request.tree, "dist/deep/out"), "utf8"), "aaaa")
        assert.deepStrictEqual(builds(home), ["aaaa", "aaaa"])
        // What was damaged has been replaced, and is gone.
        yield* build(caching(home), yield* requestIn(home, "aaaa"))
        assert.strictEqual(builds(home).length, 2)
        assert.strictEqual(fs.readdirSync(directory).length, 2)
      }
    }).pipe(Effect.scoped))

  it.live("reads and writes nothing through a link that leads out of the tree", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const outside = Path.join(home, "outside")
      fs.mkdirSync(outside)
      fs.writeFileSync(Path.join(outside, "out"), "not of the tree")
      const options = caching(home, {
        argv: node(
          "const fs = require('node:fs'); if (!fs.existsSync('dist')) fs.mkdirSync('dist');" +
            "if (!fs.lstatSync('dist').isSymbolicLink()) fs.writeFileSync('dist/out', 'built')"
        ),
        cache: { directory: Path.join(home, "cache"), outputs: ["dist/out"] }
      })
      const linked = yield* requestIn(home, "aaaa")
      fs.symlinkSync(outside, Path.join(linked.tree, "dist"))
      const error = yield* Effect.flip(build(options, linked))
      assert.strictEqual(error.failure, "refused")
      assert.match(error.message, /"dist\/out" cannot be taken: it leads out of the tree, to .*outside\/out/)
      yield* build(options, yield* requestIn(home, "aaaa"))
      assert.strictEqual((yield* Effect.flip(build(options, linked))).failure, "refused")
      assert.strictEqual(fs.readFileSync(Path.join(outside, "out"), "utf8"), "not of the tree")
    }).pipe(Effect.scoped))

  it.live("takes no output that is itself a link out of the tree, into git's data, or to nothing", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      fs.mkdirSync(Path.join(home, "outside"))
      for (
        const [target, failure] of [
          ["../outside", "refused"],
          [Path.join(home, "outside"), "refused"],
          [".git", "refused"],
          [".", "refused"],
          ["/nowhere/at/all", "nothing-built"],
          ["dist", "nothing-built"]
        ] as const
      ) {
        const request = yield* requestIn(home, "aaaa")
        fs.mkdirSync(Path.join(request.tree, ".git"))
        const argv = node(`require("node:fs").symlinkSync(${JSON.stringify(target)}, "dist")`)
        const error = yield* Effect.flip(build(caching(home, { argv }), request))
        assert.strictEqual(error.failure, failure, target)
      }
      assert.isFalse(fs.existsSync(Path.join(home, "cache")))
    }).pipe(Effect.scoped))

  it.live("says of outputs that cannot be kept which they are, and that they cost a build each time", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const told: Array<unknown> = []
      const logger = Logger.make(({ message }) => void told.push(message))
      const options = caching(home, {
        argv: node(`${counting};require("node:child_process").execFileSync("mkfifo", ["dist/p"])`)
      })
      for (const _ of [1, 2]) {
        yield* build(options, yield* requestIn(home, "aaaa")).pipe(Effect.provide(Logger.layer([logger])))
      }
      assert.deepStrictEqual(builds(home), ["aaaa", "aaaa"])
      assert.strictEqual(told.length, 2)
      assert.match(String(told[1]), /dist\/p is no file, directory or link.*never kept.*have the build remove it/)
    }).pipe(Effect.scoped))

  it.live("says of a name that is no UTF-8 that it cannot be kept, also where one like it can", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const told: Array<unknown> = []
      const logger = Logger.make(({ message }) => void told.push(message))
      const strange = "Buffer.from('646973742f61ff', 'hex')"
      const scripts = [
        `${counting};require("node:fs").writeFileSync(${strange}, "one")`,
        `${counting};require("node:fs").writeFileSync(${strange}, "one");` +
        "require('node:fs').writeFileSync('dist/a\\ufffd', 'other')",
        `require("node:fs").mkdirSync(Buffer.from("61ff", "hex"));` +
        "require('node:fs').symlinkSync(Buffer.from('61ff', 'hex'), 'dist')"
      ]
      for (const script of scripts) {
        const options = caching(home, { argv: node(script) })
        const request = yield* requestIn(home, "aaaa")
        yield* build(options, request).pipe(Effect.provide(Logger.layer([logger])))
        assert.deepStrictEqual(
          told.splice(0).map(String),
          [
            `A build could not be cached: ${request.tree}/${
              script === scripts[2] ? "" : "dist/"
            }a\ufffd has a name that ` +
            "is no UTF-8, which cannot be kept. With it this build is never kept, and made anew each time: have the " +
            "build remove it, or name other outputs"
          ]
        )
      }
      assert.deepStrictEqual(fs.readdirSync(Path.join(home, "cache")), [])
    }).pipe(Effect.scoped))

  it.live("brings links back that lead to any bytes", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = `${counting};require("node:fs").symlinkSync(Buffer.from("2f61ff", "hex"), "dist/link")`
      const options = caching(home, { argv: node(script) })
      yield* build(options, yield* requestIn(home, "aaaa"))
      const fresh = yield* requestIn(home, "aaaa")
      yield* build(options, fresh)
      assert.deepStrictEqual(builds(home), ["aaaa"])
      const target = fs.readlinkSync(Path.join(fresh.tree, "dist/link"), "buffer")
      assert.strictEqual(target.toString("hex"), "2f61ff")
    }).pipe(Effect.scoped))

  it.live("follows links within the tree: what they lead to is kept and brought back, as files", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const script = "const fs = require('node:fs'); fs.mkdirSync('real'); fs.writeFileSync('real/out', 'built');" +
        "fs.symlinkSync('real', 'dist'); fs.appendFileSync('../built', process.env.ESPALIER_COMMIT + '\\n')"
      for (const outputs of [["dist"], ["dist/out"]]) {
        const options = caching(home, { argv: node(script), cache: { directory: Path.join(home, "cache"), outputs } })
        yield* build(options, yield* requestIn(home, "aaaa"))
        const fresh = yield* requestIn(home, "aaaa")
        yield* build(options, fresh)
        assert.deepStrictEqual(fs.readdirSync(fresh.tree), ["dist"])
        assert.strictEqual(fs.readFileSync(Path.join(fresh.tree, "dist/out"), "utf8"), "built")
        // The same link may also be in the commit.
        const linked = yield* requestIn(home, "aaaa")
        fs.mkdirSync(Path.join(linked.tree, "real"))
        fs.symlinkSync("real", Path.join(linked.tree, "dist"))
        yield* build(options, linked)
        assert.strictEqual(fs.readFileSync(Path.join(linked.tree, "dist/out"), "utf8"), "built")
      }
      assert.deepStrictEqual(builds(home), ["aaaa", "aaaa"])
    }).pipe(Effect.scoped))

  it.live("refuses outputs that are no paths below the tree", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      for (const output of ["", ".", "/etc", "..", "a/../../b", ".git", "sub/.GIT/hooks", "a\0b"]) {
        const options = caching(home, { cache: { directory: Path.join(home, "cache"), outputs: [output] } })
        const error = yield* Effect.flip(build(options, yield* requestIn(home, "aaaa")))
        assert.strictEqual(error.failure, "not-started")
        assert.match(error.message, /no path below the tree/)
      }
      assert.deepStrictEqual(builds(home), [])
    }).pipe(Effect.scoped))

  it.live("is shared: two engines that build the same at once both succeed, and one result stays", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const both = yield* Effect.forEach(
        [yield* requestIn(home, "aaaa"), yield* requestIn(home, "aaaa")],
        (request) => build(caching(home), request),
        { concurrency: 2 }
      )
      assert.deepStrictEqual(both[0], both[1])
      const { directory } = caching(home).cache!
      yield* build(caching(home), yield* requestIn(home, "aaaa"))
      assert.strictEqual(fs.readdirSync(directory).filter((name) => name.endsWith(".json")).length, 1)
      assert.isAtMost(builds(home).length, 3)
    }).pipe(Effect.scoped))

  it.live("of one engine builds the same once, also when it is asked many times at once", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const artifacts = yield* Artifacts.pipe(Effect.provide(Command.layer(caching(home))))
      const requests = yield* Effect.forEach(Array.from({ length: 8 }), () => requestIn(home, "aaaa"))
      yield* Effect.forEach(requests, (request) => artifacts.build(request), { concurrency: "unbounded" })
      assert.deepStrictEqual(builds(home), ["aaaa"])
      for (const { tree } of requests) assert.isTrue(fs.existsSync(Path.join(tree, "dist/deep/out")))
    }).pipe(Effect.scoped))

  it.live("loses what an engine that died left half written, and nothing else", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const { directory } = caching(home).cache!
      fs.mkdirSync(directory)
      const long = new Date(Date.now() - 48 * 60 * 60 * 1000)
      for (const name of [".old", ".new", "mine"]) fs.mkdirSync(Path.join(directory, name))
      for (const name of [".old", "mine"]) fs.utimesSync(Path.join(directory, name), long, long)
      yield* build(caching(home), yield* requestIn(home, "aaaa"))
      const left = fs.readdirSync(directory).filter((name) => !/^[0-9a-f]{64}/.test(name))
      assert.deepStrictEqual(left.sort(), [".new", "mine"])
    }).pipe(Effect.scoped))

  it.live("that cannot be read is told to whoever looks something up", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const options = caching(home)
      yield* build(options, yield* requestIn(home, "aaaa"))
      for (const name of fs.readdirSync(options.cache!.directory)) {
        if (name.endsWith(".json")) fs.writeFileSync(Path.join(options.cache!.directory, name), "{}")
      }
      const artifacts = yield* Artifacts.pipe(Effect.provide(Command.layer(options)))
      const error = yield* Effect.flip(artifacts.resolve({ commit: "aaaa" }))
      assert.strictEqual(error.failure, "unusable")
      assert.match(error.message, /is not an entry of this cache\. Mend or delete it/)
    }).pipe(Effect.scoped))
})

/** Until something appears in the directory that the test takes. */
const appears = (directory: string, isIt: (name: string) => boolean) =>
  Effect.callback<void>((resume) => {
    const watcher = fs.watch(directory, () => look())
    const look = () => {
      if (!fs.readdirSync(directory).some(isIt)) return
      watcher.close()
      resume(Effect.void)
    }
    look()
    return Effect.sync(() => watcher.close())
  })

describe("a build that is interrupted", () => {
  // Large enough that neither copying nor hashing is done before somebody can give up.
  const bytes = 250_000_000
  const large = "require('node:fs').writeFileSync('out', process.env.ESPALIER_COMMIT);" +
    `require('node:fs').truncateSync('out', ${bytes}); require('node:fs').appendFileSync('../built', 'x')`
  const timesBuilt = (home: string) => fs.readFileSync(Path.join(home, "built"), "utf8").length

  it.live("while its outputs are kept ends before they are, and nothing half is taken for whole later", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const directory = Path.join(home, "cache")
      fs.mkdirSync(directory)
      const options: Command.Options = { argv: node(large), cache: { directory, outputs: ["out"] } }
      const request = yield* requestIn(home, "aaaa", "first")
      const fiber = yield* Effect.forkChild(build(options, request), { startImmediately: true })
      yield* appears(directory, (name) => name.startsWith("."))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      yield* build(options, request)
      assert.strictEqual(timesBuilt(home), 2)
    }).pipe(Effect.scoped))

  it.live("while its outputs are brought back ends before they are, and leaves no part of them in the tree", () =>
    Effect.gen(function*() {
      const home = yield* temporary
      const options: Command.Options = {
        argv: node(large),
        cache: { directory: Path.join(home, "cache"), outputs: ["out"] }
      }
      yield* build(options, yield* requestIn(home, "aaaa", "first"))
      const request = yield* requestIn(home, "aaaa", "second")
      const fiber = yield* Effect.forkChild(build(options, request), { startImmediately: true })
      yield* appears(request.tree, (name) => name === "out")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(fs.readdirSync(request.tree), [])
      yield* build(options, request)
      assert.strictEqual(fs.statSync(Path.join(request.tree, "out")).size, bytes)
      assert.strictEqual(timesBuilt(home), 1)
    }).pipe(Effect.scoped))
})
