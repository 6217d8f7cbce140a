import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Artifacts, BuildFailure, isArtifactName, isOfTheMachine } from "../src/Artifacts.ts"
import * as Memory from "../src/artifacts/Memory.ts"
import * as None from "../src/artifacts/None.ts"
import * as ArtifactsSuite from "../src/testing/ArtifactsSuite.ts"

const request = (commit: string) => Effect.succeed({ tree: `/tree/${commit}`, commit, log: `/tree/${commit}.log` })

describe("the memory artifacts keep what all artifacts promise", () => {
  const subject: ArtifactsSuite.Subject = {
    request,
    succeeds: Memory.layer(),
    remembers: true,
    fails: Memory.layer((request) => Effect.fail(Memory.failure(request, { exitCode: 3, logTail: "broken" }))),
    hangs: Memory.layer(() => Effect.never),
    expires: Memory.layer((request) => Effect.fail(Memory.failure(request, { failure: "timed-out" })))
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
  const subject = { request, succeeds: None.layer, remembers: false }
  for (const { effect, name } of ArtifactsSuite.cases(subject)) it.effect(name, () => effect)

  it.effect("and build nothing", () =>
    Effect.gen(function*() {
      const artifacts = yield* Artifacts
      assert.strictEqual(yield* artifacts.build(yield* request("one")), undefined)
    }).pipe(Effect.provide(None.layer)))
})

describe("a name of an artifact", () => {
  it("is what container engines take as the name of an image", () => {
    const names = [
      "a",
      "a:b",
      "a/b",
      "a/b/c:1.0_2-3",
      "a__b",
      "a---b",
      "a.b",
      "localhost/a",
      "LOCAL.example:5000/a/b:T"
    ]
    assert.deepStrictEqual(names.filter((name) => !isArtifactName(name)), [])
    const others = ["a___b", "a..b", "a._b", "-a", "a-", "A", "a/B", "a@sha256:1", "a:b:c", "http://a/b", "a\n"]
    assert.deepStrictEqual(others.filter(isArtifactName), [])
  })

  it("holds no character that a shell, an option or a path would take for something else", () => {
    const unit = fc.constantFrom(..."abzAZ019._-/:", "\n", " ", "$", "\0", "é")
    let named = 0
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 8 }), (text) => {
        if (!isArtifactName(text)) return
        named++
        assert.match(text, /^[A-Za-z0-9][A-Za-z0-9._/:-]*$/)
        assert.notInclude(text, "..")
      }),
      { numRuns: 2000 }
    )
    assert.isAbove(named, 50)
  })

  it("is checked in no time, however long the text", () => {
    for (const unit of ["a", "a-", "a.", "a/", "a_", "1.", "a:"]) {
      for (const length of [380, 200_000]) assert.isFalse(isArtifactName(`${unit.repeat(length / 2)}!`))
    }
  })
})

it("a failure is the tree's or the machine's", () => {
  const tree = BuildFailure.literals.filter((failure) => !isOfTheMachine(failure))
  assert.deepStrictEqual(tree, ["exited", "timed-out", "nothing-built", "refused"])
})
