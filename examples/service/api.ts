/**
 * The service's interface over HTTP: a thin translation of requests into what a run can be asked, and of its answers and refusals
 * into status codes. Whatever goes wrong is told as a problem document (RFC 9457).
 *
 * | request | answer |
 * | --- | --- |
 * | `POST /jobs`, a payload as JSON, perhaps an `Idempotency-Key` | 201 and the job; 200 when the key's job is there already; 422; 503 when the service is full |
 * | `GET /jobs/ID` | 200 and state, progress, outcome; 404; 410 when it is forgotten |
 * | `POST /jobs/ID/cancel`, `POST /jobs/ID/retry`, perhaps `?reason=` | 200 and the job; 404, 410; 409 when its state does not allow it |
 * | `GET /status` | 200 and the state of the run |
 * | `GET /events?after=N` | 200 and the run's events as server-sent events; `Last-Event-ID` goes before `after` |
 */
import { type Run, type RunError, RunStatus } from "@espalier/engine"
import { ByteSize, Effect, Equal, Option, Schema } from "effect"
import {
  HttpIncomingMessage,
  HttpRouter,
  type HttpServerError,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse,
  ProblemDetails
} from "effect/http"
import type { Deployment, JobsRun, Payload } from "./deployment.ts"
import { eventStream } from "./events.ts"
import * as Ids from "./ids.ts"

const problem = (status: number, detail: string, headers: { readonly [name: string]: string } = {}) =>
  HttpServerResponse.setHeaders(ProblemDetails.toResponse({ type: "about:blank", status, detail }), headers)

/** What a person or a program is told of one job. */
const jobOf = ({ attempt, failures, generation, id, outcome, reason, running, spec, state }: RunStatus.WorkStatus) => ({
  id,
  state,
  payload: spec.payload,
  attempt,
  generation,
  reason,
  why: reason === undefined ? undefined : RunStatus.describe(reason),
  progress: running?.progress,
  etaMillis: running?.etaMillis,
  failures: failures.length,
  outcome
})

/** The run's status, and in words why what waits does wait. */
const statusOf = (status: RunStatus.RunStatus) => ({
  ...status,
  waiting: status.waiting.map((group) => ({ ...group, why: RunStatus.describe(group.reason) }))
})

type Refusal =
  | RunError.InvalidWork
  | RunError.DuplicateKey
  | RunError.DuplicateWork
  | RunError.RunFull
  | RunError.WorkSettled
  | RunError.WorkNotAccepting
  | RunError.RunNotAccepting
  | RunError.JournalError

/** A refusal of the run as a status code. */
const refused = (error: Refusal) => {
  switch (error._tag) {
    case "InvalidWork":
      return problem(422, error.message)
    case "DuplicateKey":
    case "DuplicateWork":
    case "WorkSettled":
    case "WorkNotAccepting":
      return problem(409, error.message)
    // There are too many jobs, it is being stopped, or its disk fails: another time it may be taken.
    case "RunFull":
    case "RunNotAccepting":
    case "JournalError":
      return problem(503, error.message, { "retry-after": "5" })
  }
}

const Reason = Schema.Struct({ reason: Schema.optionalKey(Schema.NonEmptyString) })
const Seq = Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))
const Path = Schema.Struct({ id: Schema.String })

/** The routes of a run. `stopping` ends what would otherwise never end. */
export const routes = (primes: Deployment["Primes"], run: JobsRun, stopping: Effect.Effect<void>) => {
  const show = (id: string, options: HttpServerResponse.Options = {}) =>
    Effect.map(run.work(id), (work) => HttpServerResponse.jsonUnsafe(jobOf(work), options))

  /** The run knows nothing of a job that it has forgotten; the job's id tells that it was one. */
  const missing = ({ forgotten = 0, id }: RunError.WorkNotFound) =>
    forgotten > 0 && Ids.isOurs(id)
      ? problem(410, `the job "${id}" is over, and how it ended is no longer kept`)
      : problem(404, `there is no job "${id}"`)

  /** When there may be room again, in seconds: a job ends so often. */
  const retryAfter = Effect.map(
    run.status,
    ({ throughput }) => String(throughput === 0 ? 10 : Math.min(60, Math.ceil(1 / throughput)))
  )

  /** The job of a key is there already: for the same payload that is an answer, for another it is a mistake. */
  const repeated = (id: string, payload: Payload) =>
    Effect.gen(function*() {
      const { spec } = yield* run.work(id)
      const earlier = Schema.decodeUnknownOption(primes.payload)(spec.payload)
      return Option.isSome(earlier) && !Equal.equals(earlier.value, payload)
        ? problem(422, "this Idempotency-Key came with another payload before: take a new key for a new job")
        : yield* show(id)
    })

  const submit = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const payload = yield* Effect.flatMap(request.json, Schema.decodeUnknownEffect(primes.payload))
    const key = request.headers["idempotency-key"]
    const id = key === undefined ? Ids.make() : Ids.ofKey(key)
    return yield* run.submit(primes, payload, { id, whenFull: "refuse" }).pipe(
      Effect.andThen(show(id, { status: 201, headers: { location: `/jobs/${id}` } })),
      Effect.catchTag("DuplicateWork", () => repeated(id, payload)),
      // A job that is there already needs no room.
      Effect.catchTag(
        "RunFull",
        (full) => Effect.catchTag(repeated(id, payload), "WorkNotFound", () => Effect.fail(full))
      )
    )
  }).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(64)),
    Effect.catchTag("RunFull", () =>
      Effect.map(
        retryAfter,
        (seconds) => problem(503, "too many jobs are waiting: come again later", { "retry-after": seconds })
      ))
  )

  const get = Effect.flatMap(HttpRouter.schemaPathParams(Path), ({ id }) => show(id))

  const control = (steer: (id: string, by: Run.Asked) => Effect.Effect<void, Refusal | RunError.WorkNotFound>) =>
    Effect.gen(function*() {
      const { id } = yield* HttpRouter.schemaPathParams(Path)
      const { reason = "asked for over HTTP" } = yield* HttpServerRequest.schemaSearchParams(Reason)
      yield* steer(id, { actor: "http", reason })
      return yield* show(id)
    })

  const status = Effect.map(run.status, (found) => HttpServerResponse.jsonUnsafe(statusOf(found)))

  const events = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const asked = yield* HttpServerRequest.schemaSearchParams(Schema.Struct({ after: Schema.optionalKey(Seq) }))
    // A browser that has lost the connection comes again by itself and says which event it saw last.
    const last = request.headers["last-event-id"]
    const after = last === undefined ? asked.after ?? 0 : yield* Schema.decodeUnknownEffect(Seq)(last)
    return HttpServerResponse.stream(eventStream(run, after, stopping), {
      contentType: "text/event-stream",
      // The connection ends with the stream: a service that stops does not wait for what it might be used for next.
      headers: { "cache-control": "no-store", connection: "close" }
    })
  })

  type Wrong = Refusal | RunError.WorkNotFound | Schema.SchemaError | HttpServerError.HttpServerError

  /** Whatever went wrong, as an answer. */
  const answered = <R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, Wrong, R>) =>
    handler.pipe(
      Effect.catchTag("WorkNotFound", (error) => Effect.succeed(missing(error))),
      Effect.catch((error) => {
        switch (error._tag) {
          case "SchemaError":
            return Effect.succeed(problem(422, error.message))
          case "HttpServerError":
            return Effect.map(HttpServerRespondable.toResponse(error), ({ status }) =>
              problem(status, status === 413 ? "a job takes no more than 64 KiB" : "the body is no JSON"))
          default:
            return Effect.succeed(refused(error))
        }
      })
    )

  return HttpRouter.addAll([
    HttpRouter.route("POST", "/jobs", answered(submit)),
    HttpRouter.route("GET", "/jobs/:id", answered(get)),
    HttpRouter.route("POST", "/jobs/:id/cancel", answered(control(run.cancelWork))),
    HttpRouter.route("POST", "/jobs/:id/retry", answered(control(run.retry))),
    HttpRouter.route("GET", "/status", answered(status)),
    HttpRouter.route("GET", "/events", answered(events)),
    HttpRouter.route("*", "*", Effect.succeed(problem(404, "there is nothing here: see /status, /events and /jobs")))
  ])
}
