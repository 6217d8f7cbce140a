/**
 * Follows the session files that Codex' program writes in a home of its own, for the one thing that it does not print
 * while a turn goes on: what the turn has used. The form of these files is not promised by anybody: what does not
 * read as expected is passed over, and then usage is known only at the end of the turn.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, watch } from "node:fs"
import * as Path from "node:path"
import { type LineCutter, lineCutter } from "./agentOutput.ts"
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
  readonly cutter: LineCutter
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
      for (const line of followed.cutter.push(Buffer.from(buffer.subarray(0, read)))) {
        if (line.whole && /"token_(?:usage_record|count)"/.test(line.text)) lines.push(line.text)
      }
    }
  } finally {
    closeSync(descriptor)
  }
  return lines
}

/** Calls `onTokens` with the sum of each count that the session in this directory tells, while the scope is open. */
export const followSession = (
  directory: string,
  onTokens: (tokens: CodexTokens) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const files = new Map<string, Followed>()
      const look = (): void => {
        try {
          for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
            if (!name.endsWith(".jsonl")) continue
            const file = Path.join(directory, name)
            const followed = files.get(file) ?? { cutter: lineCutter(longestLine), offset: 0 }
            files.set(file, followed)
            for (const line of added(file, followed)) {
              const count = Option.getOrUndefined(decodeCount(line))
              if (count?.type === "token_usage_record") onTokens(count.payload.thread_token_usage)
              if (count?.type === "event_msg") onTokens(count.payload.info.total_token_usage)
            }
          }
        } catch {
          // The home is being removed, or is not readable: what is known of usage is what was known before.
        }
      }
      try {
        mkdirSync(directory, { recursive: true })
        const watcher = watch(directory, { recursive: true }, look)
        watcher.on("error", () => undefined)
        return watcher
      } catch {
        return undefined // no watches left on this system
      }
    }),
    (watcher) => Effect.sync(() => watcher?.close())
  ))
