/**
 * The other end of `sqliteWorker.ts`: starting the thread that writes, asking it, and noticing its death.
 *
 * The thread keeps the process alive only while somebody waits for an answer, as a commit in the main thread would.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Worker } from "node:worker_threads"
import { type Expected, toError } from "./sqliteFailure.ts"
import { failure, type Place } from "./sqliteFault.ts"
import type { Answer, Message, Request } from "./sqliteMessages.ts"
import type { WorkerData } from "./sqliteWorker.ts"

/** From sources the thread runs TypeScript, built it runs what became of it. */
const script = new URL(import.meta.url.endsWith(".ts") ? "./sqliteWorker.ts" : "./sqliteWorker.js", import.meta.url)

interface Waiting {
  readonly place: Place
  readonly answer: (answer: Answer) => void
}

export class WriterThread {
  private readonly file: string
  private readonly worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private lastId = 0
  private isClosing = false
  /** Why nothing can be asked any more. */
  private end: string | undefined = undefined
  private readonly exited: Promise<void>

  constructor(file: string) {
    this.file = file
    // No flags of the process's own: what it was started to evaluate, or to load first, is no business of this thread.
    const workerData: WorkerData = { file }
    this.worker = new Worker(script, { name: "espalier journal", workerData, execArgv: [] })
    this.worker.unref()
    this.worker.on("message", (answers: ReadonlyArray<Answer>) => {
      for (const answer of answers) this.settle(answer)
    })
    let reason: unknown
    this.worker.on("error", (cause) => {
      reason = cause
    })
    this.exited = new Promise((resolve) => {
      this.worker.once("exit", (code) => {
        this.ended(reason ?? `exit code ${code}`)
        resolve()
      })
    })
  }

  get isAlive(): boolean {
    return this.end === undefined
  }

  /** Posts a request; the answer comes in a later turn of the event loop. Returns the number of the request. */
  post(place: Place, request: Request, answer: (answer: Answer) => void): number {
    const id = ++this.lastId
    if (this.end !== undefined || this.isClosing) {
      const fault = failure(place, this.end ?? closedLayer(this.file)).fault
      answer({ id, fault })
      return id
    }
    if (this.waiting.size === 0) this.worker.ref()
    this.waiting.set(id, { place, answer })
    this.worker.postMessage({ id, request } satisfies Message)
    return id
  }

  /** Nobody waits for this request any more. */
  cancel(id: number): void {
    this.waiting.delete(id)
    if (this.end !== undefined) return
    this.worker.postMessage({ id, cancel: true } satisfies Message)
    this.unrefIfIdle()
  }

  /** Asks, and waits. When the waiting is interrupted the request is cancelled. */
  ask<A, E extends Expected>(place: Place, request: Request): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      const id = this.post(place, request, (answer) => resume(exitOf<A, E>(answer)))
      return Effect.sync(() => this.cancel(id))
    })
  }

  /** Gives everything back and ends the thread; what was asked before is done first. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.end !== undefined || this.isClosing) return Effect.promise(() => this.exited)
    this.post({ operation: "open", file: this.file }, { op: "close" }, () => {})
    this.isClosing = true
    return Effect.promise(() => this.exited)
  })

  private settle(answer: Answer): void {
    const waiting = this.waiting.get(answer.id)
    if (waiting === undefined) return
    this.waiting.delete(answer.id)
    waiting.answer(answer)
    this.unrefIfIdle()
  }

  private unrefIfIdle(): void {
    // While it is closing its end is waited for.
    if (this.waiting.size === 0 && !this.isClosing) this.worker.unref()
  }

  private ended(reason: unknown): void {
    this.end = this.isClosing ? closedLayer(this.file) : died(this.file, reason)
    for (const [id, { answer, place }] of Array.from(this.waiting)) {
      this.waiting.delete(id)
      answer({ id, fault: failure(place, this.end, reason instanceof Error ? { cause: reason } : {}).fault })
    }
  }
}

/** What an answer says, as the exit of who asked. Which failures a request can have no type can check. */
export const exitOf = <A, E extends Expected>(answer: Answer): Exit.Exit<A, E> =>
  "fault" in answer ? Exit.fail(toError<E>(answer.fault)) : Exit.succeed(answer.value as A)

/** The failure of everything that is asked of a layer whose scope has closed. */
export const closedLayer = (file: string): string =>
  `The layer of the journal ${file} is closed: use it only inside the scope that built it.`

const died = (file: string, reason: unknown): string =>
  `The thread that writes the journal ${file} has ended: ${
    reason instanceof Error ? reason.message : String(reason)
  }. ` +
  `What was acknowledged is durable; what was not may be there or not. Open the run again, which starts a new thread. If that ` +
  `fails in the same way, look whether the program was bundled without the files of @espalier/engine.`
