/**
 * What the service does: it counts primes. And what changes from one deployment of it to the next: the schema of a job's payload.
 */
import { Progress, type Run, Step, WorkEngine, WorkKind } from "@espalier/engine"
import { Context, Effect, Layer, Schema } from "effect"
import { search } from "./sieve.ts"

const Bound = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000_000 }))

/** Counts the primes `p` with `above <= p < below`. */
export interface Payload {
  readonly above?: number
  readonly below: number
}

/** Payload schemas of three deployments. Jobs that an earlier one has queued are there when the next one starts. */
export const payloads = {
  /** The first: there was only an upper bound. */
  v1: Schema.Struct({ below: Bound }),
  /** There is a lower bound now, and whoever queued a job before there was meant 0: it reads what version 1 wrote. */
  v2: Schema.Struct({ above: Bound.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))), below: Bound }),
  /** The same in a hurry: nobody thought of the jobs that are queued. They are not spoiled by it, they wait. */
  careless: Schema.Struct({ above: Bound, below: Bound })
} satisfies { readonly [deployment: string]: Schema.Codec<Payload, Schema.Json> }

/** The upper bound is beyond what this service is set up for. Another setting, and a retry, may do. */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  most: Schema.Int,
  message: Schema.String
}) {}

/** How many primes, and the largest of them (0 when there are none). */
export const Answer = Schema.Struct({ count: Schema.Int, largest: Schema.Int })

/** The largest upper bound that is searched. */
export class Settings extends Context.Service<Settings, { readonly most: number }>()("service/Settings") {
  static readonly layer = (most: number) => Layer.succeed(Settings, { most })
}

const Found = Schema.Struct({ upTo: Schema.Int, count: Schema.Int, largest: Schema.Int })

const count = Effect.fn("Primes")(function*({ above = 0, below }: Payload) {
  const { most } = yield* Settings
  if (below > most) {
    return yield* new TooLarge({ most, message: `this service counts up to ${most}, and was asked for ${below}` })
  }
  // After a stop or a crash the search goes on from the last segment that is recorded.
  const cursor = yield* Step.cursor("searched", Found, { upTo: above, count: 0, largest: 0 })
  const next = search(below)
  let found = cursor.current
  while (found.upTo < below) {
    found = next(found)
    yield* cursor.advance(found)
    yield* Progress.report({ current: found.upTo - above, total: below - above, stage: "sieving" })
    // Whoever computes for long in the engine's own thread lets others have their turn.
    if (found.upTo < below) yield* Effect.yieldNow
  }
  return { count: found.count, largest: found.largest }
})

/** The kind, the engine and the handler of a deployment. The kind's name is what ties it to the jobs of the others. */
export const deployment = (payload: Schema.Codec<Payload, Schema.Json>) => {
  class Primes extends WorkKind.make("Primes", { payload, success: Answer, error: TooLarge }) {}
  class Jobs extends WorkEngine.Service<Jobs>()("service/Jobs", { kinds: [Primes] }) {}
  return { Primes, Jobs, JobsLive: Jobs.layer.pipe(Layer.provide(Primes.toLayer(count))) }
}

export type Deployment = ReturnType<typeof deployment>
export type JobsRun = Run.Run<Deployment["Primes"]>
