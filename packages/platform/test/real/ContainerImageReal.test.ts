// Images built by real engines, each with a store of its own in a temporary directory: podman, and docker's
// daemon with both of its builders. Nothing is fetched: the images hold one static program, or one file.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as Path from "node:path"
import { installServices } from "../../../../scripts/require-services.ts"
import { Artifacts, type BuildRequest } from "../../src/Artifacts.ts"
import * as ContainerImage from "../../src/artifacts/ContainerImage.ts"
import * as ArtifactsSuite from "../../src/testing/ArtifactsSuite.ts"
import { goneAll, temporary } from "../process/support/builds.ts"
import { treeWith } from "../process/support/containers.ts"
import { dockerDaemon, type Engine, markOf, podmanStore, processesWith } from "./support/engines.ts"

// Debian's own docker, which has both builders; another one may be first on the PATH.
const services = installServices([
  { program: "podman", debianPackage: "podman", purpose: "build images" },
  { program: "docker", debianPackage: "docker.io", purpose: "build images" },
  { program: "dockerd", debianPackage: "docker.io", purpose: "build images" },
  { program: "busybox", debianPackage: "busybox-static", purpose: "run something in an image that has nothing else" }
], "/usr/bin:/bin")

const build = (options: ContainerImage.Options, request: BuildRequest) =>
  Effect.flatMap(Artifacts, (artifacts) => artifacts.build(request)).pipe(Effect.provide(ContainerImage.layer(options)))

/** A stage that runs this script in an image that holds nothing but a shell. */
const running = (script: string) =>
  `FROM scratch\nCOPY busybox /bin/busybox\nRUN ${JSON.stringify(["/bin/busybox", "sh", "-c", script])}\n`

const treeToRun = (home: string, commit: string, script: string) =>
  Effect.tap(
    treeWith(home, commit, { Dockerfile: running(script), ".dockerignore": "" }),
    ({ tree }) => Effect.sync(() => fs.copyFileSync(services.busybox, Path.join(tree, "busybox")))
  )

/** Processes in sessions of their own that heed no SIGTERM, and can be told by the mark. */
const stubborn = (mark: string) => {
  const deaf = `trap '' TERM; while true; do /bin/busybox sleep 1; done # ${mark}`
  return `trap '' TERM; echo up ${mark}; /bin/busybox setsid /bin/busybox sh -c ${JSON.stringify(deaf)} & ${deaf}`
}

const started: Array<Engine> = []
let podman: Engine
let docker: Engine

beforeAll(async () => {
  started.push(podman = podmanStore(services.podman))
  started.push(docker = await dockerDaemon(services.docker, services.dockerd))
})
afterAll(async () => {
  for (const { remove } of started) await remove()
})

const cases: Readonly<Record<string, { readonly options: () => ContainerImage.Options; readonly exitCode: number }>> = {
  podman: { options: () => podman.options, exitCode: 3 },
  "docker's first builder": {
    options: () => ({ ...docker.options, environment: { ...docker.options.environment, DOCKER_BUILDKIT: "0" } }),
    exitCode: 3
  },
  "docker's BuildKit": {
    options: () => ({ ...docker.options, environment: { ...docker.options.environment, DOCKER_BUILDKIT: "1" } }),
    exitCode: 1
  }
}

let repositories = 0

for (const [name, { exitCode, options }] of Object.entries(cases)) {
  describe(`images built by ${name} keep what all artifacts promise`, () => {
    // Every case has a repository of its own, which sets its images apart from those of the others.
    const layerOf = (more: Partial<ContainerImage.Options> = {}) =>
      Layer.unwrap(
        Effect.sync(() =>
          ContainerImage.layer({ ...options(), repository: `localhost/suite-${++repositories}`, ...more })
        )
      )
    const hanging = { file: "Hanging", grace: "100 millis" } as const
    const subject: ArtifactsSuite.Subject = {
      request: (commit) =>
        Effect.flatMap(temporary, (home) =>
          Effect.tap(
            treeWith(home, commit, {
              Failing: running("echo broken; exit 3"),
              Hanging: running("while true; do /bin/busybox sleep 1; done")
            }),
            ({ tree }) => Effect.sync(() => fs.copyFileSync(services.busybox, Path.join(tree, "busybox")))
          )),
      succeeds: layerOf(),
      remembers: true,
      fails: layerOf({ file: "Failing" }),
      exitCode,
      hangs: layerOf(hanging),
      expires: layerOf({ ...hanging, timeout: "1 second" }),
      missing: layerOf({ program: "no-such-engine" })
    }
    for (const { effect, name } of ArtifactsSuite.cases(subject)) it.live(name, () => effect)
  })

  describe(`an image built by ${name}`, () => {
    it.live("holds what the options say, with values as they are", () =>
      Effect.gen(function*() {
        const home = yield* temporary
        const value = "$(touch x) `id` $HOME ; a \"b\" 'c' * line\nend é🌳 --help"
        const request = yield* treeWith(home, "0123456789abcdef", {
          "docker/It's, \"é\"\n$(x)":
            "FROM scratch AS first\nARG A\nLABEL argument=$A\nCOPY content /content\nFROM first\n" +
            "LABEL stage=second\n",
          "sub/content": "hello"
        })
        const artifact = yield* build({
          ...options(),
          file: "docker/It's, \"é\"\n$(x)",
          context: "sub",
          target: "first",
          buildArguments: { A: value },
          labels: { team: value }
        }, request)
        const [image] = JSON.parse(podmanOrDocker(options(), ["image", "inspect", artifact!.reference])) as [{
          readonly Id: string
          readonly RepoTags: ReadonlyArray<string>
          readonly Config: { readonly Labels: Record<string, string> }
        }]
        assert.strictEqual(`sha256:${image.Id.replace("sha256:", "")}`, artifact!.reference)
        const { argument, stage, team, ...ours } = image.Config.Labels
        assert.strictEqual(argument, value)
        assert.strictEqual(team, value)
        assert.strictEqual(stage, undefined)
        assert.strictEqual(ours["espalier.commit"], "0123456789abcdef")
        assert.match(image.RepoTags.join(), /^localhost\/espalier:0123456789ab-[0-9a-f]{16}$/)
      }).pipe(Effect.scoped))

    it.live("that cannot be built says why, in the engine's words", () =>
      Effect.gen(function*() {
        const home = yield* temporary
        const wrong = {
          "FRUM scratch\n": /FRUM|no FROM/i,
          "FROM scratch\nCOPY gone /\n": /gone/,
          "": /empty|no contents/i
        }
        for (const [Dockerfile, said] of Object.entries(wrong)) {
          const error = yield* Effect.flip(build(options(), yield* treeWith(home, "aaaa", { Dockerfile })))
          assert.strictEqual(error.failure, "exited")
          assert.match(error.logTail, said)
        }
      }).pipe(Effect.scoped))

    for (const how of ["is interrupted", "takes too long", "is killed"] as const) {
      it.effect(`that ${how} leaves no process of a step that heeds no SIGTERM`, () =>
        Effect.gen(function*() {
          const home = yield* temporary
          const mark = markOf()
          const request = yield* treeToRun(home, mark, stubborn(mark))
          const limited = how === "takes too long" ? { timeout: "1 hour" } as const : {}
          const fiber = yield* Effect.forkChild(
            Effect.flip(build({ ...options(), grace: "500 millis", ...limited }, request)),
            { startImmediately: true }
          )
          yield* Effect.promise(async () => {
            // Both loops of the step, and whatever else has the mark in its arguments.
            while (processesWith(`# ${mark}`).length < 2) await new Promise((done) => setTimeout(done, 50))
          })
          const client = processesWith(`--iidfile=${request.log}`)
          assert.isAbove(client.length, 0)
          if (how === "is interrupted") yield* Fiber.interrupt(fiber)
          if (how === "takes too long") yield* TestClock.adjust("1 hour")
          if (how === "is killed") {
            // Long enough for its steps to have been seen.
            yield* Effect.promise(() => new Promise((done) => setTimeout(done, 1500)))
            for (const pid of client) process.kill(pid, "SIGKILL")
          }
          const exit = yield* Fiber.await(fiber)
          if (how === "is interrupted") assert.isTrue(Exit.hasInterrupts(exit))
          else assert.strictEqual((yield* exit).failure, how === "is killed" ? "killed" : "timed-out")
          // What docker's daemon runs ends because its client is gone: by its own time.
          yield* goneAll(processesWith(`# ${mark}`))
          assert.deepStrictEqual(processesWith(mark), [])
        }).pipe(Effect.scoped), 120_000)
    }
  })
}

it.live("docker without its daemon, and podman without its service, are told as such", () =>
  Effect.gen(function*() {
    const home = yield* temporary
    const nowhere = `unix://${home}/none.sock`
    const request = yield* treeWith(home, "aaaa")
    for (
      const options of [
        { engine: "docker", program: services.docker, environment: { DOCKER_HOST: nowhere } },
        { engine: "podman", program: services.podman, engineArguments: ["--remote", `--url=${nowhere}`] }
      ] as const
    ) {
      const error = yield* Effect.flip(build(options, request))
      assert.strictEqual(error.failure, "engine-unreachable")
      assert.strictEqual((yield* Effect.flip(ContainerImage.probe(options))).failure, "engine-unreachable")
    }
    yield* ContainerImage.probe(docker.options)
    yield* ContainerImage.probe(podman.options)
  }).pipe(Effect.scoped))

const podmanOrDocker = (options: ContainerImage.Options, args: ReadonlyArray<string>): string =>
  execFileSync(options.program!, [...options.engineArguments ?? [], ...args], {
    encoding: "utf8",
    env: { ...process.env, ...options.environment }
  })
