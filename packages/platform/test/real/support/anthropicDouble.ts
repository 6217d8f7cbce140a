// Anthropic's messages API, as far as Claude's program uses it.
import { type Asked, httpDouble, sendEvents } from "./httpDouble.ts"

/** What is asked of the model, as far as the tests look at it. */
export interface Body {
  readonly model: string
  readonly tools: ReadonlyArray<{ readonly name: string }>
  readonly messages: ReadonlyArray<
    { readonly content: ReadonlyArray<{ readonly type: string; readonly content?: unknown }> }
  >
}

/** What the model does when it is asked. */
export type Move =
  | { readonly _tag: "Says"; readonly text: string; readonly inputTokens?: number; readonly outputTokens?: number }
  | { readonly _tag: "Uses"; readonly tool: string; readonly input: unknown }
  | {
    readonly _tag: "Fails"
    readonly status: number
    readonly type: string
    readonly message?: string
    readonly headers?: Record<string, string>
  }
  | { readonly _tag: "Hangs" }

export const says = (text: string): Move => ({ _tag: "Says", text })
export const uses = (tool: string, input: unknown): Move => ({ _tag: "Uses", tool, input })
export const fails = (status: number, type: string, headers: Record<string, string> = {}): Move => ({
  _tag: "Fails",
  status,
  type,
  headers
})
export const hangs: Move = { _tag: "Hangs" }

const pieces = (text: string): ReadonlyArray<string> => {
  const size = 1 << 20
  return Array.from(
    { length: Math.max(1, Math.ceil(text.length / size)) },
    (_, at) => text.slice(at * size, (at + 1) * size)
  )
}

const events = (model: string, index: number, move: Extract<Move, { _tag: "Says" | "Uses" }>) => {
  const [inputTokens, outputTokens] = move._tag === "Says" ? [move.inputTokens, move.outputTokens] : []
  return [
    {
      type: "message_start",
      message: {
        id: `msg_${index}`,
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: inputTokens ?? 100,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          output_tokens: 1
        }
      }
    },
    {
      type: "content_block_start",
      index: 0,
      content_block: move._tag === "Says"
        ? { type: "text", text: "" }
        : { type: "tool_use", id: `toolu_${index}`, name: move.tool, input: {} }
    },
    ...(move._tag === "Says" ? pieces(move.text) : [JSON.stringify(move.input)]).map((piece) => ({
      type: "content_block_delta",
      index: 0,
      delta: move._tag === "Says"
        ? { type: "text_delta", text: piece }
        : { type: "input_json_delta", partial_json: piece }
    })),
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: move._tag === "Says" ? "end_turn" : "tool_use", stop_sequence: null },
      usage: { output_tokens: outputTokens ?? 10 }
    },
    { type: "message_stop" }
  ]
}

/** A model that makes these moves in order; the last one again when it is asked more. */
export const anthropicDouble = (moves: ReadonlyArray<Move>) =>
  httpDouble<Body>({
    path: "/v1/messages",
    answer: (response, body, index) => {
      const move = moves[Math.min(index, moves.length - 1)]!
      switch (move._tag) {
        case "Hangs":
          return
        case "Fails":
          response.writeHead(move.status, { "content-type": "application/json", ...move.headers })
          response.end(JSON.stringify({
            type: "error",
            error: { type: move.type, message: move.message ?? `the double says ${move.type}` }
          }))
          return
        case "Says":
        case "Uses":
          sendEvents(response, events(body.model, index, move))
      }
    }
  })

/** What the tools told the model, in order, as the requests hold it. */
export const toolResults = (asked: ReadonlyArray<Asked<Body>>): ReadonlyArray<string> =>
  asked.flatMap(({ body }) =>
    (body.messages.at(-1)?.content ?? []).filter((block) => block.type === "tool_result")
      .map((block) => JSON.stringify(block.content))
  )
