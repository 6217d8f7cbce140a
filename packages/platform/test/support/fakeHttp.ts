// An HTTP client of Effect that answers without a network, so that retries can be seen under the test clock.
import { Clock, Effect, Layer } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"

export interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  // oxlint-disable-next-line typescript/no-explicit-any -- what was sent, looked into by tests
  readonly body: any
  readonly atMillis: number
}

/** Answers with a response, or with none: there is no connection then. */
export const fakeHttp = (answer: (index: number) => Response | "no connection") => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) =>
    Effect.gen(function*() {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      sent.push({
        url: request.url,
        headers: request.headers,
        body: JSON.parse(body),
        atMillis: yield* Clock.currentTimeMillis
      })
      const response = answer(sent.length - 1)
      if (response !== "no connection") return HttpClientResponse.fromWeb(request, response)
      const reason = new HttpClientError.TransportError({ request, cause: new Error("ECONNRESET") })
      return yield* new HttpClientError.HttpClientError({ reason })
    })
  )
  return { sent, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers })
