// A server on loopback that speaks the protocols of providers of models, and plays what it is told.
import { Effect } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Seen {
  readonly url: string
  readonly headers: IncomingMessage["headers"]
  // oxlint-disable-next-line typescript/no-explicit-any -- what a client sent, looked into by tests
  readonly body: any
}

/** Answers one request; `index` counts them from 0. */
export type Handler = (response: ServerResponse, seen: Seen, index: number) => void

export interface Double {
  readonly url: string
  readonly seen: ReadonlyArray<Seen>
}

/** The server, until the scope closes; connections that hang are cut then. */
export const serve = (handler: Handler) =>
  Effect.acquireRelease(
    Effect.callback<Double & { readonly close: () => void }>((resume) => {
      const seen: Array<Seen> = []
      const server = createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"))
          const one = { url: request.url ?? "", headers: request.headers, body }
          seen.push(one)
          handler(response, one, seen.length - 1)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          url: `http://127.0.0.1:${port}`,
          seen,
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

export const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(JSON.stringify(body))
}

/** What a model says: words, or calls of tools. */
export interface Said {
  readonly text?: string
  readonly calls?: ReadonlyArray<readonly [name: string, params: unknown]>
  readonly inputTokens?: number
  readonly outputTokens?: number
  readonly cachedTokens?: number
}

/** One of the protocols: where requests go, and how replies and errors look in it. */
export interface Protocol {
  readonly name: string
  readonly reply: (said: Said) => unknown
  readonly error: (type: string, message: string) => unknown
}

export const anthropic: Protocol = {
  name: "anthropic",
  reply: ({ cachedTokens = 0, calls = [], inputTokens = 100, outputTokens = 10, text = "" }) => ({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "a-model",
    content: [
      ...(text === "" ? [] : [{ type: "text", text }]),
      ...calls.map(([name, input], index) => ({ type: "tool_use", id: `toolu_${index}`, name, input }))
    ],
    stop_reason: calls.length > 0 ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: {
      input_tokens: inputTokens - cachedTokens,
      cache_read_input_tokens: cachedTokens,
      cache_creation_input_tokens: 0,
      output_tokens: outputTokens
    }
  }),
  error: (type, message) => ({ type: "error", error: { type, message } })
}

export const openAi: Protocol = {
  name: "openai",
  reply: ({ cachedTokens = 0, calls = [], inputTokens = 100, outputTokens = 10, text = "" }) => ({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "a-model",
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        content: text === "" ? null : text,
        ...(calls.length === 0 ? {} : {
          tool_calls: calls.map(([name, params], index) => ({
            id: `call_${index}`,
            type: "function",
            function: { name, arguments: typeof params === "string" ? params : JSON.stringify(params) }
          }))
        })
      },
      finish_reason: calls.length > 0 ? "tool_calls" : "stop"
    }],
    usage: {
      prompt_tokens: inputTokens,
      completion_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens }
    }
  }),
  error: (type, message) => ({ error: { message, type, param: null, code: type } })
}
