import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as Path from "node:path"
import { Artifacts, type BuildRequest, isOfTheMachine } from "../../src/Artifacts.ts"
import * as ContainerImage from "../../src/artifacts/ContainerImage.ts"
import * as ArtifactsSuite from "../../src/testing/ArtifactsSuite.ts"
import { goneAll, isAlive, linesOf, temporary } from "./support/builds.ts"
import { fakeEngine, treeWith } from "./support/containers.ts"

const build = (options: ContainerImage.Options, request: BuildRequest) =>
  Effect.flatMap(Artifacts, (artifacts) => artifacts.build(request)).pipe(Effect.provide(ContainerImage.layer(options)))

const layerOf = (engine: "docker" | "podman", options: Partial<ContainerImage.Options> = {}) =>
  Layer.unwrap(Effect.map(fakeEngine(engine), (fake) => ContainerImage.layer({ ...fake.options, ...options })))

for (const engine of ["docker", "podman"] as const) {
  describe(`images built by ${engine} keep what all artifacts promise`, () => {
    const hanging = { file: "Hanging", repository: "localhost/hanging" }
    const subject: ArtifactsSuite.Subject = {
      request: (commit) =>
        Effect.flatMap(
          temporary,
          (home) =>
            treeWith(home, commit, { Failing: "FROM scratch\nRUN exit 3\n", Hanging: "FROM scratch\nRUN hang\n" })
        ),
      succeeds: layerOf(engine),
      remembers: true,
      fails: layerOf(engine, { file: "Failing" }),
      hangs: layerOf(engine, hanging),
      expires: layerOf(engine, { ...hanging, timeout: "300 millis" }),
      missing: layerOf(engine, { program: `no-such-${engine}` })
    }
    for (const { effect, name } of ArtifactsSuite.cases(subject)) it.live(name, () => effect)
  })

  describe(`an image built by ${engine}`, () => {
    it.live("is named by its id, and built from what the options say", () =>
      Effect.gen(function*() {
        const { calls, home, options } = yield* fakeEngine(engine)
        const request = yield* treeWith(home, "0123456789abcdef0123", {
          "docker/Dockerfile": "FROM scratch AS base\nFROM base AS final\nCOPY content /content\n",
          "sub/content": "hello"
        })
        const artifact = yield* build({
          ...options,
          engineArguments: ["--root=/images"],
          file: "docker/Dockerfile",
          context: "sub",
          target: "final",
          buildArguments: { B: "two", A: "one" },
          labels: { team: "red" },
          buildOptions: ["--network=none"],
          repository: "localhost/pipeline"
        }, request)
        assert.strictEqual(artifact?.kind, "image")
        assert.match(artifact!.reference, /^sha256:[0-9a-f]{64}$/)
        const argv = calls().find((call) => call.includes("build"))!
        const starting = (start: string) => argv.find((argument) => argument.startsWith(start))!
        const [tag, idFile, key] = [starting("--tag="), starting("--iidfile="), starting("--label=espalier.build=")]
        assert.match(tag, /^--tag=localhost\/pipeline:0123456789ab-[0-9a-f]{16}$/)
        assert.match(key, /=[0-9a-f]{64}$/)
        assert.deepStrictEqual(argv, [
          "--root=/images",
          "build",
          `--file=${request.tree}/docker/Dockerfile`,
          idFile,
          tag,
          "--label=team=red",
          "--label=espalier.commit=0123456789abcdef0123",
          key,
          "--target=final",
          "--build-arg=A=one",
          "--build-arg=B=two",
          "--network=none",
          `${request.tree}/sub`
        ])
        assert.deepStrictEqual(fs.readdirSync(Path.dirname(request.log)), [Path.basename(request.log)])
        assert.match(fs.readFileSync(request.log, "utf8"), /STEP 1\/3: FROM scratch AS base\n[^]*Successfully built/)
      }).pipe(Effect.scoped))

    it.live("gets values as they are: none becomes an option, and no shell reads one", () =>
      Effect.gen(function*() {
        const { calls, home, options } = yield* fakeEngine(engine)
        const strange = [
          "$(touch x)",
          "`id`",
          "; false",
          "a b",
          "\"'",
          "*",
          "line\nend",
          "-e",
          "--help",
          "é🌳",
          "a=b",
          ""
        ]
        const named = (letter: string) =>
          Object.fromEntries(strange.map((value, index) => [`${letter}${index}`, value] as const))
        const file = "--help, $(x)\n'\"é"
        const request = yield* treeWith(home, strange.join(""), { [file]: "FROM scratch\n" })
        const artifact = yield* build({ ...options, file, buildArguments: named("A"), labels: named("l") }, request)
        assert.strictEqual(artifact?.kind, "image")
        const argv = calls().find(([command]) => command === "build")!
        for (const [index, value] of strange.entries()) {
          assert.include(argv, `--build-arg=A${index}=${value}`)
          assert.include(argv, `--label=l${index}=${value}`)
        }
        const path = `${request.tree}/${file}`
        const quoted = `"${path.replaceAll("\"", "\"\"")}"`
        assert.include(argv, `--file=${engine === "docker" ? path : quoted}`)
        assert.match(argv.find((one) => one.startsWith("--tag="))!, /^--tag=localhost\/espalier:[\w.-]+$/)
        assert.deepStrictEqual(fs.readdirSync(request.tree).sort(), [file, "Dockerfile", "content"].sort())
      }).pipe(Effect.scoped))

    it.live("is built from the file that the engine itself would take", () =>
      Effect.gen(function*() {
        const { calls, home, options } = yield* fakeEngine(engine)
        const files = { Dockerfile: "FROM scratch\n", Containerfile: "FROM scratch\n" }
        yield* build(options, yield* treeWith(home, "aaaa", files))
        const chosen = calls().find(([command]) => command === "build")!.find((one) => one.startsWith("--file="))!
        assert.strictEqual(Path.basename(chosen), engine === "docker" ? "Dockerfile" : "Containerfile")
      }).pipe(Effect.scoped))

    it.live("that the Dockerfile is wrong for fails with what the engine said", () =>
      Effect.gen(function*() {
        const { home, options } = yield* fakeEngine(engine)
        const wrong = { "FRUM scratch\n": /unknown instruction: FRUM/, "FROM scratch\nCOPY gone /\n": /stat gone/ }
        for (const [Dockerfile, said] of Object.entries(wrong)) {
          const error = yield* Effect.flip(build(options, yield* treeWith(home, "aaaa", { Dockerfile })))
          assert.strictEqual(error.failure, "exited")
          assert.strictEqual(error.exitCode, engine === "docker" ? 1 : 125)
          assert.match(error.logTail, said)
          assert.match(error.message, said)
        }
      }).pipe(Effect.scoped))

    it.live("is not to be had from an engine that is not there, and that is not the tree's fault", () =>
      Effect.gen(function*() {
        const { home, options } = yield* fakeEngine(engine)
        const request = yield* treeWith(home, "aaaa")
        const plain = Path.join(home, "not-executable")
        fs.writeFileSync(plain, "")
        for (const program of ["no-such-engine", Path.join(home, "gone"), plain, home]) {
          const error = yield* Effect.flip(build({ ...options, program }, request))
          assert.strictEqual(error.failure, "engine-missing", program)
          assert.match(error.message, new RegExp(`Install ${engine}`))
          assert.strictEqual(
            (yield* Effect.flip(ContainerImage.probe({ ...options, program }))).failure,
            "engine-missing"
          )
        }
      }).pipe(Effect.scoped))

    it.live("whose engine is lost in the middle of it is not the tree's fault either", () =>
      Effect.gen(function*() {
        const { home, options } = yield* fakeEngine(engine, ["dies"])
        const error = yield* Effect.flip(build(options, yield* treeWith(home, "aaaa")))
        assert.strictEqual(error.failure, "engine-unreachable")
        assert.match(error.logTail, /Cannot connect/)
      }).pipe(Effect.scoped))

    const hanging = { Dockerfile: "FROM scratch\nRUN hang\n" }

    it.live("that is interrupted leaves no process of its steps, whatever session they are in", () =>
      Effect.gen(function*() {
        const { home, options, store } = yield* fakeEngine(engine)
        const request = yield* treeWith(home, "aaaa", hanging)
        const fiber = yield* Effect.forkChild(build(options, request), { startImmediately: true })
        const pids = (yield* linesOf(Path.join(store, "pids"), 2)).map(Number)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(pids.map(isAlive), [false, false])
        assert.deepStrictEqual(fs.readdirSync(Path.dirname(request.log)), [Path.basename(request.log)])
      }).pipe(Effect.scoped))

    it.live("whose client is killed leaves no process of its steps", () =>
      Effect.gen(function*() {
        const { home, options, store } = yield* fakeEngine(engine)
        const request = yield* treeWith(home, "aaaa", hanging)
        const fiber = yield* Effect.forkChild(Effect.flip(build(options, request)), { startImmediately: true })
        const pids = (yield* linesOf(Path.join(store, "pids"), 2)).map(Number)
        yield* Effect.sleep("1200 millis")
        process.kill(pids[0]!, "SIGKILL")
        assert.strictEqual((yield* Fiber.join(fiber)).failure, "killed")
        assert.deepStrictEqual(pids.map(isAlive), [false, false])
      }).pipe(Effect.scoped))

    it.live("whose client crashes is no failure of the tree", () =>
      Effect.gen(function*() {
        const { home, options, store } = yield* fakeEngine(engine)
        const request = yield* treeWith(home, "aaaa", hanging)
        const fiber = yield* Effect.forkChild(Effect.flip(build(options, request)), { startImmediately: true })
        const [client] = yield* linesOf(Path.join(store, "pids"), 2)
        process.kill(Number(client), "SIGSEGV")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.failure, "killed")
        assert.match(error.message, /crashed with SIGSEGV/)
      }).pipe(Effect.scoped))

    it.live("does not outlive the process that builds it, and neither do questions to an engine that hangs", () =>
      Effect.gen(function*() {
        for (const fault of ["", "silent"]) {
          const { home, options, store } = yield* fakeEngine(engine, [fault])
          const { tree } = yield* treeWith(home, "aaaa", hanging)
          const script = Path.join(import.meta.dirname, "support", "buildingImages.ts")
          const engineOf = spawn(
            process.execPath,
            ["--conditions=espalier-source", script, tree, JSON.stringify(options)],
            { stdio: "inherit" }
          )
          const seen = fault === "" ? linesOf(Path.join(store, "pids"), 2) : Effect.map(
            linesOf(Path.join(store, "calls"), 1),
            () => fs.readdirSync("/proc").filter((name) => isOf(name, store))
          )
          const pids = (yield* seen).map(Number)
          assert.isAbove(pids.length, 0)
          const gone = once(engineOf, "exit")
          engineOf.kill("SIGKILL")
          yield* Effect.promise(() => gone)
          yield* goneAll(pids)
        }
      }).pipe(Effect.scoped))
  })
}

describe("an image, whatever engine builds it,", () => {
  it.live("is not built where its log is a pipe, and found all the same where it exists", () =>
    Effect.gen(function*() {
      const { calls, home, options } = yield* fakeEngine("docker")
      const pipeIn = (request: BuildRequest) => {
        fs.mkdirSync(Path.dirname(request.log), { recursive: true })
        execFileSync("mkfifo", [request.log])
        return request
      }
      const error = yield* Effect.flip(build(options, pipeIn(yield* treeWith(home, "aaaa"))))
      assert.strictEqual(error.failure, "not-started")
      assert.match(error.message, /its log .* cannot be written \(a pipe stands there: remove it\)/)
      assert.isFalse(calls().some(([command]) => command === "build"))
      const first = yield* build(options, yield* treeWith(home, "aaaa"))
      const told: Array<unknown> = []
      const logger = Logger.make(({ message }) => void told.push(message))
      const found = build(options, pipeIn(yield* treeWith(home, "aaaa"))).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(yield* found, first)
      assert.match(told.join(), /^The log .* cannot be written: a pipe stands there: remove it$/)
    }).pipe(Effect.scoped))

  it.live("is not built again for the same commit and command, and is for another", () =>
    Effect.gen(function*() {
      const { calls, home, options } = yield* fakeEngine("docker")
      const built = () => calls().filter(([command]) => command === "build").length
      const first = yield* build(options, yield* treeWith(home, "aaaa"))
      const request = yield* treeWith(home, "aaaa")
      assert.deepStrictEqual(yield* build(options, request), first)
      assert.strictEqual(built(), 1)
      assert.match(fs.readFileSync(request.log, "utf8"), /^Nothing was built: the image sha256:.* was built of aaaa/)
      const others: ReadonlyArray<Partial<ContainerImage.Options>> = [
        { buildArguments: { A: "" } },
        { buildArguments: { A: "1" } },
        { labels: { a: "1" } },
        { target: "final" },
        { file: "Dockerfile" },
        { context: "." },
        { buildOptions: ["--pull"] },
        { repository: "localhost/other" }
      ]
      yield* Effect.forEach(others, (other) => build({ ...options, ...other }, request), { concurrency: 4 })
      yield* build(options, yield* treeWith(home, "bbbb"))
      assert.strictEqual(built(), 1 + others.length + 1)
    }).pipe(Effect.scoped))

  it.live("is not tried with options that an engine would take for something else", () =>
    Effect.gen(function*() {
      const { calls, home, options } = yield* fakeEngine("docker")
      const wrong: ReadonlyArray<Partial<ContainerImage.Options>> = [
        { buildArguments: { "A=B": "" } },
        { buildArguments: { "": "" } },
        { buildArguments: { "-A": "" } },
        { buildArguments: { A: "a\0b" } },
        { labels: { "espalier.build": "x" } },
        { labels: { "a=b": "x" } },
        { labels: { a: "\0" } },
        { target: "--help" },
        { repository: "--help" },
        { repository: "a:b" },
        { repository: "A" },
        { buildOptions: ["none"] },
        { buildOptions: ["--"] },
        { buildOptions: ["--iidfile=/etc/passwd"] },
        { buildOptions: ["-t=other"] },
        { buildOptions: ["--output=."] },
        { engineArguments: ["\0"] },
        { file: "../Dockerfile" },
        { file: "/etc/passwd" },
        { context: "" },
        { context: "a/../.." },
        { answerTimeout: Number.NaN },
        { answerTimeout: 0 }
      ]
      for (const one of wrong) {
        const error = yield* Effect.flip(build({ ...options, ...one }, yield* treeWith(home, "aaaa")))
        assert.strictEqual(error.failure, "not-started", JSON.stringify(one))
        assert.strictEqual(ContainerImage.problems({ ...options, ...one }).length, 1, JSON.stringify(one))
      }
      const probed = yield* Effect.flip(ContainerImage.probe({ ...options, answerTimeout: Number.NaN }))
      assert.match(probed.message, /answerTimeout is NaN/)
      assert.deepStrictEqual(calls(), [])
    }).pipe(Effect.scoped))

  it.live("is not built from outside of the tree, wherever a link leads", () =>
    Effect.gen(function*() {
      const { calls, home, options } = yield* fakeEngine("docker")
      const request = yield* treeWith(home, "aaaa")
      fs.symlinkSync("/etc/passwd", Path.join(request.tree, "Linked"))
      fs.symlinkSync("/", Path.join(request.tree, "root"))
      fs.symlinkSync("Dockerfile", Path.join(request.tree, "Inside"))
      for (
        const wrong of [{ file: "Linked" }, { context: "root" }, { file: "root/etc/passwd" }, { file: "Missing" }]
      ) {
        const error = yield* Effect.flip(build({ ...options, ...wrong }, request))
        assert.strictEqual(error.failure, "refused")
        assert.isFalse(isOfTheMachine(error.failure))
      }
      const { failure, message } = yield* Effect.flip(build(options, { ...request, tree: home }))
      assert.strictEqual(failure, "refused")
      assert.match(message, /there is no (?:Dockerfile or Containerfile|Containerfile or Dockerfile) in the tree/)
      assert.deepStrictEqual(calls(), [])
      yield* build({ ...options, file: "Inside" }, request)
    }).pipe(Effect.scoped))

  it.live("that the engine does not have afterwards was not built", () =>
    Effect.gen(function*() {
      const { home, options } = yield* fakeEngine("docker", ["elsewhere"])
      const error = yield* Effect.flip(build(options, yield* treeWith(home, "aaaa")))
      assert.strictEqual(error.failure, "nothing-built")
      assert.match(error.message, /BUILDX_BUILDER/)
      const nonsense = yield* fakeEngine("docker", ["garbage-id"])
      const other = yield* Effect.flip(build(nonsense.options, yield* treeWith(nonsense.home, "aaaa")))
      assert.strictEqual(other.failure, "engine-unreachable")
    }).pipe(Effect.scoped))

  it.live("that cannot be named says why, and keeps its names", () =>
    Effect.gen(function*() {
      const { home, options } = yield* fakeEngine("docker", ["no-tags"])
      const artifacts = yield* Artifacts.pipe(Effect.provide(ContainerImage.layer(options)))
      const artifact = yield* artifacts.build(yield* treeWith(home, "aaaa"))
      const error = yield* Effect.flip(artifacts.tag(artifact!, "pipeline:best"))
      assert.strictEqual(error.failure, "unusable")
      assert.match(error.message, /read-only storage/)
      assert.deepStrictEqual(yield* artifacts.resolve({ commit: "aaaa" }), artifact)
      // The beginning of an id is no name.
      assert.isUndefined(yield* artifacts.resolve({ name: artifact!.reference.slice(7, 19) }))
    }).pipe(Effect.scoped))

  it.live("may take 100 MB of log, which stays out of memory", () =>
    Effect.gen(function*() {
      const { home, options } = yield* fakeEngine("docker")
      const request = yield* treeWith(home, "aaaa", { Dockerfile: "FROM scratch\nRUN loud 100\nRUN exit 1\n" })
      const before = process.memoryUsage().rss
      const error = yield* Effect.flip(build(options, request))
      assert.isBelow(process.memoryUsage().rss - before, 64 << 20)
      assert.isAtLeast(fs.statSync(request.log).size, 100 << 20)
      assert.isAtMost(error.logTail.length, 8192)
    }).pipe(Effect.scoped))

  for (const fault of ["down", "garbage", "silent", "loud"]) {
    it.live(`is not to be had from an engine that is ${fault}, and that is not the tree's fault`, () =>
      Effect.gen(function*() {
        const { home, options } = yield* fakeEngine("docker", [fault])
        const patient = { ...options, answerTimeout: fault === "silent" ? "500 millis" : "1 minute" } as const
        const error = yield* Effect.flip(build(patient, yield* treeWith(home, "aaaa")))
        assert.strictEqual(error.failure, "engine-unreachable")
        assert.isTrue(isOfTheMachine(error.failure))
        assert.isBelow(error.message.length, 2000)
        assert.match(error.message, /docker info/)
        const artifacts = yield* Artifacts.pipe(Effect.provide(ContainerImage.layer(patient)))
        for (
          const attempt of [
            Effect.asVoid(artifacts.resolve({ commit: "aaaa" })),
            ContainerImage.probe(patient)
          ]
        ) {
          assert.strictEqual((yield* Effect.flip(attempt)).failure, "engine-unreachable")
        }
      }).pipe(Effect.scoped))
  }

  for (const fault of ["no-id", "other-id", "bad-id"]) {
    it.live(`is found by its name where the engine's file has ${fault.replace("-", " ")}`, () =>
      Effect.gen(function*() {
        const { home, options } = yield* fakeEngine("docker", [fault])
        const artifact = yield* build(options, yield* treeWith(home, "aaaa"))
        assert.match(artifact!.reference, /^sha256:(?!d{64})[0-9a-f]{64}$/)
      }).pipe(Effect.scoped))
  }
})

/** Whether this process has the text among its arguments. */
const isOf = (pid: string, text: string): boolean => {
  try {
    return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(text)
  } catch {
    return false
  }
}
