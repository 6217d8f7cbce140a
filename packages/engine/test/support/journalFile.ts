/**
 * Journal files for tests: made, opened anew, and changed behind the journal's back.
 */
import * as Journal from "@espalier/engine/Journal"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

/** A directory for one test. */
const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "espalier-journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A test with a directory of its own. */
export const test = <E>(name: string, body: (root: string) => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(name, () => Effect.flatMap(directory, body))

/** A journal of its own on the file, open until the scope closes. */
export const connect = (filename: string) =>
  Effect.map(
    Layer.build(Layer.fresh(JournalSqlite.layer({ filename }))),
    (context) => Context.get(context, Journal.Journal)
  )

/** Changes the file behind the journal's back. */
export const tamper = (filename: string, sql: string, ...parameters: ReadonlyArray<SQLInputValue>) =>
  Effect.sync(() => {
    const database = new DatabaseSync(filename)
    try {
      return database.prepare(sql).run(...parameters)
    } finally {
      database.close()
    }
  })

/** What a query finds in the file. */
export const query = (filename: string, sql: string) =>
  Effect.sync(() => {
    const database = new DatabaseSync(filename)
    try {
      return database.prepare(sql).all().map((row) => ({ ...row }))
    } finally {
      database.close()
    }
  })

export const events = (from: number, to: number): Array<string> =>
  Array.from({ length: to - from + 1 }, (_, index) => `entry ${from + index}`)

/** A file with one free run "run", written in appends of these sizes: each of them is a chunk. */
export const written = (filename: string, ...sizes: ReadonlyArray<number>) =>
  Effect.scoped(Effect.gen(function*() {
    const journal = yield* connect(filename)
    const writer = yield* journal.open("run", { mode: "create" })
    let last = 0
    for (const size of sizes) {
      yield* writer.append(events(last + 1, last + size), 1)
      last += size
    }
  }))

export const failing = <A, E extends { readonly _tag: string; readonly message: string }, R, Tag extends E["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: Tag
) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.strictEqual(error._tag, tag, `got: ${error instanceof Error ? error.message : String(error)}`)
    return error as Extract<E, { readonly _tag: Tag }>
  })
