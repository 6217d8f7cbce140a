// A provider's API on this machine's loopback: it answers with what a test has prepared, keeps what it was asked, and
// plays the proxy for everything else, so that a program which calls anybody else is found out (and gets no further).
import { Effect, Queue } from "effect"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** One request for an answer of the model. */
export interface Asked<Body> {
  readonly headers: IncomingMessage["headers"]
  readonly body: Body
}

/** A provider for one test. */
export interface Double<Body = unknown> {
  readonly url: string
  /** The requests for an answer, in order. */
  readonly asked: ReadonlyArray<Asked<Body>>
  /** Waits for the next request for an answer. */
  readonly next: Effect.Effect<Asked<Body>>
  /** Everything else that somebody wanted of the network: hosts, or paths of this one. */
  readonly strays: ReadonlyArray<string>
}

/** Starts one. `answer` gets the requests to `path`, whose form the test takes for granted, with their number from 0. */
export const httpDouble = <Body>(options: {
  readonly path: string
  readonly answer: (response: ServerResponse, body: Body, index: number) => void
}) =>
  Effect.gen(function*() {
    const asked: Array<Asked<Body>> = []
    const strays: Array<string> = []
    const requests = yield* Queue.unbounded<Asked<Body>>()
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const { pathname } = new URL(request.url ?? "/", "http://localhost")
        // A proxy is asked for whole addresses.
        if (request.method !== "POST" || pathname !== options.path || !request.url!.startsWith("/")) {
          strays.push(`${request.method} ${request.url}`)
          response.writeHead(404, { "content-type": "application/json" }).end("{}")
          return
        }
        const one = { headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) as Body }
        asked.push(one)
        Queue.offerUnsafe(requests, one)
        options.answer(response, one.body, asked.length - 1)
      })
    })
    server.on("connect", (request, socket) => {
      strays.push(`CONNECT ${request.url}`)
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n")
    })
    server.listen(0, "127.0.0.1")
    yield* Effect.promise(() => once(server, "listening"))
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        const closed = once(server, "close")
        server.close()
        server.closeAllConnections()
        await closed
      })
    )
    const { port } = server.address() as AddressInfo
    const double: Double<Body> = { url: `http://127.0.0.1:${port}`, asked, next: Queue.take(requests), strays }
    return double
  })

/** Variables that lead everything but the double's own address to the double as a proxy, which refuses it. */
export const trap = (url: string) => ({
  HTTP_PROXY: url,
  HTTPS_PROXY: url,
  ALL_PROXY: url,
  http_proxy: url,
  https_proxy: url,
  NO_PROXY: "127.0.0.1,localhost",
  no_proxy: "127.0.0.1,localhost"
})

/** Sends events as a stream of server-sent events, and ends. */
export const sendEvents = (response: ServerResponse, events: ReadonlyArray<{ readonly type: string }>): void => {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" })
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  response.end()
}
