/**
 * What a launch does wherever the job then runs: it looks at the working directory, records what was asked for, and is seen
 * through when it is interrupted.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { mkdir, stat } from "node:fs/promises"
import { resolve } from "node:path"
import type { JobHandle, JobRequest, JobResources, LaunchFailed } from "../Execution.ts"
import { createOnce, files, jobId } from "./processFiles.ts"
import type { Command, Exit } from "./processRecords.ts"
import { failureOf } from "./processRequest.ts"

/** How long an interrupted launch may take to be seen through. A wrapper needs a tenth of a second to come up. */
const seenThroughWithin = "10 seconds"

/** The failure of a launch whose directory of records cannot be used. */
export const recordsUnusable = (request: JobRequest, jobDirectory: string) => (cause: unknown): LaunchFailed =>
  failureOf(request)("Infrastructure", `its directory ${jobDirectory} cannot be used: ${cause}`, { cause })

/** The failure of a job whose program the system refused, as its exit record holds it; undefined where there is none. */
export const refusedStart = (request: JobRequest, exit: Exit | undefined): LaunchFailed | undefined =>
  exit === undefined || exit.startError === null
    ? undefined
    : failureOf(request)("ProgramNotStarted", exit.startError.message, { code: exit.startError.code })

/** What is recorded of a request. `resources` is absent where no scheduler looks at it. */
export const recordCommand = Effect.fnUntraced(function*(
  request: JobRequest,
  jobDirectory: string,
  graceMillis: number,
  resources?: JobResources
): Effect.fn.Return<Command, LaunchFailed> {
  const directory = resolve(request.directory)
  const isThere = yield* Effect.promise(() => stat(directory).then((it) => it.isDirectory(), () => false))
  if (!isThere) {
    return yield* failureOf(request)("DirectoryMissing", `its working directory ${directory} is not there`, {
      code: "ENOENT"
    })
  }
  const command: Command = {
    version: 1,
    id: jobId(request.key),
    key: request.key,
    argv: request.argv,
    directory,
    environment: request.environment,
    timeoutMillis: request.timeoutMillis ?? null,
    graceMillis,
    requestedAt: yield* Clock.currentTimeMillis,
    ...(resources === undefined ? {} : { resources })
  }
  yield* Effect.tryPromise({
    try: async () => {
      await mkdir(jobDirectory, { recursive: true })
      // The first request of a key stays.
      await createOnce(jobDirectory, files.command, JSON.stringify(command))
    },
    catch: recordsUnusable(request, jobDirectory)
  })
  return command
})

/**
 * Sees an interrupted launch through: stopped half-way, the job could begin after whoever interrupted had looked for it
 * (`find`, to cancel it) and found nothing. One that takes too long for that is interrupted, and `orElse` runs.
 */
export const seenThrough = (
  launching: Effect.Effect<JobHandle, LaunchFailed>,
  orElse: Effect.Effect<void> = Effect.void
): Effect.Effect<JobHandle, LaunchFailed> => {
  const settle = Effect.fnUntraced(function*(fiber: Fiber.Fiber<JobHandle, LaunchFailed>) {
    const ended = yield* Effect.timeoutOption(Fiber.await(fiber), seenThroughWithin)
    if (Option.isSome(ended)) return
    yield* Fiber.interrupt(fiber)
    yield* orElse
  })
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(launching, { startImmediately: true }),
      (fiber) => restore(Fiber.join(fiber)).pipe(Effect.onInterrupt(() => settle(fiber)))
    )
  )
}
