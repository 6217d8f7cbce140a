/** Reading and writing what is known of Slurm jobs: the records in their directories, and the name that Slurm knows them by. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHash, randomBytes } from "node:crypto"
import { mkdir, readdir, readFile, unlink } from "node:fs/promises"
import { join } from "node:path"
import { ExecutionError, type JobHandle, type JobNotFound, type TerminalStatus } from "../Execution.ts"
import { codeOf } from "./files.ts"
import { createOnce, files } from "./processFiles.ts"
import { isVisible } from "./processStatus.ts"
import { makeStore, readRecord, rootOf } from "./processStore.ts"
import { isAlive, thisMachine } from "./processTable.ts"
import { members } from "./processTree.ts"
import { Attempt, slurmFiles, Submission, Verdict } from "./slurmRecords.ts"
import { namePrefix } from "./slurmScheduler.ts"
import type { SlurmFacts } from "./slurmStatus.ts"
import type { Word } from "./slurmText.ts"

const submissionSchema = Schema.fromJsonString(Submission)
const verdictSchema = Schema.fromJsonString(Verdict)
const attemptSchema = Schema.fromJsonString(Attempt)

/** The jobs under one directory, which has to be an absolute path. */
export const makeSlurmStore = (root: string) => {
  const store = makeStore(root)
  const pathOf = (id: string, name: string): string => join(store.directoryOf(id), name)
  const attempt = <A>(operation: string, what: string, run: () => Promise<A>): Effect.Effect<A, ExecutionError> =>
    Effect.tryPromise({
      try: run,
      catch: (cause) => new ExecutionError({ operation, cause, message: `${what}: ${cause}.` })
    })

  let place: string | undefined
  /**
   * What tells this directory of jobs from all others that the user has on the cluster: two runs may use the same keys. It is
   * kept in the directory, which may have another path on another machine.
   */
  const placeOf = (operation: string): Effect.Effect<string, ExecutionError> =>
    attempt(operation, `The directory of jobs ${root} cannot be used`, async () => {
      if (place === undefined) {
        await mkdir(root, { recursive: true })
        await createOnce(root, ".place", randomBytes(12).toString("hex"))
        place = await readFile(join(root, ".place"), "utf8")
      }
      return place
    })

  /** What Slurm calls the job of a key. */
  const nameOf = (operation: string, key: string): Effect.Effect<string, ExecutionError> =>
    Effect.map(
      placeOf(operation),
      (place) => `${namePrefix}${createHash("sha256").update(`${place}\0${key}`).digest("hex").slice(0, 24)}`
    )

  const submission = (operation: string, id: string) =>
    readRecord(operation, id, pathOf(id, slurmFiles.submission), submissionSchema)

  /** Records a submission, and returns the one that is recorded: the first. */
  const recordSubmission = Effect.fnUntraced(function*(operation: string, id: string, found: Submission) {
    yield* attempt(
      operation,
      `The submission of the job ${id} cannot be recorded`,
      () => createOnce(store.directoryOf(id), slurmFiles.submission, JSON.stringify(found))
    )
    return (yield* submission(operation, id)) ?? found
  })

  const verdict = Effect.fnUntraced(function*(operation: string, id: string) {
    yield* store.ensureId(id)
    return (yield* readRecord(operation, id, pathOf(id, files.verdict), verdictSchema))?.status
  })

  /** Records a verdict, and returns the one that is recorded: the first. */
  const recordVerdict = Effect.fnUntraced(function*(
    operation: string,
    id: string,
    status: TerminalStatus,
    word: string | null
  ) {
    const record: Verdict = { version: 1, status, decidedAt: yield* Clock.currentTimeMillis, word }
    yield* attempt(
      operation,
      `The verdict over the job ${id} cannot be recorded`,
      () => createOnce(store.directoryOf(id), files.verdict, JSON.stringify(record))
    )
    return (yield* verdict(operation, id)) ?? status
  })

  /** The submissions whose outcome nobody has recorded. */
  const attempts = Effect.fnUntraced(function*(operation: string, id: string) {
    const names = yield* attempt(operation, `The directory of the job ${id} cannot be read`, async () => {
      try {
        return await readdir(store.directoryOf(id))
      } catch (error) {
        if (codeOf(error) === "ENOENT") return []
        throw error
      }
    })
    const found: Array<Attempt> = []
    for (const name of names) {
      if (!name.startsWith(slurmFiles.attempt)) continue
      const one = yield* readRecord(operation, id, pathOf(id, name), attemptSchema)
      if (one !== undefined) found.push(one) // else it was settled meanwhile
    }
    return found
  })

  const recordAttempt = (operation: string, id: string, one: Attempt): Effect.Effect<void, ExecutionError> =>
    attempt(
      operation,
      `The submission of the job ${id} cannot be recorded`,
      () => createOnce(store.directoryOf(id), `${slurmFiles.attempt}${one.token}`, JSON.stringify(one))
    )

  const removeAttempt = (operation: string, id: string, token: string): Effect.Effect<void, ExecutionError> =>
    attempt(operation, `The record of a submission of the job ${id} cannot be removed`, async () => {
      try {
        await unlink(pathOf(id, `${slurmFiles.attempt}${token}`))
      } catch (error) {
        if (codeOf(error) !== "ENOENT") throw error
      }
    })

  /**
   * All that is known of a job now. A listing has to be older than this reading: a wrapper writes its record before the
   * scheduler learns of its end, so what is over for the scheduler has its record here, if it has one.
   */
  const facts = Effect.fnUntraced(function*(
    operation: string,
    id: string,
    listing: { readonly asOf: number; readonly words: ReadonlyArray<Word> } | undefined
  ): Effect.fn.Return<SlurmFacts, ExecutionError | JobNotFound> {
    yield* store.ensureId(id)
    const exit = yield* store.read(operation, id, files.exit)
    const cancel = yield* store.read(operation, id, files.cancel)
    const claim = yield* store.read(operation, id, files.claim)
    if (claim === undefined && (yield* store.read(operation, id, files.command)) === undefined) {
      return yield* store.notFound(id)
    }
    const start = yield* store.read(operation, id, files.start)
    const submitted = yield* submission(operation, id)
    const now = yield* Clock.currentTimeMillis
    const common = { now, cancel, claim, start, listing, submittedAt: submitted?.submittedAt ?? claim?.claimedAt }
    if (claim === undefined || exit !== undefined) {
      return { ...common, exit, lastSign: now, isOwnerDead: false, survivors: [] }
    }
    const visible = isVisible(claim, thisMachine())
    const isOwnerDead = visible && !isAlive(claim.pid, claim.startTicks)
    return {
      ...common,
      // Once more: the wrapper may have written it and ended since it was looked for.
      exit: isOwnerDead ? yield* store.read(operation, id, files.exit) : undefined,
      lastSign: yield* store.lastSign(id),
      isOwnerDead,
      survivors: isOwnerDead ? members(rootOf(claim, start)).map((one) => one.pid) : []
    }
  })

  /** The handle of a job that was submitted; undefined for one that was not. */
  const handle = Effect.fnUntraced(function*(operation: string, id: string) {
    const submitted = yield* submission(operation, id)
    const command = yield* store.read(operation, id, files.command)
    if (submitted === undefined || command === undefined) return undefined
    const found: JobHandle = {
      id,
      key: command.key,
      directory: store.directoryOf(id),
      argv: command.argv,
      host: submitted.cluster === null ? "slurm" : `slurm:${submitted.cluster}`,
      launchedAt: submitted.submittedAt,
      schedulerId: submitted.schedulerId
    }
    return found
  })

  return {
    directoryOf: store.directoryOf,
    read: store.read,
    nameOf,
    submission,
    recordSubmission,
    verdict,
    recordVerdict,
    attempts,
    recordAttempt,
    removeAttempt,
    facts,
    handle
  }
}
export type SlurmStore = ReturnType<typeof makeSlurmStore>
