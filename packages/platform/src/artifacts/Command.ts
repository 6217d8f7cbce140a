/**
 * Artifacts built by a command that runs in the experiment's tree.
 *
 * The command is an argument vector; no shell reads it. What it prints goes to the log file in the
 * order it was printed. It ends, with all that it started, when it takes too long, when the build is
 * interrupted, and when the engine dies.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { type Artifact, Artifacts, BuildFailed, type BuildFailure, type BuildRequest } from "../Artifacts.ts"
import { keep, restore } from "../internal/commandCache.ts"
import { openLog, readTail } from "../internal/commandLog.ts"
import { type Ended, runSupervised } from "../internal/commandSupervised.ts"
import { segmentsOf } from "../internal/guard.ts"

/** What is run, and what of it is an artifact. */
export interface Options {
  /** Program and arguments. The working directory is the tree. */
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  /** Variables beside those of this process. `ESPALIER_COMMIT` is set for every build. */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** How long a build may take. No limit when left out. */
  readonly timeout?: Duration.Input | undefined
  /** How long it has to end by itself, after SIGTERM and before SIGKILL. Default 5 seconds. */
  readonly grace?: Duration.Input | undefined
  /**
   * What the artifact is. Default: kind `tree`, named by the commit: the build is in the tree. With
   * `lastLine`, the artifact is elsewhere (an image, a package) and the last line that the command
   * prints is its name.
   */
  readonly artifact?: { readonly kind: string; readonly reference: "commit" | "lastLine" } | undefined
  /**
   * Do not build the same twice: what a command made of a commit is kept in `directory`. `outputs`
   * are the paths below the tree, files or directories, that the command makes and the job needs; they
   * are copied back into a fresh tree. An empty list states that the artifact is not in the tree. No
   * cache when left out.
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
  Layer.succeed(
    Artifacts,
    Artifacts.of({
      build: (request) =>
        Effect.gen(function*() {
          const cached = yield* findCached(options, request)
          if (cached !== undefined) return cached
          const artifact = yield* runBuild(options, request)
          yield* keepCached(options, request, artifact)
          return artifact
        })
    })
  )

/** A file operation of the layer's own. Not interruptible, so that none goes on after its effect was given up. */
const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, string> =>
  Effect.uninterruptible(Effect.tryPromise({
    try: run,
    catch: (error) => error instanceof Error ? error.message : String(error)
  }))

const runBuild = (options: Options, request: BuildRequest): Effect.Effect<Artifact, BuildFailed> =>
  Effect.gen(function*() {
    const { argv, timeout } = options
    const startedAt = yield* Clock.currentTimeMillis
    const fail = (
      failure: BuildFailure,
      what: string,
      details: { readonly ended?: Ended; readonly logTail?: string }
    ) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const logTail = details.logTail ?? ""
        return Effect.fail(
          new BuildFailed({
            failure,
            argv,
            exitCode: details.ended?.exitCode ?? null,
            signal: details.ended?.signal ?? null,
            logTail,
            log: request.log,
            durationMillis: now - startedAt,
            message: `The build command ${JSON.stringify(argv)} ${what}` +
              (logTail === "" ? "" : `. It ended with: ${logTail.split("\n").at(-1)}. All of it is in ${request.log}`)
          })
        )
      })
    for (const output of options.cache?.outputs ?? []) {
      const refused = Result.getFailure(segmentsOf(output))
      if (Option.isNone(refused)) continue
      return yield* fail("not-started", `has an output that is no path below the tree: ${refused.value.message}`, {})
    }
    const ended = yield* supervise(options, request).pipe(
      Effect.catch((detail) =>
        fail("not-started", `could not be started: ${detail}. Correct build.argv, or install the program`, {})
      ),
      (run) =>
        timeout === undefined
          ? run
          : Effect.timeoutOrElse(run, { duration: timeout, orElse: () => Effect.succeed("timed-out" as const) })
    )
    const logTail = yield* Effect.catch(
      attempt(() => readTail(request.log)),
      (detail) => fail("nothing-built", `left a log that cannot be read (${detail}): ${request.log}`, {})
    )
    if (ended === "timed-out") {
      const limit = Duration.format(Duration.fromInputUnsafe(timeout!))
      return yield* fail("timed-out", `took longer than ${limit} and was ended. Raise build.timeout, or see why`, {
        logTail
      })
    }
    if (ended.exitCode === null) {
      const how = ended.signal === null ? "together with its supervisor" : `by ${ended.signal}`
      const hint = "Something outside ended it, for want of memory perhaps"
      return yield* fail("killed", `was ended ${how}. ${hint}`, { ended, logTail })
    }
    if (ended.exitCode !== 0) {
      return yield* fail("exited", `ended with exit code ${ended.exitCode}`, { ended, logTail })
    }
    for (const output of options.cache?.outputs ?? []) {
      const path = Path.join(request.tree, output)
      if (yield* Effect.isSuccess(attempt(() => fs.lstat(path)))) continue
      const what = `ended well but did not make ${path}, which build.cache.outputs names`
      return yield* fail("nothing-built", what, { ended, logTail })
    }
    const { kind, reference } = options.artifact ?? { kind: "tree", reference: "commit" }
    if (reference === "commit") return { kind, reference: request.commit }
    const lastLine = logTail.split("\n").at(-1)!.trim()
    if (lastLine !== "") return { kind, reference: lastLine }
    return yield* fail("nothing-built", `ended well but printed nothing, and its last line is to name the artifact`, {
      ended
    })
  })

const supervise = (options: Options, request: BuildRequest): Effect.Effect<Ended, string> =>
  Effect.acquireUseRelease(
    Effect.mapError(attempt(() => openLog(request.log)), (detail) =>
      `its log ${request.log} cannot be written (${detail})`),
    (log) =>
      Effect.mapError(
        runSupervised({
          argv: options.argv,
          directory: request.tree,
          environment: { ...process.env, ...options.environment, ESPALIER_COMMIT: request.commit },
          output: log.fd,
          graceMillis: Duration.toMillis(Duration.fromInputUnsafe(options.grace ?? "5 seconds"))
        }),
        (error) =>
          error.detail
      ),
    (log) =>
      Effect.catch(
        attempt(() => log.close()),
        (detail) => Effect.logWarning(`Closing ${request.log} failed: ${detail}`)
      )
  )

/** Everything that the result depends on, apart from the machine. */
const keyOf = (options: Options, request: BuildRequest): string =>
  createHash("sha256").update(JSON.stringify([
    request.commit,
    options.argv,
    Object.entries(options.environment ?? {}).sort(([one], [other]) => one < other ? -1 : 1),
    options.artifact ?? null,
    [...options.cache?.outputs ?? []].sort()
  ])).digest("hex")

/** A cache is an aid: what is wrong with it is told, and costs a build. */
const findCached = (options: Options, request: BuildRequest): Effect.Effect<Artifact | undefined> => {
  const cache = options.cache
  if (cache === undefined) return Effect.undefined
  return attempt(() => restore(cache.directory, keyOf(options, request), request.tree, cache.outputs)).pipe(
    Effect.catch((detail) => Effect.as(Effect.logWarning(`A cached build is not usable: ${detail}`), undefined))
  )
}

const keepCached = (options: Options, request: BuildRequest, artifact: Artifact): Effect.Effect<void> =>
  Effect.gen(function*() {
    const cache = options.cache
    if (cache === undefined) return
    const entry = {
      artifact,
      commit: request.commit,
      argv: options.argv,
      builtAtMillis: yield* Clock.currentTimeMillis
    }
    yield* attempt(() => keep(cache.directory, keyOf(options, request), request.tree, cache.outputs, entry)).pipe(
      Effect.catch((detail) => Effect.logWarning(`A build could not be cached: ${detail}`))
    )
  })
