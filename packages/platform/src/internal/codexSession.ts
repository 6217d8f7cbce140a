/**
 * Follows the session files that Codex' program writes in a home of its own, for the one thing that it does not print
 * while a turn goes on: what the turn has used. The form of these files is not promised by anybody: what does not
 * read as expected is passed over, and then usage is known only at the end of the turn. That nothing can be read at all,
 * or that no session appears, is told: limits depend on it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, watch } from "node:fs"
import * as Path from "node:path"
import { LineSplitter } from "../evidence/LogText.ts"
import { CodexTokens } from "./codexEvents.ts"

/** Written at each answer of the model; and, as older versions have it, when what the answer asked for is done. */
const decodeCount = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([
  Schema.Struct({
    type: Schema.Literal("token_usage_record"),
    payload: Schema.Struct({ thread_token_usage: CodexTokens })
  }),
  Schema.Struct({
    type: Schema.Literal("event_msg"),
    payload: Schema.Struct({
      type: Schema.Literal("token_count"),
      info: Schema.Struct({ total_token_usage: CodexTokens })
    })
  })
])))

const longestLine = 1_000_000
const buffer = Buffer.alloc(64 * 1024)

interface Followed {
  readonly splitter: LineSplitter
  offset: number
}

/** The whole lines that were added to a file since the last look. */
const added = (file: string, followed: Followed): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const descriptor = openSync(file, "r")
  try {
    const { size } = fstatSync(descriptor)
    while (followed.offset < size) {
      const read = readSync(descriptor, buffer, 0, buffer.length, followed.offset)
      if (read === 0) break
      followed.offset += read
      for (const line of followed.splitter.push(buffer.subarray(0, read))) {
        if (!line.cut && /"token_(?:usage_record|count)"/.test(line.text)) lines.push(line.text)
      }
    }
  } finally {
    closeSync(descriptor)
  }
  return lines
}

/** How often is looked where the system tells of no change: watches are limited, and not every file system has them. */
const lookMillis = 500

/** A program may print many lines at once, and a look costs more than a line. */
const betweenLooksMillis = 20

/**
 * Looks that fail one after another until it is said that the session is lost. A home that is removed at the end of its call is
 * not looked at for so long.
 */
const failedLooks = 6

/**
 * How long after the program's first word its session may take to appear. It begins one before it asks its model, so this is
 * for a machine with too much to do.
 */
const appearsMillis = 10_000

/** What is done with what a session tells. */
export interface SessionReader {
  /** The sum of each count. */
  readonly onTokens: (tokens: CodexTokens) => void
  /** There is a session. */
  readonly onAppeared: () => void
  /** The session does not appear or can no longer be read, in words: from here on nothing is known of what the turn uses. */
  readonly onLost: (detail: string) => void
}

const wordsOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/**
 * Follows the session in this directory while the scope is open. The result looks at once: call it when the program has
 * printed something, with true where it is about to end. It is also looked when the system tells of a change, and every half second. Fails where the directory
 * cannot be made or read.
 */
export const followSession = (
  directory: string,
  { onAppeared, onLost, onTokens }: SessionReader,
  patience = appearsMillis
): Effect.Effect<(isLast: boolean) => void, string, Scope.Scope> => {
  const files = new Map<string, Followed>()
  let hasAppeared = false
  const appear = (): void => {
    if (!hasAppeared) onAppeared()
    hasAppeared = true
  }
  const look = (): void => {
    for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".jsonl")) continue
      const file = Path.join(directory, name)
      const followed = files.get(file) ?? { splitter: new LineSplitter(longestLine, { exact: true }), offset: 0 }
      files.set(file, followed)
      appear()
      for (const line of added(file, followed)) {
        const count = Option.getOrUndefined(decodeCount(line))
        if (count?.type === "token_usage_record") onTokens(count.payload.thread_token_usage)
        if (count?.type === "event_msg") onTokens(count.payload.info.total_token_usage)
      }
    }
  }
  let lookedAt = 0
  let failed = 0
  let spokeAt: number | undefined
  const tryToLook = (): unknown => {
    lookedAt = performance.now()
    try {
      look()
      failed = 0
      return undefined
    } catch (error) {
      return error // The home is being removed, or too many files are open: the next look tells.
    }
  }
  const lookInTime = (): void => {
    const error = tryToLook()
    if (error !== undefined && ++failed === failedLooks) {
      onLost(`its session cannot be read any more: ${wordsOf(error)}`)
    }
    if (!hasAppeared && spokeAt !== undefined && performance.now() - spokeAt >= patience) {
      spokeAt = Infinity // told once
      onLost(`it has begun no session within ${patience / 1000} seconds of its first word`)
    }
  }
  const start = () => {
    mkdirSync(directory, { recursive: true })
    look()
    const timer = setInterval(lookInTime, lookMillis)
    try {
      const watcher = watch(directory, { recursive: true }, (_, name) => {
        // It may be gone by now, with the home of a call that has ended.
        if (name?.endsWith(".jsonl") === true) appear()
        tryToLook()
      })
      watcher.on("error", () => undefined) // the timer goes on
      return { timer, watcher }
    } catch {
      return { timer, watcher: undefined } // no watches left on this system
    }
  }
  return Effect.map(
    Effect.acquireRelease(Effect.try({ try: start, catch: wordsOf }), ({ timer, watcher }) =>
      Effect.sync(() => {
        clearInterval(timer)
        watcher?.close()
      })),
    () => (isLast) => {
      spokeAt ??= performance.now()
      if (isLast || performance.now() - lookedAt >= betweenLooksMillis) tryToLook()
    }
  )
}
