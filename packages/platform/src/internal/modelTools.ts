/**
 * The hands of a model that has none: a few tools on the files of one directory, and no shell. Their arguments are
 * decoded as the untrusted input that they are. Whatever goes wrong is told to the model and ends nothing: it may do
 * better in the next round, and the rounds are limited.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Write } from "../CodingAgent.ts"
import type { ToolOutcome } from "./effectAi.ts"
import { editContent } from "./guard.ts"
import * as Files from "./modelFiles.ts"
import type { ToolCall, WireTool } from "./modelWire.ts"

/** What the tools of one turn work on. */
export interface Hands {
  readonly directory: string
  /** Undefined where nothing may be changed: the tools that write are then not offered. */
  readonly write: Write | undefined
  /** Paths below which files may be changed; undefined for all that `write` takes. */
  readonly editable: ReadonlyArray<string> | undefined
  /** Most bytes of a file that is written. */
  readonly writeBytes: number
  readonly bounds: Files.FileBounds
}

interface Definition<A> {
  readonly name: string
  readonly description: string
  readonly parameters: Schema.Decoder<A>
  readonly writes: boolean
  readonly run: (hands: Hands, parameters: A) => Effect.Effect<string, Files.Refused>
}

const define = <A>(definition: Definition<A>) => ({
  name: definition.name,
  writes: definition.writes,
  wire: {
    name: definition.name,
    description: definition.description,
    parameters: jsonSchema(definition.parameters)
  },
  run: (hands: Hands, params: unknown): Effect.Effect<string, Files.Refused> =>
    Effect.flatMap(
      Effect.mapError(
        Schema.decodeUnknownEffect(definition.parameters, { errors: "all" })(params),
        (error) => ({
          message: typeof params === "string"
            ? "The arguments are not JSON"
            : `The arguments do not fit: ${error.message.slice(0, 1000)}`
        })
      ),
      (parameters) => definition.run(hands, parameters)
    )
})

const jsonSchema = (schema: Schema.Top): Record<string, unknown> => ({ ...Schema.toJsonSchemaDocument(schema).schema })

const path = (description: string) => Schema.String.annotate({ description })
const file = path("Path of the file below the tree, with forward slashes")
/** Many models write null where they mean to leave something out. */
const optional = <S extends Schema.Constraint>(schema: S) => Schema.optional(Schema.NullOr(schema))
const line = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

const definitions = [
  define({
    name: "list_files",
    description: "Lists the files and directories of the tree, or of a directory of it, one path a line.",
    writes: false,
    parameters: Schema.Struct({
      directory: optional(path("Path of a directory below the tree; the whole tree without it"))
    }),
    run: ({ bounds, directory: root }, { directory }) => Files.list(root, directory ?? ".", bounds)
  }),
  define({
    name: "read_file",
    description: "Reads a text file of the tree, or some lines of it.",
    writes: false,
    parameters: Schema.Struct({
      file,
      first_line: optional(line.annotate({ description: "Where to begin, counted from 1" })),
      lines: optional(line.annotate({ description: "How many lines; all without it" }))
    }),
    run: ({ bounds, directory }, { file, first_line, lines }) =>
      Files.readLines(directory, file, first_line ?? 1, lines ?? undefined, bounds)
  }),
  define({
    name: "search_files",
    description: "Finds the lines of the tree's text files that hold a text. The text is literal, not a pattern.",
    writes: false,
    parameters: Schema.Struct({
      text: Schema.String,
      directory: optional(path("Path of a directory or file below the tree; the whole tree without it")),
      ignore_case: optional(Schema.Boolean)
    }),
    run: ({ bounds, directory: root }, { directory, ignore_case, text }) =>
      Files.search(root, text, directory ?? ".", ignore_case ?? false, bounds)
  }),
  define({
    name: "write_file",
    description: "Creates a file, or replaces its whole content.",
    writes: true,
    parameters: Schema.Struct({ file, content: Schema.String }),
    run: (hands, { content, file }) => Effect.as(store(hands, file, content), `Written: ${file}`)
  }),
  define({
    name: "replace_in_file",
    description: "Replaces one place of a file. `search` is literal text, white space included, that occurs exactly " +
      "once in the file.",
    writes: true,
    parameters: Schema.Struct({ file, search: Schema.String, replace: Schema.String }),
    run: (hands, edit) =>
      Effect.gen(function*() {
        const before = yield* Files.readWhole(hands.directory, edit.file, hands.bounds)
        const after = editContent({ ...edit, name: "replace_in_file" }, before)
        if (Result.isFailure(after)) return yield* Effect.fail({ message: after.failure.message })
        const content = after.success.toString("utf8")
        // Writing goes by text: what is no UTF-8 would lose bytes that the edit does not name.
        if (!Buffer.from(content, "utf8").equals(after.success)) {
          return yield* Effect.fail({ message: `${edit.file} is not UTF-8 text and cannot be edited` })
        }
        yield* store(hands, edit.file, content)
        return `Replaced in ${edit.file}`
      })
  })
]

const store = (hands: Hands, file: string, content: string): Effect.Effect<void, Files.Refused> =>
  Effect.gen(function*() {
    const { directory, editable, write, writeBytes } = hands
    if (write === undefined) return yield* Effect.fail({ message: "Files may not be changed in this turn" })
    // A link inside of the tree may lead to another file of it: both have to be allowed.
    const parts = yield* Files.segments(file)
    for (const path of [parts.join("/"), yield* Files.landing(directory, file)]) {
      if (editable === undefined || editable.some((prefix) => isBelow(prefix, path))) continue
      return yield* Effect.fail({
        message:
          `${JSON.stringify(file)} leads to ${JSON.stringify(path)}, which lies outside of what may be changed: ` +
          (editable.join(", ") || "nothing")
      })
    }
    const bytes = Buffer.byteLength(content)
    if (bytes > writeBytes) {
      return yield* Effect.fail({ message: `The content has ${bytes} bytes, and at most ${writeBytes} may be written` })
    }
    yield* Effect.mapError(write(file, content), ({ message }) => ({ message }))
  })

const isBelow = (prefix: string, path: string): boolean => {
  const bare = prefix.replace(/^(?:\.\/)+/, "").replace(/\/+$/, "")
  return bare === "" || bare === "." || path === bare || path.startsWith(`${bare}/`)
}

const offered = (hands: Hands) => definitions.filter(({ writes }) => !writes || hands.write !== undefined)

/** The tools of a turn, for the model. */
export const toolsFor = (hands: Hands): ReadonlyArray<WireTool> => offered(hands).map(({ wire }) => wire)

/** Runs one call. Never fails: a refusal is an outcome. */
export const runCall = (hands: Hands, call: ToolCall): Effect.Effect<ToolOutcome> => {
  const tools = offered(hands)
  const tool = tools.find(({ name }) => name === call.name)
  const run = tool === undefined
    ? Effect.fail({
      message: `There is no tool ${JSON.stringify(call.name.slice(0, 100))}. There are: ${
        tools.map(({ name }) => name).join(", ")
      }`
    })
    : tool.run(hands, call.params)
  return Effect.match(run, {
    onFailure: ({ message }) => ({ call, text: message, isFailure: true }),
    onSuccess: (text) => ({ call, text, isFailure: false })
  })
}
