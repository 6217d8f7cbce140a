import { Journal, WorkEngine, WorkKind } from "@espalier/engine"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"

class Known extends WorkKind.make("Known", { payload: { n: Schema.Int }, success: Schema.Int }) {}
class Forgotten extends WorkKind.make("Forgotten", { payload: {} }) {}
class Stranger extends WorkKind.make("Stranger", { payload: {} }) {}
class Jobs extends WorkEngine.Service<Jobs>()("test/TypedJobs", { kinds: [Known, Forgotten] }) {}

const KnownLive = Known.toLayer(({ n }) => Effect.succeed(n))
const ForgottenLive = Forgotten.toLayer(() => Effect.void)

// The compiler is the test here: `tsc -b` fails when one of the lines below compiles that must not. They are
// never run.
const neverRun = () => {
  const whole = Jobs.layer.pipe(Layer.provide([KnownLive, ForgottenLive, Journal.layerMemory]))
  const lacking = Jobs.layer.pipe(Layer.provide([KnownLive, Journal.layerMemory]))
  const program = Effect.scoped(Effect.gen(function*() {
    const run = yield* (yield* Jobs).open("r", { concurrency: 1 })
    // @ts-expect-error a payload of the wrong type
    yield* run.submit(Known, { n: "one" })
    // @ts-expect-error a kind that the engine does not run
    yield* run.submit(Stranger, {})
    return (yield* run.submit(Known, { n: 1 })).id
  }))
  const complete: Effect.Effect<string, unknown> = Effect.provide(program, whole)
  // @ts-expect-error no handler for the kind "Forgotten"
  const incomplete: Effect.Effect<string, unknown> = Effect.provide(program, lacking)
  // @ts-expect-error a handler whose success is not the kind's
  Known.toLayer(() => Effect.succeed("one"))
  return [complete, incomplete]
}

describe("types", () => {
  it("make a missing handler, a foreign kind and a wrong payload fail to compile", () => {
    assert.isFunction(neverRun)
  })
})
