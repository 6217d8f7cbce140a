/**
 * Asks a container engine short questions. Whether it answers is told by its exit codes, never by its messages, which
 * differ between versions and languages: an engine that lists images is there.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import type { Options } from "../artifacts/ContainerImage.ts"
import { CommandNotStarted } from "./command.ts"
import { attempt } from "./commandBuild.ts"
import { tailOf } from "./commandLog.ts"
import {
  answerTimeoutProblem,
  defaultAnswerTimeout,
  findArguments,
  imageId,
  imageIds,
  inspectArguments
} from "./containerCommand.ts"
import { inherited } from "./inheritedEnvironment.ts"
import { runSupervised } from "./supervised.ts"

/** The engine gave no answer. */
export class EngineTrouble extends Data.TaggedError("EngineTrouble")<{
  readonly failure: "engine-missing" | "engine-unreachable"
  readonly message: string
}> {}

/** What a question came to. */
export interface Answer {
  readonly exitCode: number | null
  readonly stdout: string
  /** Its last lines. */
  readonly stderr: string
}

const longestAnswerBytes = 4 * 1024 * 1024

export const programOf = (options: Options): string => options.program ?? options.engine

/** No such program, or none that may be run. */
export const engineMissing = (options: Options, error: CommandNotStarted): string =>
  `There is no container engine ${JSON.stringify(programOf(options))} on this machine that can be run: ` +
  `${error.detail}. Install ${options.engine}, or correct build.engine`

const unreachable = (options: Options, what: string): EngineTrouble =>
  new EngineTrouble({
    failure: "engine-unreachable",
    message: `The container engine ${JSON.stringify(programOf(options))} ${what}. ` + (options.engine === "docker"
      ? "Start its daemon, or correct DOCKER_HOST or the context that point to it; `docker info` says more"
      : "`podman info` says more; correct its storage or connection")
  })

/** A file that has no name any more, so that nothing is left of it whatever ends this process. */
const openNameless = async (): Promise<fs.FileHandle> => {
  const path = Path.join(tmpdir(), `espalier-${randomUUID()}`)
  const handle = await fs.open(path, "wx+", 0o600)
  await fs.rm(path)
  return handle
}

const read = async (handle: fs.FileHandle, size: number): Promise<string> => {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, 0)
  return buffer.toString("utf8", 0, bytesRead)
}

/** Puts a question. Every exit code is an answer. It ends with the engine that asks, as builds do. */
export const ask = (options: Options, args: ReadonlyArray<string>): Effect.Effect<Answer, EngineTrouble> => {
  const limit = options.answerTimeout ?? defaultAnswerTimeout
  // A build tells it with all else that is wrong with the options; whoever only looks for an image learns it here.
  const problem = answerTimeoutProblem(options)
  if (problem !== undefined) return Effect.fail(new EngineTrouble({ failure: "engine-unreachable", message: problem }))
  const words = JSON.stringify(args.slice(0, 2).join(" "))
  const io = <A>(run: () => Promise<A>) =>
    Effect.mapError(attempt(run), (detail) => unreachable(options, `cannot be asked: ${detail}`))
  const nameless = Effect.acquireRelease(io(openNameless), (handle) => Effect.ignore(io(() => handle.close())))
  return Effect.gen(function*() {
    const [output, errors] = [yield* nameless, yield* nameless]
    const ended = yield* runSupervised({
      argv: [programOf(options), ...options.engineArguments ?? [], ...args],
      directory: tmpdir(),
      environment: { ...inherited(options.withheld), ...options.environment },
      output: output.fd,
      errors: errors.fd,
      graceMillis: 1000
    })
    const { size } = yield* io(() => output.stat())
    if (size > longestAnswerBytes) return yield* unreachable(options, `answers ${words} with ${size} bytes`)
    const stdout = yield* io(() => read(output, size))
    return { exitCode: ended.exitCode, stdout, stderr: yield* io(() => tailOf(errors)) }
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      (error) => error instanceof CommandNotStarted,
      (error) => Effect.fail(new EngineTrouble({ failure: "engine-missing", message: engineMissing(options, error) }))
    ),
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => {
        const within = Duration.format(Duration.fromInputUnsafe(limit))
        return Effect.fail(unreachable(options, `did not answer ${words} within ${within}`))
      }
    })
  )
}

/** The image with this key, the newest where there are several. Also the way to learn whether the engine answers. */
export const findImage = (options: Options, key: string): Effect.Effect<string | undefined, EngineTrouble> =>
  Effect.flatMap(ask(options, findArguments(key)), ({ exitCode, stderr, stdout }) => {
    if (exitCode !== 0) {
      const how = exitCode === null ? "was killed" : `ended with exit code ${exitCode}`
      const said = stderr === "" ? "" : `: ${stderr.split("\n").at(-1)}`
      return Effect.fail(unreachable(options, `cannot list its images, it ${how}${said}`))
    }
    const ids = imageIds(stdout)
    if (ids !== undefined) return Effect.succeed(ids[0])
    return Effect.fail(unreachable(options, `lists as images what is none: ${JSON.stringify(stdout.slice(0, 200))}`))
  })

/** The id of the image with this name or id; undefined where the engine has none. */
export const inspectImage = (options: Options, image: string): Effect.Effect<string | undefined, EngineTrouble> =>
  Effect.gen(function*() {
    const { exitCode, stdout } = yield* ask(options, inspectArguments(image))
    if (exitCode === 0) {
      const id = imageId(stdout)
      if (id !== undefined) return id
      return yield* unreachable(options, `names as an image's id what is none: ${JSON.stringify(stdout.slice(0, 200))}`)
    }
    // It has no such image, or it does not work: then it does not answer this either.
    yield* findImage(options, "none")
    return undefined
  })
