/**
 * Following what a job writes into its directory, on whichever machine it runs: the same for every layer whose jobs have
 * a directory that the engine can read.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type ExecutionError,
  isTerminal,
  type JobNotFound,
  type JobProgress,
  type JobStatus,
  type LogStream,
  type TerminalStatus
} from "../Execution.ts"
import { files } from "./processFiles.ts"
import { lastLine, readFrom } from "./processLog.ts"
import { watchFiles } from "./processWatch.ts"

/** How long a change may go unseen where the system does not notify of changes. */
export const slowLook = "1 second"

const logFiles: Record<LogStream, string> = { stdout: files.stdout, stderr: files.stderr, metrics: files.metrics }

/** The terminal status of the job of this directory: its status is asked for again when one of these files has changed. */
export const awaitTerminal = Effect.fnUntraced(function*(
  status: Effect.Effect<JobStatus, ExecutionError | JobNotFound>,
  directory: string,
  names: ReadonlyArray<string>
): Effect.fn.Return<TerminalStatus, ExecutionError | JobNotFound, Scope.Scope> {
  const first = yield* status
  if (isTerminal(first)) return first
  const change = yield* watchFiles(directory, names, slowLook)
  while (true) {
    const now = yield* status
    if (isTerminal(now)) return now
    yield* change
  }
}, Effect.scoped)

/** The last thing that the job of this directory said: in its progress file if it writes one, else in any output. */
export const progressOf = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<Option.Option<JobProgress>, ExecutionError> {
  const said = yield* lastLine([`${directory}/${files.progress}`])
  const printed = yield* lastLine(Object.values(logFiles).map((name) => `${directory}/${name}`))
  if (said === undefined || said.line === "") return Option.fromUndefinedOr(printed)
  // A job that writes the file once and prints from then on is not silent.
  return Option.some({ line: said.line, at: Math.max(said.at, printed?.at ?? 0) })
})

/**
 * The bytes of an output from a byte on, for as long as `isOver` says no, and then to its end. `isOver` is asked each time
 * that nothing new is there, before the wait for more.
 */
export const follow = (
  id: string,
  directory: string,
  options: { readonly stream: LogStream; readonly from?: number },
  isOver: Effect.Effect<boolean, ExecutionError | JobNotFound>
): Stream.Stream<Uint8Array, ExecutionError | JobNotFound> =>
  Stream.unwrap(Effect.gen(function*() {
    const path = `${directory}/${logFiles[options.stream]}`
    const change = yield* watchFiles(directory, [logFiles[options.stream], files.exit, files.verdict], slowLook)
    let told = false
    const next = Effect.fnUntraced(function*(state: { readonly offset: number; readonly complete: boolean }) {
      let { complete } = state
      while (true) {
        const { bytes: chunk, refused } = yield* readFrom(path, state.offset)
        if (refused && !told) {
          told = true
          yield* Effect.logWarning(
            `${path} is not a plain file, and is not read: the job ${id} counts as having written nothing to it. ` +
              `Let the job write the file itself, not put a link, a pipe or a device there.`
          )
        }
        if (chunk.length > 0) {
          return [[chunk], Option.some({ offset: state.offset + chunk.length, complete })] as const
        }
        if (complete) return [[], Option.none()] as const
        // What was written before the end is read once more after the end is known.
        complete = yield* isOver
        if (!complete) {
          yield* change
          // Many small writes become one chunk, and a chatty job does not keep the engine busy.
          yield* Effect.sleep("20 millis")
        }
      }
    })
    return Stream.paginate({ offset: Math.max(0, options.from ?? 0), complete: false }, next)
  }))
