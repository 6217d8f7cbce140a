/**
 * What a recording of an agent's call says, what it is kept under, and how two calls differ. Pure.
 *
 * The key is a hash of all that determines the answer. The call's directory is not in it, for an experiment's tree has
 * another path each time: where the path stands in a text, a mark stands in the recording.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { AgentError, Usage } from "../CodingAgent.ts"

/** What determines an answer. */
export const Asked = Schema.Struct({
  phase: Schema.String,
  prompt: Schema.String,
  /** JSON schema of the answer, or null where the schema has none. */
  schema: Schema.NullOr(Schema.Json),
  /** Whether the call could change files. */
  write: Schema.Boolean,
  /** What answers: the layer, the model, what else the user finds worth telling apart. */
  identity: Schema.String,
  /** What the directory held, as far as the user says so. */
  state: Schema.NullOr(Schema.String)
})
/** See the schema of the same name. */
export type Asked = typeof Asked.Type

/** A file that the agent changed. */
export const Change = Schema.Union([
  Schema.TaggedStruct("Written", {
    file: Schema.String,
    content: Schema.String,
    encoding: Schema.Literals(["utf8", "base64"]),
    executable: Schema.Boolean,
    /** True where the agent wrote through the call's `write`, false where it has hands of its own. */
    granted: Schema.Boolean
  }),
  Schema.TaggedStruct("Removed", { file: Schema.String })
])
/** See the schema of the same name. */
export type Change = typeof Change.Type

/** How a call went. */
export const Answered = Schema.Struct({
  turns: Schema.Array(Schema.Struct({ prompt: Schema.String, text: Schema.NullOr(Schema.String) })),
  /** The text of the answer; null where there is an error. */
  text: Schema.NullOr(Schema.String),
  error: Schema.NullOr(AgentError),
  usage: Usage,
  costUsd: Schema.Finite,
  changes: Schema.Array(Change)
})
/** See the schema of the same name. */
export type Answered = typeof Answered.Type

/** A recording. */
export interface Recording {
  readonly asked: Asked
  readonly answered: Answered
}

const format = "espalier-agent-recording"
const version = 1

const Stored = Schema.Struct({
  format: Schema.Literal(format),
  version: Schema.Literal(version),
  key: Schema.String,
  recordedAt: Schema.String,
  asked: Asked,
  answered: Schema.Json,
  /** Over all of the above. */
  checksum: Schema.String
})

const AnsweredJson = Schema.toCodecJson(Answered)

const sha256 = (value: unknown): string => createHash("sha256").update(canonical(value)).digest("hex")

/** JSON with the keys in order, so that equal values have equal texts. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => one < other ? -1 : 1))
      : inner)

/** Stands for the call's directory, whose path is another one each time. */
const directoryMark = "<<directory>>"

/** The text with the mark in the place of the directory's path, where that does not go on as the name of something else. */
export const marked = (text: string, directory: string): string =>
  directory.length < 2
    ? text
    : text.replaceAll(
      new RegExp(`${directory.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")}(?![\\w-])`, "g"),
      directoryMark
    )

/** The text with the directory's path in the place of the mark. */
export const unmarked = (text: string, directory: string): string => text.replaceAll(directoryMark, () => directory)

/** What a call is kept under. */
export const keyOf = (asked: Asked): string => sha256([format, version, asked])

/** The name of its file: for people the phase, for the rest the key. */
export const fileNameOf = (asked: Asked): string =>
  `${asked.phase.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 40)}-${keyOf(asked).slice(0, 24)}.json`

/** The text of a recording's file. */
export const encode = (recording: Recording, recordedAt: string): Effect.Effect<string, Schema.SchemaError> =>
  Effect.map(Schema.encodeEffect(AnsweredJson)(recording.answered), (answered) => {
    const body = { format, version, key: keyOf(recording.asked), recordedAt, asked: recording.asked, answered }
    return `${JSON.stringify({ ...body, checksum: sha256(body) }, undefined, 2)}\n`
  })

/** The recording in a file's text, or what is wrong with the text. */
export const decode = (text: string): Effect.Effect<Recording, string> =>
  Effect.gen(function*() {
    const json = yield* Effect.mapError(
      Effect.fromResult(Result.try((): unknown => JSON.parse(text))),
      () => text.trim() === "" ? "it is empty" : "it is not JSON; it may be cut off"
    )
    const stored = yield* Effect.mapError(
      Schema.decodeUnknownEffect(Stored)(json),
      (error) => `it does not have the form of a recording of version ${version}: ${error.message.slice(0, 500)}`
    )
    const { checksum, ...body } = stored
    if (sha256(body) !== checksum) {
      return yield* Effect.fail("its checksum is wrong: it was changed after it was written")
    }
    if (keyOf(stored.asked) !== stored.key) return yield* Effect.fail("its key is not that of what was asked")
    const answered = yield* Effect.mapError(
      Schema.decodeUnknownEffect(AnsweredJson)(stored.answered),
      (error) => `its answer does not have the form of this version: ${error.message.slice(0, 500)}`
    )
    return { asked: stored.asked, answered }
  })

const ErrorJson = Schema.toCodecJson(AgentError)

/** The same error in other words: `change` is applied to every text in it. */
export const mapTexts = (error: AgentError, change: (text: string) => string): Effect.Effect<AgentError> =>
  Schema.encodeEffect(ErrorJson)(error).pipe(
    Effect.flatMap((json) => Schema.decodeUnknownEffect(ErrorJson)(changed(json, change))),
    // An error fits its own schema.
    Effect.orDie
  )

const changed = (value: unknown, change: (text: string) => string): unknown => {
  if (typeof value === "string") return change(value)
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, changed(inner, change)]))
}

/** The JSON schema of an answer, as far as there is one: checks of one's own and transformations do not show in it. */
export const schemaOf = (schema: Schema.Top): Schema.Json =>
  Result.getOrElse(Result.try(() => Schema.toJsonSchemaDocument(schema) as unknown as Schema.Json), () => null)

/** What differs between a recorded call and one that is asked, for a person; empty where nothing does. */
export const differences = (recorded: Asked, asked: Asked): ReadonlyArray<string> => {
  const found: Array<string> = []
  const compare = (name: string, one: unknown, other: unknown) => {
    if (canonical(one) !== canonical(other)) {
      found.push(`${name}: recorded with ${shown(one)}, asked with ${shown(other)}`)
    }
  }
  compare("phase", recorded.phase, asked.phase)
  compare("identity", recorded.identity, asked.identity)
  compare("write", recorded.write, asked.write)
  compare("state", recorded.state, asked.state)
  if (canonical(recorded.schema) !== canonical(asked.schema)) found.push("schema: another form of the answer")
  if (recorded.prompt !== asked.prompt) found.push(promptDifference(recorded.prompt, asked.prompt))
  return found
}

const shownCharacters = 80

const shown = (value: unknown): string => {
  const text = JSON.stringify(value)
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters)}[...]`
}

const promptDifference = (recorded: string, asked: string): string => {
  const [one, other] = [recorded.split("\n"), asked.split("\n")]
  const at = one.findIndex((line, index) => line !== other[index])
  const line = at === -1 ? one.length : at
  const part = (lines: ReadonlyArray<string>) => {
    const [here, there] = [lines[line], (lines === one ? other : one)[line]]
    if (here === undefined) return "the end"
    const column = there === undefined ? 0 : [...here].findIndex((character, index) => character !== there[index])
    return shown(here.slice(Math.max(0, (column === -1 ? here.length : column) - 30)))
  }
  return `prompt: line ${line + 1} is ${part(one)} in the recording, and ${part(other)} in what is asked`
}

/** How far apart two calls are: first by how many fields differ, then by the lines of the prompt. */
export const distance = (recorded: Asked, asked: Asked): number => {
  const fields = differences(recorded, asked).filter((difference) => !difference.startsWith("prompt:")).length
  const lines = new Set(recorded.prompt.split("\n"))
  const own = asked.prompt.split("\n")
  const shared = own.filter((line) => lines.has(line)).length
  return fields + (1 - shared / Math.max(own.length, lines.size))
}
