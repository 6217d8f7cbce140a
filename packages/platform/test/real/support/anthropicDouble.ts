// Anthropic's messages API, as far as Claude's program uses it.
import type { Asked } from "./httpDouble.ts"
import * as Model from "./modelDouble.ts"

/** What is asked of the model, as far as the tests look at it. */
export interface Body {
  readonly model: string
  readonly tools: ReadonlyArray<{ readonly name: string }>
  readonly messages: ReadonlyArray<
    { readonly content: ReadonlyArray<{ readonly type: string; readonly content?: unknown }> }
  >
}

interface Uses {
  readonly _tag: "Acts"
  readonly tool: string
  readonly input: unknown
}

export const uses = (tool: string, input: unknown): Uses => ({ _tag: "Acts", tool, input })

const pieces = (text: string): ReadonlyArray<string> => {
  const size = 1 << 20
  return Array.from(
    { length: Math.max(1, Math.ceil(text.length / size)) },
    (_, at) => text.slice(at * size, (at + 1) * size)
  )
}

const events = ({ model }: Body, index: number, move: Model.Says | Uses) => {
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

/** A model that makes these moves. */
export const anthropicDouble = Model.modelDouble<Body, Uses>({
  path: "/v1/messages",
  failure: (type, message) => ({ type: "error", error: { type, message } }),
  events
})

/** What the tools told the model, in order, as the requests hold it. */
export const toolResults = (asked: ReadonlyArray<Asked<Body>>): ReadonlyArray<string> =>
  asked.flatMap(({ body }) =>
    (body.messages.at(-1)?.content ?? []).filter((block) => block.type === "tool_result")
      .map((block) => JSON.stringify(block.content))
  )
