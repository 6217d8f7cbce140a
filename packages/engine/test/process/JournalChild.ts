/**
 * A process that does to a journal what it is told, a line of JSON a command, and answers with a line each.
 * `JournalSqlite.test.ts` starts some, and kills them.
 */
import * as Journal from "@espalier/engine/Journal"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { isDeepStrictEqual } from "node:util"

export type Command =
  /** Opens a run and keeps it: answers `opened` or `refused`. */
  | {
    readonly do: "open"
    readonly file: string
    readonly run: string
    readonly owner: string
    readonly mode?: "create" | "either"
  }
  /** Appends so many entries in batches of a size, each batch answered with `appended`. */
  | { readonly do: "append"; readonly entries: number; readonly batch: number }
  /** Appends in batches for ever, and after each saves a snapshot and trims: each is answered when it is durable. */
  | { readonly do: "retain"; readonly batch: number }
  /** Appends once, and counts the turns of the event loop until it is durable: answers `turned`. */
  | { readonly do: "turn"; readonly entries: number }
  /** Closes the run's scope: answers `closed`. */
  | { readonly do: "close" }
  /** Reads a run page by page until it has so many entries: answers `read`, or `refused`. */
  | { readonly do: "read"; readonly file: string; readonly run: string; readonly until: number }
  | { readonly do: "owner"; readonly file: string; readonly run: string }

export type Answer =
  | { readonly is: "ready" | "closed" }
  | { readonly is: "opened"; readonly lastSeq: number }
  | {
    readonly is: "refused"
    readonly error: Record<string, unknown> & { readonly _tag: string; readonly message: string }
  }
  | { readonly is: "appended"; readonly lastSeq: number }
  | { readonly is: "saved"; readonly seq: number }
  | { readonly is: "trimmed"; readonly upTo: number }
  | { readonly is: "turned"; readonly turns: number }
  | { readonly is: "read"; readonly pages: number }
  | { readonly is: "owner"; readonly owner: Journal.LockOwner | null }

/** Entry `seq` of a run, as the child writes it; several hundred bytes, of a size that varies. */
export const event = (run: string, seq: number): Journal.Json => ({ run, seq, text: "x".repeat((seq * 37) % 700) })

const events = (run: string, from: number, count: number): ReadonlyArray<Journal.Json> =>
  Array.from({ length: count }, (_, index) => event(run, from + index))

/** The snapshot of a run at `seq`, as the child saves it: some hundred kilobytes, which are committed in several pieces. */
export const snapshot = (run: string, seq: number): Journal.JournalSnapshot => ({
  seq,
  version: 3,
  parts: Array.from({ length: 20 + (seq % 13) }, (_, part) => ({ run, seq, part, text: `${seq} `.repeat(6000) }))
})

/** Up to where the child trims when it has saved the snapshot at `seq`. */
export const horizonOf = (seq: number): number => Math.max(0, seq - 5)

const answer = (value: Answer): void => void writeSync(1, `${JSON.stringify(value)}\n`)

const refused = (error: { readonly _tag: string; readonly message: string }): Answer => ({
  is: "refused",
  error: { ...error, _tag: error._tag, message: error.message }
})

const runtimes = new Map<string, ManagedRuntime.ManagedRuntime<Journal.Journal, Journal.JournalError>>()
const on = (file: string) => {
  let runtime = runtimes.get(file)
  if (runtime === undefined) {
    runtime = ManagedRuntime.make(JournalSqlite.layer({ filename: file }))
    runtimes.set(file, runtime)
  }
  return runtime
}

let held: { readonly scope: Scope.Closeable; readonly writer: Journal.JournalWriter } | undefined

const readUntil = (run: string, until: number) =>
  Effect.gen(function*() {
    const journal = yield* Journal.Journal
    let after = 0
    let pages = 0
    while (after < until) {
      const page = yield* journal.read(run, { after, limit: 100 })
      for (const entry of page) {
        after++
        if (entry.seq !== after || !isDeepStrictEqual(entry.event, event(run, after))) {
          return yield* Effect.die(new Error(`entry ${after} is ${entry.seq} ${JSON.stringify(entry.event)}`))
        }
      }
      pages++
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
    }
    return pages
  })

const obey = async (command: Command): Promise<void> => {
  switch (command.do) {
    case "open": {
      const scope = Scope.makeUnsafe()
      const open = Effect.flatMap(
        Journal.Journal,
        (journal) => journal.open(command.run, { mode: command.mode ?? "either", owner: command.owner })
      ).pipe(
        Scope.provide(scope),
        Effect.map((writer): Answer => {
          held = { scope, writer }
          return { is: "opened", lastSeq: writer.lastSeq }
        }),
        Effect.catch((error) => Effect.succeed(refused(error)))
      )
      return answer(await on(command.file).runPromise(open).catch(refused))
    }
    case "append": {
      const { writer } = held!
      let lastSeq = writer.lastSeq
      const end = lastSeq + command.entries
      while (lastSeq < end) {
        lastSeq = await Effect.runPromise(writer.append(events(writer.runId, lastSeq + 1, command.batch), 1))
        answer({ is: "appended", lastSeq })
      }
      return
    }
    case "retain": {
      const { writer } = held!
      let lastSeq = writer.lastSeq
      for (;;) {
        lastSeq = await Effect.runPromise(writer.append(events(writer.runId, lastSeq + 1, command.batch), 1))
        answer({ is: "appended", lastSeq })
        await Effect.runPromise(writer.saveSnapshot(snapshot(writer.runId, lastSeq)))
        answer({ is: "saved", seq: lastSeq })
        await Effect.runPromise(writer.trim(horizonOf(lastSeq)))
        answer({ is: "trimmed", upTo: horizonOf(lastSeq) })
      }
    }
    case "turn": {
      const { writer } = held!
      let turns = 0
      let isDone = false
      const turn = (): void => {
        turns++
        if (!isDone) setImmediate(turn)
      }
      const append = Effect.runPromise(writer.append(events(writer.runId, writer.lastSeq + 1, command.entries), 1))
      setImmediate(turn)
      await append
      isDone = true
      return answer({ is: "turned", turns })
    }
    case "close": {
      await Effect.runPromise(Scope.close(held!.scope, Exit.void))
      return answer({ is: "closed" })
    }
    case "read": {
      const result = await on(command.file).runPromise(Effect.result(readUntil(command.run, command.until)))
      return answer(result._tag === "Success" ? { is: "read", pages: result.success } : refused(result.failure))
    }
    case "owner": {
      const owner = Effect.flatMap(Journal.Journal, (journal) => journal.owner(command.run))
      return answer({ is: "owner", owner: Option.getOrNull(await on(command.file).runPromise(owner)) })
    }
  }
}

if (import.meta.main) {
  answer({ is: "ready" })
  for await (const line of createInterface({ input: process.stdin })) await obey(JSON.parse(line))
}
