/**
 * The thread that writes a journal's file, so that the disk never holds up anybody's event loop. One for each built layer;
 * `sqliteThread.ts` starts it.
 *
 * It does what it is asked, one after the other. Appends that have queued up share one commit; when that fails they
 * are tried one by one, so that a run that is broken does not fail its neighbours. Between requests it sweeps, and it makes the
 * checkpoints, both after the answers.
 *
 * It holds the locks of the runs too: they are looked at when an append is written, and if this thread dies, they
 * are free.
 */
import { statSync } from "node:fs"
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import * as Rules from "./journalRules.ts"
import { type Database, openForWriting } from "./sqliteDatabase.ts"
import { busyBudgetMillis, describe, failure, FaultError, isBusy, type Place, TryAgain } from "./sqliteFault.ts"
import type { Answer, Message, Opened, Request, WriterRequest } from "./sqliteMessages.ts"
import { findOwner, leave, startRemoving, startTaking } from "./sqliteOwnership.ts"
import { Sweeper } from "./sqliteSweeper.ts"
import { Writer } from "./sqliteWriter.ts"

/** What the thread is started with. */
export interface WorkerData {
  /** The journal's path, absolute. */
  readonly file: string
}

interface Task {
  readonly id: number
  readonly request: Request
  /** Nobody waits for it any more. */
  isCancelled: boolean
  /** How to try it again, for a request that remembers how long it has been tried. */
  attempt?: () => unknown
}

type AppendTask = Task & { readonly request: Extract<WriterRequest, { readonly op: "append" }> }

const port = parentPort!
const { file } = workerData as WorkerData
const queue: Array<Task> = []
/** What is in the queue, or under way, or waits to be tried again. */
const waiting = new Map<number, Task>()
const writers = new Map<number, Writer>()
let database: Database | undefined
let sweeper: Sweeper | undefined
/** About how many bytes are in the write-ahead log and not yet in their place. */
let logged = 0

/** How much may be in the log: a checkpoint costs two fsyncs, and takes the longer the more there is. */
const checkpointBytes = 4 * 1024 * 1024
/** A commit writes some pages besides the bodies. */
const commitBytes = 3 * 8192
/** How much may share a commit: everybody in it waits for all of it. */
const groupBytes = 4 * 1024 * 1024
const tryAgainMillis = 2

const receive = (message: Message): void => {
  if ("request" in message) {
    const task: Task = { id: message.id, request: message.request, isCancelled: false }
    waiting.set(task.id, task)
    queue.push(task)
    return
  }
  const task = waiting.get(message.id)
  if (task !== undefined) task.isCancelled = true
  else if (writers.has(message.id)) {
    queue.push({ id: message.id, request: { op: "leave", writer: message.id }, isCancelled: false })
  }
}

const drain = (): void => {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    receive(next.message)
  }
}

const pump = (): void => {
  drain()
  while (queue.length > 0) {
    const answers = next()
    if (answers.length > 0) port.postMessage(answers)
    checkpoint()
    sweeper?.step()
    drain()
  }
  if (sweeper?.isIdle === false) {
    sweeper.step()
    setImmediate(pump)
  }
}

/** Takes what is first in the queue, and the appends behind an append. */
const next = (): ReadonlyArray<Answer> => {
  const task = queue.shift()!
  if (!isAppend(task)) return finish(task, () => execute(task))
  const group = [task]
  let bytes = bytesOf(task)
  while (queue.length > 0 && bytes < groupBytes) {
    const following = queue[0]!
    if (!isAppend(following)) break
    group.push(following)
    bytes += bytesOf(following)
    queue.shift()
  }
  return append(group)
}

const isAppend = (task: Task): task is AppendTask => task.request.op === "append"
const bytesOf = (task: AppendTask): number => task.request.bodies.reduce((sum, body) => sum + body.length, 0)

/** The answer to a task; none for one that was cancelled or is tried again later. */
const finish = (task: Task, run: () => unknown): ReadonlyArray<Answer> => {
  try {
    const value = task.isCancelled ? undefined : run()
    waiting.delete(task.id)
    return task.isCancelled ? [] : [{ id: task.id, value }]
  } catch (cause) {
    if (cause instanceof TryAgain && !task.isCancelled) {
      setTimeout(() => {
        queue.push(task)
        pump()
      }, tryAgainMillis)
      return []
    }
    waiting.delete(task.id)
    return task.isCancelled ? [] : [{ id: task.id, fault: describe(placeOf(task.request), cause) }]
  }
}

const placeOf = (request: Request): Place => {
  const runId = "runId" in request ? request.runId : "writer" in request ? runOf(request.writer) : undefined
  const operation = request.op === "leave" || request.op === "close" ? "open" : request.op
  return { operation, file: database?.file ?? file, ...(runId === undefined ? {} : { runId }) }
}

const runOf = (writer: number): string | undefined => writers.get(writer)?.taken.run.id

/** Repeats an attempt while the file is busy, for half a minute at most, and as long as somebody waits for it. */
const patiently = <A>(isWanted: () => boolean, attempt: () => A): A => {
  const deadline = performance.now() + busyBudgetMillis
  for (;;) {
    try {
      return attempt()
    } catch (cause) {
      if (cause instanceof TryAgain || !isBusy(cause) || performance.now() >= deadline) throw cause
      drain()
      if (!isWanted()) throw cause
    }
    // SQLite has waited already, but not in every case.
    Atomics.wait(sleeper, 0, 0, 1)
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** The open file, which is `undefined` as long as there is none and none is to be made. */
const use = (place: Place, create: boolean): Database | undefined => {
  if (database === undefined && (create || statSync(file, { throwIfNoEntry: false }) !== undefined)) {
    database = openForWriting(place)
    sweeper = new Sweeper(database)
    // What a process that died left in the log.
    logged = checkpointBytes
  }
  database?.assertInPlace(place)
  return database
}

const writerOf = (request: WriterRequest): Writer => {
  const writer = writers.get(request.writer)
  // Who asked knows that it is closed, unless the thread was closing just then.
  if (writer === undefined) throw failure({ operation: "append", file }, Rules.closedMessage("of this writer"))
  return writer
}

const execute = (task: Task): unknown => {
  const { request } = task
  const place = placeOf(request)
  const attempt = <A>(run: () => A): A => patiently(() => !task.isCancelled, run)
  switch (request.op) {
    case "open": {
      task.attempt ??= startAttempt(request.mode !== "existing", place, request.runId, () => {
        const taking = startTaking(request.runId, request.mode, request.claim, place)
        return (open) => new Writer(taking(open))
      })
      const writer = attempt(task.attempt) as Writer
      writers.set(task.id, writer)
      return { writer: task.id, lastSeq: writer.lastSeq } satisfies Opened
    }
    case "remove": {
      task.attempt ??= startAttempt(false, place, request.runId, () => startRemoving(request.runId, place))
      const run = attempt(task.attempt) as number
      sweeper!.add(run)
      return undefined
    }
    case "owner":
      return attempt(() => {
        const open = use(place, false)
        return open === undefined ? undefined : findOwner(open, request.runId)
      })
    case "snapshot":
    case "trim": {
      const writer = writerOf(request)
      const hasGarbage = attempt(() =>
        writer.taken.database.write(() =>
          request.op === "trim" ? writer.trim(request.upTo) : writer.savePiece(request.piece)
        )
      )
      logged += commitBytes
      if (request.op === "snapshot") { for (const body of request.piece.bodies) logged += body.length }
      if (hasGarbage) sweeper!.add(writer.taken.run.number)
      return undefined
    }
    case "leave":
      return giveBack(request.writer)
    case "close":
      return close()
    case "append":
      throw new Error("Appends are executed in groups.")
  }
}

/** An attempt on the file, which is opened when it is made. */
const startAttempt = (
  create: boolean,
  place: Place,
  runId: string,
  start: () => (open: Database) => unknown
): () => unknown => {
  const body = start()
  return () => {
    const open = use(place, create)
    if (open === undefined) throw new FaultError({ _tag: "RunNotFound", runId })
    return body(open)
  }
}

const giveBack = (id: number): void => {
  const writer = writers.get(id)
  if (writer === undefined) return
  writers.delete(id)
  try {
    patiently(() => true, () => leave(writer.taken))
  } finally {
    writer.taken.lock.release()
  }
}

const close = (): void => {
  for (const id of Array.from(writers.keys())) {
    try {
      giveBack(id)
    } catch {
      // The run is free, which is what matters; its row names a holder whose lock is gone, and nobody believes that.
    }
  }
  // The last one to close a file makes a checkpoint, and removes the log.
  database?.close()
  sweeper = undefined
  port.close()
}

/** Appends in one commit, or, when that fails, in one each. */
const append = (group: ReadonlyArray<AppendTask>): ReadonlyArray<Answer> => {
  const wanted = (): ReadonlyArray<AppendTask> => group.filter((task) => !task.isCancelled)
  try {
    const [first] = wanted()
    if (first === undefined) return []
    const { database } = writerOf(first.request).taken
    return patiently(() => wanted().length > 0, () => inOneCommit(database, wanted))
  } catch (cause) {
    const failed = wanted()
    if (failed.length > 1 && !isBusy(cause)) return failed.flatMap((task) => append([task]))
    return failed.map(({ id, request }) => {
      const fault = describe(placeOf(request), cause)
      const writer = writers.get(request.writer)
      if (writer !== undefined && fault._tag === "JournalError") writer.broken ??= fault.message
      return { id, fault }
    })
  } finally {
    for (const { id } of group) waiting.delete(id)
  }
}

const inOneCommit = (database: Database, wanted: () => ReadonlyArray<AppendTask>): ReadonlyArray<Answer> => {
  const before = new Map<Writer, number>()
  try {
    return database.write(() => {
      // The file may have been waited for: what is not wanted any more by now is not written.
      drain()
      return wanted().map((task) => {
        const writer = writerOf(task.request)
        if (!before.has(writer)) before.set(writer, writer.lastSeq)
        logged += bytesOf(task) + commitBytes
        return { id: task.id, value: writer.append(task.request) }
      })
    })
  } catch (cause) {
    for (const [writer, lastSeq] of before) writer.lastSeq = lastSeq
    throw cause
  }
}

const checkpoint = (): void => {
  if (logged < checkpointBytes || database === undefined) return
  logged = 0
  try {
    database.get("checkpoint")
  } catch {
    // What is in the log is durable. The next one will do it, and a disk that is full fails the appends too.
  }
}

port.on("message", (message: Message) => {
  receive(message)
  pump()
})
