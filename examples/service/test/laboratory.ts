/**
 * The service without a socket: requests go to its routes, jobs to a run on a journal in memory, which a later deployment can open.
 */
import { Journal } from "@espalier/engine"
import { Effect, Latch, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { routes } from "../api.ts"
import { deployment, payloads, Settings } from "../deployment.ts"
import { open, type ServerOptions } from "../server.ts"

/** A journal that outlives deployments. */
export const journal = Effect.map(Layer.build(Journal.layerMemory), (context) => Layer.succeedContext(context))

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // What a server says is anybody's guess until it is looked at, which is what the tests do.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

type Options = Partial<Pick<ServerOptions, "capacity" | "concurrency" | "keep" | "most">>

/** A deployment of the service, until the scope closes. */
export const service = Effect.fnUntraced(function*(
  on: Layer.Layer<Journal.Journal>,
  version: keyof typeof payloads = "v2",
  { capacity = 100, concurrency = 2, keep = 100, most = 1_000_000_000 }: Options = {}
) {
  const deployed = deployment(payloads[version])
  const stopping = Latch.makeUnsafe(false)
  const context = yield* Layer.build(
    Layer.fresh(deployed.JobsLive).pipe(Layer.provide([Settings.layer(most), on]))
  )
  const run = yield* Effect.provideContext(open(deployed, { capacity, concurrency, keep }), context)
  const app = yield* HttpRouter.toHttpEffect(routes(deployed.Primes, run, stopping.await))

  const fetch = (method: string, path: string, init: RequestInit = {}) =>
    app.pipe(
      Effect.provideService(
        HttpServerRequest.HttpServerRequest,
        HttpServerRequest.fromWeb(new Request(`http://service${path}`, { method, ...init }))
      ),
      Effect.scoped,
      Effect.orDie,
      Effect.map((response) => HttpServerResponse.toWeb(response))
    )

  const call = (method: string, path: string, init: RequestInit = {}) =>
    Effect.flatMap(
      fetch(method, path, init),
      (response) =>
        Effect.map(Effect.promise(() => response.json()), (body): Answer => ({
          status: response.status,
          headers: response.headers,
          body
        }))
    )

  const submit = (payload: unknown, key?: string) =>
    call("POST", "/jobs", {
      body: JSON.stringify(payload),
      ...(key === undefined ? {} : { headers: { "Idempotency-Key": key } })
    })

  return { run, call, fetch, submit, stopping }
})
