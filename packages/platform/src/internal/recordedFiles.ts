/**
 * Recordings on the disk: one file a call. Written beside its place, made durable, renamed into it: whatever moment the
 * process dies at, a recording is there whole or not at all.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { attempt } from "./fileEffects.ts"
import { codeOf, ifThere, replaceFile, syncDirectory } from "./files.ts"
import { type Asked, decode, differences, distance, fileNameOf, type Recording } from "./recordedCall.ts"

/** A file that cannot be taken as a recording, or not be read or written. */
export interface Unreadable {
  readonly file: string
  readonly why: string
}

const operation = <A>(file: string, run: () => Promise<A>): Effect.Effect<A, Unreadable> =>
  attempt(run, (error) => ({ file, why: codeOf(error) ?? String(error) }))

/** The recording of a call, or undefined where there is none. */
export const load = (directory: string, asked: Asked): Effect.Effect<Recording | undefined, Unreadable> =>
  Effect.gen(function*() {
    const file = Path.join(directory, fileNameOf(asked))
    const text = yield* operation(file, () => ifThere(fs.readFile(file, "utf8")))
    if (text === undefined) return undefined
    const recording = yield* Effect.mapError(decode(text), (why) => ({ file, why }))
    return fileNameOf(recording.asked) === fileNameOf(asked)
      ? recording
      : yield* Effect.fail({ file, why: "it was renamed: it holds another call" })
  })

/** Puts a recording in its place, in the place of an earlier one of the same call. Returns its file. */
export const store = (directory: string, asked: Asked, text: string): Effect.Effect<string, Unreadable> => {
  const file = Path.join(directory, fileNameOf(asked))
  return operation(file, async () => {
    await fs.mkdir(directory, { recursive: true })
    await replaceFile(file, text, { durable: true })
    // Some systems cannot, and do not need to.
    await syncDirectory(directory).catch(() => undefined)
    return file
  })
}

/** The most files that are looked into for the closest. */
const lookedInto = 2_000

/** The recording that is closest to a call that has none, by its file, and what differs. */
export const closest = (
  directory: string,
  asked: Asked
): Effect.Effect<{ readonly file: string; readonly differs: ReadonlyArray<string> } | undefined, Unreadable> =>
  Effect.gen(function*() {
    const names = yield* operation(directory, () => fs.readdir(directory).catch(() => []))
    let best: { readonly file: string; readonly asked: Asked; readonly distance: number } | undefined
    // What cannot be read is not the closest; it is told when it is asked for itself.
    for (const name of names.filter((name) => /^[^.].*\.json$/.test(name)).sort().slice(0, lookedInto)) {
      const file = Path.join(directory, name)
      const text = yield* operation(file, () => fs.readFile(file, "utf8").catch(() => ""))
      const found = yield* Effect.option(decode(text))
      if (found._tag === "None") continue
      const far = distance(found.value.asked, asked)
      if (best === undefined || far < best.distance) best = { file, asked: found.value.asked, distance: far }
    }
    return best && { file: best.file, differs: differences(best.asked, asked) }
  })
