import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Artifacts } from "../src/Artifacts.ts"
import * as Memory from "../src/artifacts/Memory.ts"
import * as None from "../src/artifacts/None.ts"
import * as ArtifactsSuite from "../src/testing/ArtifactsSuite.ts"

const request = (commit: string) => Effect.succeed({ tree: `/tree/${commit}`, commit, log: `/tree/${commit}.log` })

describe("the memory artifacts keep what all artifacts promise", () => {
  const subject: ArtifactsSuite.Subject = {
    request,
    succeeds: Memory.layer(),
    fails: Memory.layer((request) => Effect.fail(Memory.failure(request, { exitCode: 3, logTail: "broken" }))),
    hangs: Memory.layer(() => Effect.never)
  }
  for (const { effect, name } of ArtifactsSuite.cases(subject)) it.effect(name, () => effect)

  it.effect("and remember what was asked for", () =>
    Effect.gen(function*() {
      const artifacts = yield* Artifacts
      const first = yield* request("one")
      const second = yield* request("two")
      yield* artifacts.build(first)
      yield* artifacts.build(second)
      assert.deepStrictEqual(yield* Effect.flatMap(Memory.Builds, (builds) => builds.requests), [first, second])
    }).pipe(Effect.provide(Memory.layer())))
})

describe("no artifacts keep what all artifacts promise", () => {
  for (const { effect, name } of ArtifactsSuite.cases({ request, succeeds: None.layer })) it.effect(name, () => effect)

  it.effect("and build nothing", () =>
    Effect.gen(function*() {
      const artifacts = yield* Artifacts
      assert.strictEqual(yield* artifacts.build(yield* request("one")), undefined)
    }).pipe(Effect.provide(None.layer)))
})
