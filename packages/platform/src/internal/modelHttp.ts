/**
 * One request to a provider over HTTP: sent, tried again where that helps, read within bounds, its failures told
 * apart. The only file of the agents that knows `effect/http`.
 *
 * The key stands in the headers of the request and nowhere else. What comes back is cleaned of it before anything looks at
 * it, redirects are not followed (the key would go along), and nothing of the client's own errors is kept as a
 * cause, for they hold the request.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { redactor } from "./agentSecrets.ts"
import { meaningOf } from "./httpStatus.ts"
import type { ProviderFailure } from "./modelWire.ts"

export { HttpClient } from "effect/http/HttpClient"

/** A client out of Node's own `fetch`. */
export const fetchLayer = FetchHttpClient.layer

/** A status and what came with it, for the adapter to say what it means. */
export interface Refusal {
  readonly status: number
  readonly retryAfterMillis: number | null
  /** The body, where it is JSON. */
  readonly body: unknown
  /** What the provider said, in short. */
  readonly detail: string
}

/** Where and how to send. */
export interface Endpoint {
  readonly provider: string
  readonly url: string
  readonly key: Redacted.Redacted
  /** The headers, given the key. */
  readonly headers: (key: string) => Record<string, string>
  /** What a status that is no success means; undefined leaves it to the general meaning of the status. */
  readonly classify: (refusal: Refusal) => ProviderFailure | undefined
  readonly requestTimeout: Duration.Input
  readonly retry: Schedule.Schedule<unknown>
  readonly maxReplyBytes: number
}

/** Tried again after about 1, 2, 4 and 8 seconds. */
export const defaultRetry: Schedule.Schedule<unknown> = Schedule.max([
  Schedule.jittered(Schedule.exponential("1 second")),
  Schedule.recurs(4)
])

/** A provider that asks for a longer pause is not waited for here: whoever asked knows better what to do meanwhile. */
const longestPause = Duration.minutes(1)

const failure = (failure: ProviderFailure): Effect.Effect<never, ProviderFailure> => Effect.fail(failure)

/** The body of the reply, as JSON. */
export const post = (
  endpoint: Endpoint,
  body: unknown
): Effect.Effect<unknown, ProviderFailure, HttpClient.HttpClient> => {
  const secret = Redacted.value(endpoint.key).trim()
  const clean = redactor([endpoint.key])
  if (secret === "" || /[^\x21-\x7e]/.test(secret)) {
    return failure({
      _tag: "Unauthorized",
      detail: `the key for ${endpoint.provider} ${
        secret === "" ? "is empty" : "contains a space, a line break or another character that no key has"
      }`
    })
  }
  const request = HttpClientRequest.post(endpoint.url).pipe(
    HttpClientRequest.setHeaders({ ...endpoint.headers(secret), accept: "application/json" }),
    HttpClientRequest.bodyText(JSON.stringify(body), "application/json")
  )
  const once = Effect.gen(function*() {
    const response = yield* Effect.mapError(HttpClient.execute(request), unreachable(clean))
    const text = clean(yield* readBody(endpoint, response, clean))
    const json = parse(text, clean)
    if (response.status >= 200 && response.status < 300) {
      if (Result.isSuccess(json)) return json.success
      return yield* failure({
        _tag: "BadReply",
        detail: `the reply of ${endpoint.provider} is not JSON: ${excerpt(text)}`
      })
    }
    const refusal: Refusal = {
      status: response.status,
      retryAfterMillis: retryAfter(response.headers, yield* Clock.currentTimeMillis),
      body: Result.isSuccess(json) ? json.success : undefined,
      detail: `${endpoint.provider} answered ${response.status}: ${
        excerpt(Result.isSuccess(json) ? messageIn(json.success) ?? text : text)
      }`
    }
    return yield* failure(endpoint.classify(refusal) ?? generalMeaning(refusal))
  }).pipe(
    Effect.timeoutOrElse({
      duration: endpoint.requestTimeout,
      orElse: () =>
        failure({
          _tag: "Unreachable",
          // Not worth another try: it would take as long again.
          retryAfterMillis: Infinity,
          detail: `${endpoint.provider} did not answer within ${
            Duration.format(Duration.fromInputUnsafe(endpoint.requestTimeout))
          }`
        })
    })
  )
  return Effect.retry(once, {
    schedule: patient(endpoint.retry),
    while: worthAnotherTry
  }).pipe(
    // A span of the client would hold the response whole, with whatever a server echoes in its headers; and a third
    // party has no use for our trace ids. The model's own span stays.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
  )
}

const pauseOf = (failed: ProviderFailure): number =>
  failed._tag === "RateLimited" || failed._tag === "Unreachable" ? failed.retryAfterMillis ?? 0 : 0

const worthAnotherTry = (failed: ProviderFailure): boolean =>
  (failed._tag === "Unreachable" || (failed._tag === "RateLimited" && failed.overloaded)) &&
  pauseOf(failed) <= Duration.toMillis(longestPause)

/** The schedule, with a pause that is never shorter than what the provider asks for. */
const patient = (schedule: Schedule.Schedule<unknown>): Schedule.Schedule<unknown, ProviderFailure> =>
  Schedule.modifyDelay(
    Schedule.setInputType<ProviderFailure>()(schedule),
    ({ duration, input }) => Effect.succeed(Duration.max(duration, Duration.millis(pauseOf(input))))
  )

const unreachable = (clean: (text: string) => string) => (error: HttpClientError.HttpClientError): ProviderFailure => {
  const { reason } = error
  const method = reason._tag === "InvalidUrlError" || reason._tag === "EncodeError" ? "InvalidRequest" : "Unreachable"
  const detail = clean(`no reply: ${[...causes(reason.cause)].join(": ") || reason._tag}`)
  return method === "InvalidRequest"
    ? { _tag: method, detail }
    : { _tag: method, retryAfterMillis: null, detail }
}

/** Words of an error and of what caused it: `fetch failed` alone says nothing. */
function* causes(cause: unknown, depth = 0): Generator<string> {
  if (!(cause instanceof Error) || depth > 4) return
  const code = (cause as NodeJS.ErrnoException).code
  const words = cause.message === "" ? cause.name : cause.message
  yield code === undefined || words.includes(code) ? words : `${words} (${code})`
  yield* causes(cause.cause, depth + 1)
}

const readBody = (
  endpoint: Endpoint,
  response: HttpClientResponse.HttpClientResponse,
  clean: (text: string) => string
): Effect.Effect<string, ProviderFailure> =>
  Effect.gen(function*() {
    const chunks: Array<Uint8Array> = []
    let bytes = 0
    const tooLong: ProviderFailure = {
      _tag: "ReplyTooLong",
      detail: `the reply of ${endpoint.provider} is longer than ${endpoint.maxReplyBytes} bytes`
    }
    yield* response.stream.pipe(
      Stream.mapError((error): ProviderFailure =>
        error.reason._tag === "EmptyBodyError"
          ? { _tag: "BadReply", detail: `the reply of ${endpoint.provider} (status ${response.status}) is empty` }
          : {
            _tag: "Unreachable",
            retryAfterMillis: null,
            detail: clean(`the reply broke off after ${bytes} bytes: ${[...causes(error.reason.cause)].join(": ")}`)
          }
      ),
      Stream.runForEach((chunk) => {
        bytes += chunk.byteLength
        if (bytes > endpoint.maxReplyBytes) return failure(tooLong)
        chunks.push(chunk)
        return Effect.void
      })
    )
    return Buffer.concat(chunks).toString("utf8")
  })

/** Cleaned once more: JSON can write a key in escapes that its text does not show. */
const parse = (text: string, clean: (text: string) => string): Result.Result<unknown, unknown> =>
  Result.try({
    try: (): unknown => JSON.parse(text, (_, value: unknown) => typeof value === "string" ? clean(value) : value),
    catch: (error) => error
  })

const excerptCharacters = 500

const excerpt = (text: string): string =>
  text.length <= excerptCharacters ? text.trim() : `${text.slice(0, excerptCharacters).trim()} [...]`

/** Both protocols put it in `error.message`; some servers in `message` or `error` alone. */
const messageIn = (body: unknown): string | undefined => {
  if (typeof body !== "object" || body === null) return undefined
  const { error, message } = body as { readonly error?: unknown; readonly message?: unknown }
  if (typeof error === "string") return error
  return messageIn(error) ?? (typeof message === "string" ? message : undefined)
}

const retryAfter = (headers: Readonly<Record<string, string | undefined>>, now: number): number | null => {
  const exact = Number(headers["retry-after-ms"] ?? "")
  if (headers["retry-after-ms"] !== undefined && exact >= 0 && exact < Infinity) return exact
  const said = headers["retry-after"]?.trim()
  if (said === undefined || said === "") return null
  const seconds = Number(said)
  if (!Number.isNaN(seconds)) return seconds >= 0 && seconds < Infinity ? seconds * 1000 : null
  const date = Date.parse(said)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/** What the status alone says. */
export const generalMeaning = ({
  detail,
  retryAfterMillis,
  status
}: Pick<Refusal, "status" | "retryAfterMillis" | "detail">): ProviderFailure => {
  const meaning = meaningOf(status)
  switch (meaning) {
    case "account-limit":
    case "overloaded":
      return { _tag: "RateLimited", retryAfterMillis, overloaded: meaning === "overloaded", detail }
    case "unauthorized":
      return { _tag: "Unauthorized", detail }
    case "out-of-credit":
      return { _tag: "OutOfCredit", detail }
    case "too-long":
      return { _tag: "ContextTooLong", detail }
    case "unreachable":
      return { _tag: "Unreachable", retryAfterMillis, detail }
    case "refused":
      return { _tag: "InvalidRequest", detail }
    case "none":
      return { _tag: "BadReply", detail }
  }
}
