/**
 * Artifacts that are container images, built from the experiment's tree by `docker` or `podman`.
 *
 * The engine's own program does it, started from an argument vector; no shell reads anything. The artifact is the
 * image's id. An image carries as labels the commit and a digest of the way in which it was built: where there is one with
 * the same, it is taken, and nothing is built. What an engine's daemon runs ends because its client does; what podman
 * runs is ended here.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import {
  type Artifact,
  ArtifactLookupFailed,
  Artifacts,
  type BuildFailed,
  type BuildRequest,
  isArtifactName
} from "../Artifacts.ts"
import { checkName, lookupFailed } from "../internal/artifactLookup.ts"
import { makeTurns } from "../internal/artifactTurns.ts"
import { attempt, beginBuild, type Build } from "../internal/commandBuild.ts"
import { writeLog } from "../internal/commandLog.ts"
import {
  buildArgv,
  fullName,
  imageId,
  imageName,
  keyOf,
  problemsOf,
  tagArguments
} from "../internal/containerCommand.ts"
import { ask, engineMissing, type EngineTrouble, findImage, inspectImage } from "../internal/containerEngine.ts"
import { placeOfBuild } from "../internal/containerPlace.ts"
import { inherited } from "../internal/inheritedEnvironment.ts"

/** Which engine builds what. */
export interface Options {
  /** Whose command line the program has. */
  readonly engine: "docker" | "podman"
  /** The program, by name or path. Default: the engine's name. */
  readonly program?: string | undefined
  /** Arguments before the engine's command, such as `--context=build` or `--root=/images`. */
  readonly engineArguments?: ReadonlyArray<string> | undefined
  /** Variables beside those of this process, such as `DOCKER_HOST`. */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /**
   * Names of variables of this process' environment that the engine does not get, such as the one that holds an
   * agent's key. `environment` may still give one of that name.
   */
  readonly withheld?: ReadonlyArray<string> | undefined
  /**
   * The Dockerfile or Containerfile, as a path below the tree. Default: the one that the engine takes by itself in the
   * context, then the other.
   */
  readonly file?: string | undefined
  /** What is sent to the engine, as a path below the tree. Default: the tree. */
  readonly context?: string | undefined
  /** The stage to build. Default: the last. */
  readonly target?: string | undefined
  /** Values of the Dockerfile's `ARG`s. They can be read from the image: no place for secrets. */
  readonly buildArguments?: Readonly<Record<string, string>> | undefined
  /** Labels beside `espalier.commit` and `espalier.build`. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** More options of the engine's build, each as one `--name=value`, such as `--network=none` or `--pull`. */
  readonly buildOptions?: ReadonlyArray<string> | undefined
  /** The images' name, without a tag. Default `localhost/espalier`; the tag is made of the commit and the way to build. */
  readonly repository?: string | undefined
  /** How long a build may take. No limit when left out. */
  readonly timeout?: Duration.Input | undefined
  /** How long a build has to end by itself, after SIGTERM and before SIGKILL. Default 5 seconds. */
  readonly grace?: Duration.Input | undefined
  /** How long the engine has for an answer that is no build. Default 1 minute. */
  readonly answerTimeout?: Duration.Input | undefined
}

/**
 * What is wrong with these options, each in a sentence. A build with such options fails with `not-started`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
 *
 * assert.deepEqual(ContainerImage.problems({ engine: "podman", file: "docker/Dockerfile" }), [])
 * assert.deepEqual(ContainerImage.problems({ engine: "docker", file: "../Dockerfile" }), [
 *   "\"../Dockerfile\" is no path below the tree"
 * ])
 * ```
 */
export const problems = (options: Options): ReadonlyArray<string> => problemsOf(options)

/**
 * Asks the engine for an answer, so that a missing one is known before anything is built. Fails with `engine-missing` or
 * `engine-unreachable`.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
 *
 * const error = await Effect.runPromise(
 *   Effect.flip(ContainerImage.probe({ engine: "podman", program: "/no/such/podman" }))
 * )
 * assert.equal(error.failure, "engine-missing")
 * ```
 */
export const probe = (options: Options): Effect.Effect<void, ArtifactLookupFailed> =>
  findImage(options, "none").pipe(Effect.asVoid, Effect.mapError(asLookup(options.engine)))

/**
 * The layer of images built by one engine.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import { Artifacts } from "@espalier/platform/Artifacts"
 * import * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
 *
 * const tree = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * writeFileSync(join(tree, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
 *
 * const program = Effect.gen(function*() {
 *   const artifacts = yield* Artifacts
 *   return yield* artifacts.build({ tree, commit: "c0ffee", log: join(tree, "build.log") })
 * }).pipe(Effect.provide(ContainerImage.layer({ engine: "docker", program: "no-such-docker", timeout: "10 minutes" })))
 *
 * // With docker on the machine this is { kind: "image", reference: "sha256:..." }.
 * const error = await Effect.runPromise(Effect.flip(program))
 * assert.equal(error.failure, "engine-missing")
 * rmSync(tree, { recursive: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Artifacts> =>
  Layer.sync(Artifacts, () => {
    const inTurn = makeTurns()
    return Artifacts.of({
      build: (request) => inTurn(request.commit, build(options, request)),
      resolve: (sought) => resolve(options, sought),
      tag: (artifact, name) => tag(options, artifact, name)
    })
  })

const image = (reference: string): Artifact => ({ kind: "image", reference })

const asLookup = (subject: string) => ({ failure, message }: EngineTrouble) =>
  new ArtifactLookupFailed({ failure, subject, message })

const build = (options: Options, request: BuildRequest): Effect.Effect<Artifact, BuildFailed> =>
  Effect.gen(function*() {
    const key = keyOf(options, request.commit)
    const idFile = `${request.log}.${randomUUID()}.id`
    const planned = yield* beginBuild(request, [options.program ?? options.engine, "build"])
    const wrong = problemsOf(options)
    if (wrong.length > 0) return yield* planned.fail("not-started", `is not possible. ${wrong.join(". ")}`)
    const place = yield* Effect.catch(
      attempt(() => placeOfBuild(options, request.tree)),
      (detail) => planned.fail("refused", `has nothing to build from: ${detail}`)
    )
    const found = yield* Effect.catch(findImage(options, key), trouble(planned))
    if (found !== undefined) {
      yield* note(
        request,
        `Nothing was built: the image ${found} was built of ${request.commit} in the same way before\n`
      )
      return image(found)
    }
    const argv = buildArgv(options, request.commit, { ...place, idFile })
    const begun = yield* beginBuild(request, argv)
    return yield* Effect.ensuring(
      runBuild(options, request, begun, argv, idFile),
      Effect.ignore(attempt(() => fs.rm(idFile, { force: true })))
    )
  })

const runBuild = (
  options: Options,
  request: BuildRequest,
  { fail, run }: Build,
  argv: readonly [string, ...ReadonlyArray<string>],
  idFile: string
): Effect.Effect<Artifact, BuildFailed> =>
  Effect.gen(function*() {
    const { exitCode, logTail } = yield* run({
      argv,
      environment: { ...inherited(options.withheld), ...options.environment },
      timeout: options.timeout,
      grace: options.grace,
      // It is the engine's program that crashes here: what the tree's steps do, it tells by its exit code.
      crashed: "killed",
      notStarted: (error) =>
        error.directoryMissing
          ? { failure: "not-started", what: `could not be started: ${error.detail}` }
          : { failure: "engine-missing", what: `could not be started. ${engineMissing(options, error)}` }
    })
    const ended = { exitCode, signal: null }
    const lost = trouble({ fail }, { ended, logTail })
    if (exitCode !== 0) {
      // An engine that is gone by now is the reason, and not the tree.
      yield* Effect.catch(findImage(options, "none"), lost)
      return yield* fail("exited", `ended with exit code ${exitCode}`, { ended, logTail })
    }
    // The file has the image of this very build. Some versions write an id that they do not know afterwards, or nothing.
    const written = yield* Effect.orElseSucceed(attempt(() => fs.readFile(idFile, "utf8")), () => "")
    for (const candidate of [imageId(written), imageName(options, request.commit)]) {
      if (candidate === undefined) continue
      const id = yield* Effect.catch(inspectImage(options, candidate), lost)
      if (id !== undefined) return image(id)
    }
    const what =
      "ended well, but the engine has no such image afterwards. A builder of its own (BUILDX_BUILDER) keeps its " +
      "images to itself: unset it, or have it load them"
    return yield* fail("nothing-built", what, { ended, logTail })
  })

const trouble =
  ({ fail }: Pick<Build, "fail">, details?: Parameters<Build["fail"]>[2]) => ({ failure, message }: EngineTrouble) =>
    fail(failure, `cannot succeed. ${message}`, details)

/** What the log says of a build that did not run is a courtesy. */
const note = ({ log }: BuildRequest, text: string): Effect.Effect<void> =>
  Effect.catch(
    attempt(() => writeLog(log, text)),
    (detail) => Effect.logWarning(`The log ${log} cannot be written: ${detail}`)
  )

const resolve = (
  options: Options,
  sought: Parameters<Artifacts["Service"]["resolve"]>[0]
): ReturnType<Artifacts["Service"]["resolve"]> => {
  if ("name" in sought && !isArtifactName(sought.name)) return Effect.undefined
  const [subject, found] = "commit" in sought
    ? [sought.commit, findImage(options, keyOf(options, sought.commit))] as const
    : [sought.name, inspectImage(options, fullName(sought.name))] as const
  return found.pipe(
    Effect.map((id) => id === undefined ? undefined : image(id)),
    Effect.mapError(asLookup(subject))
  )
}

const tag = (options: Options, artifact: Artifact, name: string): Effect.Effect<void, ArtifactLookupFailed> =>
  Effect.gen(function*() {
    yield* checkName(name)
    const unknown = lookupFailed(
      "unknown-artifact",
      artifact.reference,
      `${options.engine} has no ${artifact.kind} ${JSON.stringify(artifact.reference)} to be named ` +
        `${JSON.stringify(name)}. Build it first`
    )
    const id = artifact.kind === "image" ? imageId(artifact.reference) : undefined
    if (id === undefined) return yield* unknown
    const inTrouble = Effect.mapError(asLookup(artifact.reference))
    const { exitCode, stderr } = yield* inTrouble(ask(options, tagArguments(id, fullName(name))))
    if (exitCode === 0) return
    if ((yield* inTrouble(inspectImage(options, id))) === undefined) return yield* unknown
    return yield* lookupFailed(
      "unusable",
      artifact.reference,
      `${options.engine} does not name ${id} ${JSON.stringify(name)}: ${stderr.split("\n").at(-1)}`
    )
  })
