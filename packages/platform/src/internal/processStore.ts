/** Reading what is known of local jobs: their files, and whether their processes live. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { ExecutionError, type JobHandle, JobNotFound } from "../Execution.ts"
import { codeOf } from "./files.ts"
import { files, isJobId, tokenVariable } from "./processFiles.ts"
import { Cancel, Claim, Command, Exit, Start, System } from "./processRecords.ts"
import { type Facts, isVisible, judgeOwner, type Owner } from "./processStatus.ts"
import { isAlive, thisMachine } from "./processTable.ts"
import { members, type TreeRoot } from "./processTree.ts"

const records = {
  [files.command]: Schema.fromJsonString(Command),
  [files.claim]: Schema.fromJsonString(Claim),
  [files.start]: Schema.fromJsonString(Start),
  [files.cancel]: Schema.fromJsonString(Cancel),
  [files.exit]: Schema.fromJsonString(Exit),
  [files.system]: Schema.fromJsonString(System)
}
type RecordName = keyof typeof records

/** The job's processes, as its records name them. */
export const rootOf = (claim: Claim, start: Start | undefined): TreeRoot => ({
  pid: start?.pid ?? null,
  startTicks: start?.startTicks ?? null,
  mark: `${tokenVariable}=${claim.token}`
})

/** The text of a record of a job; undefined while it is not there. */
const readText = (
  operation: string,
  id: string,
  path: string
): Effect.Effect<string | undefined, ExecutionError> =>
  Effect.tryPromise({
    try: async () => {
      try {
        return await readFile(path, "utf8")
      } catch (error) {
        if (codeOf(error) === "ENOENT") return undefined
        throw error
      }
    },
    catch: (cause) =>
      new ExecutionError({ operation, cause, message: `The record ${path} of the job ${id} cannot be read: ${cause}.` })
  })

/** What is said of a record that cannot be decoded. */
const damaged = (operation: string, id: string, path: string) => (cause: Schema.SchemaError): ExecutionError =>
  new ExecutionError({
    operation,
    cause,
    message: `The record ${path} of the job ${id} is damaged, or of another version: ${cause.message}. ` +
      `Nothing is guessed from it: mend or remove the job's directory.`
  })

/** A record of a job, of this form; undefined while it is not there. */
export const readRecord = Effect.fnUntraced(function*<S extends Schema.ConstraintDecoder<unknown>>(
  operation: string,
  id: string,
  path: string,
  schema: S
): Effect.fn.Return<S["Type"] | undefined, ExecutionError> {
  const text = yield* readText(operation, id, path)
  if (text === undefined) return undefined
  return yield* Effect.mapError(Schema.decodeUnknownEffect(schema)(text), damaged(operation, id, path))
})

/** The jobs under one directory, which has to be an absolute path. */
export const makeStore = (root: string) => {
  const directoryOf = (id: string): string => join(root, id)

  /** A record of a job; undefined while it is not there. */
  const read = <Name extends RecordName>(operation: string, id: string, name: Name) =>
    readRecord<(typeof records)[Name]>(operation, id, join(directoryOf(id), name), records[name])

  const ensureId = (id: string): Effect.Effect<void, JobNotFound> => isJobId(id) ? Effect.void : notFound(id)
  const notFound = (id: string): Effect.Effect<never, JobNotFound> =>
    Effect.fail(
      new JobNotFound({
        id,
        message: `No job ${JSON.stringify(id)} is known under ${root}. Check the id and the directory.`
      })
    )

  /** When the wrapper last gave a sign of life, in milliseconds since the epoch. */
  const lastSign = (id: string): Effect.Effect<number> =>
    Effect.promise(async () => {
      const times = await Promise.all([files.claim, files.system].map(async (name) => {
        try {
          return (await stat(join(directoryOf(id), name))).mtimeMs
        } catch {
          return 0 // not written yet
        }
      }))
      return Math.max(...times)
    })

  const ownerOf = Effect.fnUntraced(function*(id: string, claim: Claim) {
    const here = thisMachine()
    return judgeOwner(claim, here, {
      now: yield* Clock.currentTimeMillis,
      lastSign: isVisible(claim, here) ? 0 : yield* lastSign(id),
      isAlive
    })
  })

  /** All that is known of a job now. The order of reading matters: each comment says what it rules out. */
  const facts = Effect.fnUntraced(function*(
    operation: string,
    id: string
  ): Effect.fn.Return<Facts, ExecutionError | JobNotFound> {
    yield* ensureId(id)
    let exit = yield* read(operation, id, files.exit)
    // Cancel before claim: a cancel without a claim then means that the wrapper, if one comes, will see the cancel.
    const cancel = yield* read(operation, id, files.cancel)
    const claim = yield* read(operation, id, files.claim)
    let owner: Owner = { _tag: "Alive" }
    if (claim === undefined) {
      if ((yield* read(operation, id, files.command)) === undefined) return yield* notFound(id)
      return { claim, start: undefined, exit, cancel, owner, survivors: [] }
    }
    const start = yield* read(operation, id, files.start)
    if (exit !== undefined) return { claim, start, exit, cancel, owner, survivors: [] }
    owner = yield* ownerOf(id, claim)
    if (owner._tag === "Alive") return { claim, start, exit, cancel, owner, survivors: [] }
    // Once more: the wrapper may have written it and ended since it was looked for.
    exit = yield* read(operation, id, files.exit)
    const visible = exit === undefined && isVisible(claim, thisMachine())
    const survivors = visible ? members(rootOf(claim, start)).map((one) => one.pid) : []
    return { claim, start, exit, cancel, owner, survivors }
  })

  /** The handle of a job that was claimed; undefined for one that was not. */
  const handle = Effect.fnUntraced(function*(operation: string, id: string) {
    const claim = yield* read(operation, id, files.claim)
    const command = yield* read(operation, id, files.command)
    if (claim === undefined || command === undefined) return undefined
    const found: JobHandle = {
      id,
      key: command.key,
      directory: directoryOf(id),
      argv: command.argv,
      host: claim.host,
      launchedAt: claim.claimedAt
    }
    return found
  })

  return { directoryOf, ensureId, notFound, lastSign, read, facts, handle }
}
