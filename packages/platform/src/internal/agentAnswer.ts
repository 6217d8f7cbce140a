/**
 * Finds the JSON in what an agent wrote, and decodes it. Agents wrap their answers in prose and code
 * fences however they are asked not to.
 *
 * In this order: the whole text; the last fenced block that is JSON; else the objects and arrays in the
 * prose, the last one that decodes. Only for these does decoding choose, because prose has brackets of
 * its own ("see [1]"). A fenced block is meant: its mistakes are reported, and not passed over for an
 * example further up.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** The decoded answer, or what is wrong with the text, told so that its writer can mend it. */
export const findAnswer = <A>(
  text: string,
  schema: Schema.Decoder<A>
): Effect.Effect<Result.Result<A, string>> => {
  const decode = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return Effect.gen(function*() {
    const candidates = candidatesIn(text)
    let issue: string | undefined
    for (const candidate of candidates) {
      const decoded = yield* Effect.result(decode(candidate))
      if (Result.isSuccess(decoded)) return Result.succeed(decoded.success)
      issue ??= `The JSON does not have the asked for form: ${decoded.failure.message}`
    }
    return Result.fail(issue ?? `It holds no JSON object or array${syntaxHint(text)}`)
  })
}

const parse = (text: string): Result.Result<unknown, string> =>
  Result.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => (error as Error).message
  })

const parsed = (texts: ReadonlyArray<string>): ReadonlyArray<unknown> =>
  texts.map(parse).filter(Result.isSuccess).map((result) => result.success)

/** JSON values that may be meant, likeliest first. */
const candidatesIn = (text: string): ReadonlyArray<unknown> => {
  const whole = parsed([text.trim()])
  if (whole.length > 0) return whole
  const fenced = parsed(fencedBlocks(text).slice(-candidateLimit)).slice(-1)
  if (fenced.length > 0) return fenced
  return parsed(bracketed(text).slice(-candidateLimit)).toReversed()
}

/** Contents of code fences, in order. By lines and not by one expression, which untrusted text can make quadratic. */
const fencedBlocks = (text: string): ReadonlyArray<string> => {
  const blocks: Array<string> = []
  let block: Array<string> | undefined
  for (const line of text.split("\n")) {
    const mark = line.trim()
    if (block === undefined) {
      if (mark.startsWith("```") && !mark.slice(3).includes("`")) block = []
    } else if (mark === "```") {
      blocks.push(block.join("\n").trim())
      block = undefined
    } else block.push(line)
  }
  return blocks
}

/** Why the likeliest place does not parse: the last fenced block, or else all from the first brace to the last. */
const syntaxHint = (text: string): string => {
  const [from, to] = [text.indexOf("{"), text.lastIndexOf("}")]
  const attempt = fencedBlocks(text).at(-1) ?? (from !== -1 && from < to ? text.slice(from, to + 1) : undefined)
  const result = attempt === undefined ? undefined : parse(attempt)
  return result === undefined || Result.isSuccess(result) ? "" : ` that parses: ${result.failure}`
}

// Bounds for hostile text: most characters looked at, most values decoded, and what a failed parse
// counts for in characters.
const scanLimit = 2_000_000
const candidateLimit = 20
const failedParse = 500

/** What may follow the bracket that begins an object or array. Tells most of prose and code apart at once. */
const beginning = /\{\s*["}]|\[\s*[-\]["{\dtfn]/y

/** The outermost {...} and [...] of a text that are JSON, in order. Brackets inside of strings do not count. */
const bracketed = (text: string): ReadonlyArray<string> => {
  const spans: Array<string> = []
  let scanned = 0
  for (let start = 0; start < text.length && scanned < scanLimit; start++) {
    beginning.lastIndex = start
    if ((text[start] !== "{" && text[start] !== "[") || !beginning.test(text)) continue
    const end = closing(text, start)
    scanned += (end ?? text.length) - start
    if (end === undefined) continue
    const span = text.slice(start, end + 1)
    // Brackets of prose balance too. What is not JSON may still have JSON inside.
    if (Result.isFailure(parse(span))) {
      scanned += failedParse
      continue
    }
    spans.push(span)
    start = end
  }
  return spans
}

const closing = (text: string, start: number): number | undefined => {
  let depth = 0
  let inString = false
  for (let index = start; index < text.length; index++) {
    const character = text[index]
    if (inString) {
      if (character === "\\") index++
      else if (character === "\"") inString = false
    } else if (character === "\"") inString = true
    else if (character === "{" || character === "[") depth++
    else if (character === "}" || character === "]") {
      depth--
      if (depth === 0) return index
    }
  }
  return undefined
}
