// OpenAI's responses API, as far as Codex' program uses it.
import type { Asked } from "./httpDouble.ts"
import * as Model from "./modelDouble.ts"

/** What is asked of the model, as far as the tests look at it. */
export interface Body {
  readonly model: string
  readonly input: ReadonlyArray<{ readonly type: string; readonly output?: unknown }>
}

interface Runs {
  readonly _tag: "Acts"
  readonly command: string
}

/** What the model does when it is asked. */
export type Move = Model.Move<Runs>

/** In a shell, which is all the hands that this program has; a patch is a command too. */
export const runs = (command: string): Runs => ({ _tag: "Acts", command })
export const patches = (...lines: ReadonlyArray<string>): Runs =>
  runs(["apply_patch <<'EOF'", "*** Begin Patch", ...lines, "*** End Patch", "EOF"].join("\n"))
const itemOf = (index: number, move: Model.Says | Runs) =>
  move._tag === "Says"
    ? {
      type: "message",
      id: `msg_${index}`,
      role: "assistant",
      content: [{ type: "output_text", text: move.text, annotations: [] }]
    }
    : {
      type: "function_call",
      id: `fc_${index}`,
      call_id: `call_${index}`,
      name: "exec_command",
      arguments: JSON.stringify({ cmd: move.command })
    }

const events = (_: Body, index: number, move: Model.Says | Runs) => {
  const [input = 100, output = 10] = move._tag === "Says" ? [move.inputTokens, move.outputTokens] : []
  const id = `resp_${index}`
  return [
    { type: "response.created", response: { id } },
    { type: "response.output_item.done", output_index: 0, item: itemOf(index, move) },
    {
      type: "response.completed",
      response: {
        id,
        usage: {
          input_tokens: input,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: output,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: input + output
        }
      }
    }
  ]
}

/** A model that makes these moves. */
export const openAiDouble = Model.modelDouble<Body, Runs>({
  path: "/v1/responses",
  failure: (code, message) => ({ error: { type: code, code, message } }),
  events
})

/** What the shells told the model, in order, as the requests hold it. */
export const toolResults = (asked: ReadonlyArray<Asked<Body>>): ReadonlyArray<string> =>
  asked.flatMap(({ body }) => {
    const last = body.input.at(-1)
    return last?.type === "function_call_output" ? [JSON.stringify(last.output)] : []
  })
