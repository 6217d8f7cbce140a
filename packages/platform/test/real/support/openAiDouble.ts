// OpenAI's responses API, as far as Codex' program uses it.
import { type Asked, httpDouble, sendEvents } from "./httpDouble.ts"

/** What is asked of the model, as far as the tests look at it. */
export interface Body {
  readonly model: string
  readonly input: ReadonlyArray<{ readonly type: string; readonly output?: unknown }>
}

/** What the model does when it is asked. */
export type Move =
  | { readonly _tag: "Says"; readonly text: string; readonly inputTokens?: number; readonly outputTokens?: number }
  | { readonly _tag: "Runs"; readonly command: string }
  | {
    readonly _tag: "Fails"
    readonly status: number
    readonly code: string
    readonly message?: string
    readonly headers?: Record<string, string>
  }
  | { readonly _tag: "Hangs" }

export const says = (text: string): Move => ({ _tag: "Says", text })
/** In a shell, which is all the hands that this program has; a patch is a command too. */
export const runs = (command: string): Move => ({ _tag: "Runs", command })
export const patches = (...lines: ReadonlyArray<string>): Move =>
  runs(["apply_patch <<'EOF'", "*** Begin Patch", ...lines, "*** End Patch", "EOF"].join("\n"))
export const fails = (status: number, code: string, message?: string): Move => ({
  _tag: "Fails",
  status,
  code,
  ...(message === undefined ? {} : { message })
})
export const hangs: Move = { _tag: "Hangs" }

const itemOf = (index: number, move: Extract<Move, { _tag: "Says" | "Runs" }>) =>
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

const events = (index: number, move: Extract<Move, { _tag: "Says" | "Runs" }>) => {
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

/** A model that makes these moves in order; the last one again when it is asked more. */
export const openAiDouble = (moves: ReadonlyArray<Move>) =>
  httpDouble<Body>({
    path: "/v1/responses",
    answer: (response, _, index) => {
      const move = moves[Math.min(index, moves.length - 1)]!
      switch (move._tag) {
        case "Hangs":
          return
        case "Fails":
          response.writeHead(move.status, { "content-type": "application/json", ...move.headers })
          response.end(JSON.stringify({
            error: { type: move.code, code: move.code, message: move.message ?? `the double says ${move.code}` }
          }))
          return
        case "Says":
        case "Runs":
          sendEvents(response, events(index, move))
      }
    }
  })

/** What the shells told the model, in order, as the requests hold it. */
export const toolResults = (asked: ReadonlyArray<Asked<Body>>): ReadonlyArray<string> =>
  asked.flatMap(({ body }) => {
    const last = body.input.at(-1)
    return last?.type === "function_call_output" ? [JSON.stringify(last.output)] : []
  })
