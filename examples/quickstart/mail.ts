/** Welcome messages that are not lost and not doubled: the engine in a service, in forty lines. */
import { CurrentWork, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { Effect, Schedule, Schema } from "effect"
import { Outbox, Undelivered } from "./outbox.ts"

/** A kind of work: a name, schemas, policies. Whoever submits work needs no more than this. */
export class Welcome extends WorkKind.make("Welcome", {
  payload: { name: Schema.NonEmptyString },
  success: Schema.String,
  error: Undelivered,
  retry: Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 })),
  timeout: "1 minute"
}) {}

/** An engine names its kinds: one without a handler does not compile. */
export class Mail extends WorkEngine.Service<Mail>()("quickstart/Mail", { kinds: [Welcome] }) {}

/** Does the work. What a step has recorded is not done again: not by a retry, not after a crash. */
export const WelcomeLive = Welcome.toLayer(
  Effect.fn("Welcome")(function*({ name }) {
    const outbox = yield* Outbox
    const work = yield* CurrentWork.CurrentWork
    const text = yield* Step.run("write", Schema.String, Effect.sync(() => `Welcome, ${name}!\n`))
    // A crash between a step's effect and its record repeats the effect: hence the key, the same in every attempt.
    yield* Step.run("deliver", Schema.Void, outbox.deliver({ key: work.idempotencyKey("deliver"), text }))
    return text
  })
)

/** Welcomes each of them once, however often it is asked to, and returns what they were told. */
export const welcome = Effect.fn("welcome")(function*(names: ReadonlyArray<string>) {
  const run = yield* (yield* Mail).open("welcome", { concurrency: 8, owner: "quickstart" })
  const jobs = yield* Effect.forEach(names, (name) =>
    run.submit(Welcome, { name }, { id: name }).pipe(
      Effect.catchTag("DuplicateWork", () => run.job(Welcome, name)) // an earlier call, or process, took it on
    ))
  return yield* Effect.forEach(jobs, (job) => job.await)
}, Effect.scoped)
