/**
 * Artifacts built by a command that runs in the experiment's tree.
 *
 * The command is an argument vector; no shell reads it. What it prints goes to the log file in the
 * order it was printed. It ends, with all that it started, when it takes too long, when the build is
 * interrupted, and when the engine dies.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import {
  type Artifact,
  type ArtifactLookupFailed,
  Artifacts,
  type BuildFailed,
  type BuildRequest
} from "../Artifacts.ts"
import { checkName, lookupFailed } from "../internal/artifactLookup.ts"
import { makeTurns } from "../internal/artifactTurns.ts"
import { attempt, attemptLong, beginBuild } from "../internal/commandBuild.ts"
import { type Entry, find, findNamed, keep, keyWith, restore, writeName } from "../internal/commandCache.ts"
import { writeLog } from "../internal/commandLog.ts"
import { isMade, outputProblem } from "../internal/commandOutputs.ts"
import { inherited } from "../internal/inheritedEnvironment.ts"

/** What is run, and what of it is an artifact. */
export interface Options {
  /** Program and arguments. The working directory is the tree. */
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  /** Variables beside those of this process. `ESPALIER_COMMIT` is set for every build. */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /**
   * Names of variables of this process' environment that the command does not get, such as the one that holds an
   * agent's key. `environment` may still give one of that name.
   */
  readonly withheld?: ReadonlyArray<string> | undefined
  /** How long a build may take. No limit when left out. */
  readonly timeout?: Duration.Input | undefined
  /** How long it has to end by itself, after SIGTERM and before SIGKILL. Default 5 seconds. */
  readonly grace?: Duration.Input | undefined
  /**
   * What the artifact is. Default: kind `tree`, named by the commit: the build is in the tree. With
   * `lastLine`, the artifact is elsewhere (an image, a package) and the last line that the command
   * prints is its name: up to 1024 characters, without colours and control characters.
   */
  readonly artifact?: { readonly kind: string; readonly reference: "commit" | "lastLine" } | undefined
  /**
   * Do not build the same twice: what a command made of a commit is kept in `directory`. `outputs`
   * are the paths below the tree, files or directories, that the command makes and the job needs; they
   * are copied back into a fresh tree, in place of what is there. An output that is a link is what it leads to, which
   * has to be in the tree; links in an output are copied as links. A pipe or socket in it cannot be kept, nor can a name
   * that is no UTF-8. An empty list states that the artifact is not in the tree. The same is what has the same commit, argv, `environment`, `artifact` and outputs; the rest of the
   * machine, such as its compiler, is not looked at. Without a cache everything is built, nothing is remembered,
   * and nothing can be named.
   */
  readonly cache?: { readonly directory: string; readonly outputs: ReadonlyArray<string> } | undefined
}

/**
 * The layer of one build command.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { mkdtempSync, readFileSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import { Effect } from "effect"
 * import { Artifacts } from "@espalier/platform/Artifacts"
 * import * as Command from "@espalier/platform/artifacts/Command"
 *
 * const tree = mkdtempSync(join(tmpdir(), "espalier-example-"))
 * const script = "console.log('compiling'); require('node:fs').writeFileSync('out.js', '42')"
 *
 * const program = Effect.gen(function*() {
 *   const artifacts = yield* Artifacts
 *   return yield* artifacts.build({ tree, commit: "c0ffee", log: join(tree, "build.log") })
 * }).pipe(Effect.provide(Command.layer({ argv: [process.execPath, "-e", script], timeout: "1 minute" })))
 *
 * assert.deepEqual(await Effect.runPromise(program), { kind: "tree", reference: "c0ffee" })
 * assert.equal(readFileSync(join(tree, "build.log"), "utf8"), "compiling\n")
 * rmSync(tree, { recursive: true })
 * ```
 */
export const layer = (options: Options): Layer.Layer<Artifacts> =>
  Layer.sync(Artifacts, () => {
    const inTurn = makeTurns()
    const build = (request: BuildRequest) =>
      Effect.gen(function*() {
        const cached = yield* findCached(options, request)
        if (cached !== undefined) return cached
        const artifact = yield* runBuild(options, request)
        yield* keepCached(options, request, artifact)
        return artifact
      })
    return Artifacts.of({
      build: (request) => options.cache === undefined ? build(request) : inTurn(request.commit, build(request)),
      resolve: (sought) => resolve(options, sought),
      tag: (artifact, name) => tag(options, artifact, name)
    })
  })

const longestReference = 1024

const runBuild = (options: Options, request: BuildRequest): Effect.Effect<Artifact, BuildFailed> =>
  Effect.gen(function*() {
    const { argv, environment, grace, timeout, withheld } = options
    const outputs = options.cache?.outputs ?? []
    const { fail, run } = yield* beginBuild(request, argv)
    for (const output of outputs) {
      const problem = outputProblem(output)
      if (problem === undefined) continue
      const what = `has an output that is no path below the tree: ${JSON.stringify(output)}, for ${problem}`
      return yield* fail("not-started", `${what}. Correct build.cache.outputs`)
    }
    const { exitCode, logTail } = yield* run({
      argv,
      environment: { ...inherited(withheld), ...environment, ESPALIER_COMMIT: request.commit },
      timeout,
      grace,
      crashed: "exited",
      notStarted: ({ detail }) => ({
        failure: "not-started",
        what: `could not be started: ${detail}. Correct build.argv, or install the program`
      })
    })
    const ended = { exitCode, signal: null }
    if (exitCode !== 0) return yield* fail("exited", `ended with exit code ${exitCode}`, { ended, logTail })
    for (const output of outputs) {
      const isThere = yield* Effect.catch(
        attempt(() => isMade(request.tree, output)),
        (detail) =>
          fail("refused", `ended well, but its output ${JSON.stringify(output)} cannot be taken: ${detail}`, {
            ended,
            logTail
          })
      )
      if (isThere) continue
      const what = `ended well but did not make ${request.tree}/${output}, which build.cache.outputs names`
      return yield* fail("nothing-built", what, { ended, logTail })
    }
    const { kind, reference } = options.artifact ?? { kind: "tree", reference: "commit" }
    if (reference === "commit") return { kind, reference: request.commit }
    const lastLine = logTail.split("\n").at(-1)!.trim()
    if (lastLine !== "" && lastLine.length <= longestReference) return { kind, reference: lastLine }
    const what = lastLine === "" ? "printed nothing" : `printed a last line of more than ${longestReference} characters`
    return yield* fail("nothing-built", `ended well but ${what}, and its last line is to name the artifact`, { ended })
  })

/** Everything that the result depends on, apart from the machine. */
const keyOf = (options: Options, commit: string): string =>
  createHash("sha256").update(JSON.stringify([
    commit,
    options.argv,
    Object.entries(options.environment ?? {}).sort(([one], [other]) => one < other ? -1 : 1),
    options.artifact ?? null,
    [...options.cache?.outputs ?? []].sort()
  ])).digest("hex")

/** A cache is an aid to builds: what is wrong with it is told, and costs a build. */
const findCached = (options: Options, request: BuildRequest): Effect.Effect<Artifact | undefined> => {
  const cache = options.cache
  // What is wrong with the outputs is told by the build.
  if (cache === undefined || cache.outputs.some((output) => outputProblem(output) !== undefined)) {
    return Effect.undefined
  }
  return attemptLong(async (signal) => {
    const entry = await restore(cache.directory, keyOf(options, request.commit), request.tree, cache.outputs, signal)
    if (entry === undefined) return undefined
    const at = new Date(entry.builtAtMillis).toISOString()
    await writeLog(
      request.log,
      `Nothing was run: ${request.commit} was built at ${at}, and kept in ${cache.directory}\n`
    )
    return entry.artifact
  }).pipe(
    Effect.catch((detail) => Effect.as(Effect.logWarning(`A cached build is not usable: ${detail}`), undefined))
  )
}

const keepCached = (options: Options, request: BuildRequest, artifact: Artifact): Effect.Effect<void> =>
  Effect.gen(function*() {
    const cache = options.cache
    if (cache === undefined) return
    const built = {
      artifact,
      commit: request.commit,
      argv: options.argv,
      builtAtMillis: yield* Clock.currentTimeMillis
    }
    const key = keyOf(options, request.commit)
    yield* attemptLong((signal) => keep(cache.directory, key, request.tree, cache.outputs, built, signal)).pipe(
      Effect.catch((detail) => Effect.logWarning(`A build could not be cached: ${detail}`))
    )
  })

const unusable = (directory: string, subject: string) => (detail: string) =>
  lookupFailed(
    "unusable",
    subject,
    `The cache of builds in ${directory} cannot be used: ${detail}. Mend or delete it: what it held is built again`
  )

const resolve = (
  { cache, ...options }: Options,
  sought: Parameters<Artifacts["Service"]["resolve"]>[0]
): ReturnType<Artifacts["Service"]["resolve"]> => {
  if (cache === undefined) return Effect.undefined
  const look = (): Promise<Entry | undefined> =>
    "commit" in sought
      ? find(cache.directory, keyOf({ cache, ...options }, sought.commit))
      : findNamed(cache.directory, sought.name)
  return attempt(look).pipe(
    Effect.map((entry) => entry?.artifact),
    Effect.catch(unusable(cache.directory, "commit" in sought ? sought.commit : sought.name))
  )
}

const tag = (
  { cache }: Options,
  artifact: Artifact,
  name: string
): Effect.Effect<void, ArtifactLookupFailed> =>
  Effect.gen(function*() {
    yield* checkName(name)
    if (cache === undefined) {
      const message = `The build command remembers no artifacts, so ${artifact.reference} cannot be named ` +
        `${JSON.stringify(name)}. Give it a cache (build.cache)`
      return yield* lookupFailed("keeps-nothing", artifact.reference, message)
    }
    const { directory } = cache
    const key = yield* Effect.catch(
      attempt(() => keyWith(directory, artifact)),
      unusable(directory, artifact.reference)
    )
    if (key === undefined) {
      const message = `The cache of builds in ${directory} has no ${artifact.kind} ${artifact.reference} to be named ` +
        `${JSON.stringify(name)}. Build it first`
      return yield* lookupFailed("unknown-artifact", artifact.reference, message)
    }
    yield* Effect.catch(attempt(() => writeName(directory, name, key)), unusable(directory, name))
  })
