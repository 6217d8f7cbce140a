/**
 * What every way to build must do, as named cases that any test runner can register. A case is an Effect that fails or
 * dies when the layer does not do it.
 *
 * @example
 * ```ts
 * import * as None from "@espalier/platform/artifacts/None"
 * import { ArtifactsSuite } from "@espalier/platform/testing"
 * import { Effect } from "effect"
 *
 * const subject: ArtifactsSuite.Subject = {
 *   request: (commit) => Effect.succeed({ tree: "/tree", commit, log: "/tree.log" }),
 *   succeeds: None.layer,
 *   remembers: false
 * }
 * for (const { effect } of ArtifactsSuite.cases(subject)) await Effect.runPromise(effect)
 * ```
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { strict as assert } from "node:assert"
import { type Artifact, Artifacts, type BuildRequest, isOfTheMachine } from "../Artifacts.ts"

/** The artifacts under test. A layer forgets, between two cases, what it built for the first. */
export interface Subject {
  /** A request for a build of this commit, in a tree of its own that is removed with the scope. */
  readonly request: (commit: string) => Effect.Effect<BuildRequest, never, Scope.Scope>
  /** Every build succeeds; builds of different commits give different artifacts, if any. */
  readonly succeeds: Layer.Layer<Artifacts>
  /** Whether `resolve` finds what was built, and `tag` names it. */
  readonly remembers: boolean
  /** Every build prints `broken` and ends with this exit code, 3 when left out. Left out where a build cannot fail. */
  readonly fails?: Layer.Layer<Artifacts> | undefined
  readonly exitCode?: number | undefined
  /** No build ends by itself. Left out where a build cannot last. */
  readonly hangs?: Layer.Layer<Artifacts> | undefined
  /** No build ends by itself, and none may take longer than a moment. Left out where there is no limit. */
  readonly expires?: Layer.Layer<Artifacts> | undefined
  /** What builds is not on this machine. Left out where nothing is needed. */
  readonly missing?: Layer.Layer<Artifacts> | undefined
}

/** One thing that holds for all artifacts. */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}

/** Commits as nobody would name them, each of which some tool takes for something else. */
const strangeCommits = ["a b", "a_b", "a\nb", "--help", "$(touch x)", "'\"`;&|*?", "../../up", "é🌳"]

const strangeNames = [
  "",
  " ",
  "-",
  "--help",
  "-t",
  "a b",
  "a\nb",
  "Upper",
  "a:",
  ":tag",
  "a::b",
  "/a",
  "a/",
  "a//b",
  "../a",
  "a:-x",
  "$(touch x)",
  "`id`",
  "a;b",
  "a'b",
  "a\"b",
  "é",
  "🌳",
  "a\0b",
  `a:${"t".repeat(129)}`,
  "a".repeat(256),
  "a".repeat(100_000),
  "c".repeat(64),
  "sha256:beef"
]

/** The cases for one layer. Each builds its own, so they may run in any order; at once where the layers share nothing. */
export const cases = (subject: Subject): ReadonlyArray<Case> => {
  const check = (
    name: string,
    layer: Layer.Layer<Artifacts> | undefined,
    body: (artifacts: Artifacts["Service"]) => Effect.Effect<void, unknown, Scope.Scope>
  ): ReadonlyArray<Case> =>
    layer === undefined
      ? []
      : [{ name, effect: Effect.flatMap(Artifacts, body).pipe(Effect.scoped, Effect.provide(layer)) }]
  const remembering = subject.remembers ? subject.succeeds : undefined
  const forgetful = subject.remembers ? undefined : subject.succeeds

  const build = (artifacts: Artifacts["Service"], commit: string) =>
    Effect.flatMap(subject.request(commit), (request) => artifacts.build(request))

  /** For layers that remember, a build gives something. */
  const made = (artifacts: Artifacts["Service"], commit: string): Effect.Effect<Artifact, unknown, Scope.Scope> =>
    Effect.map(build(artifacts, commit), (artifact) => {
      assert.ok(artifact !== undefined, "a layer that remembers builds something")
      return artifact
    })

  return [
    ...check(
      "building the same commit twice gives the same artifact",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const first = yield* build(artifacts, "c0ffee")
          assert.deepEqual(yield* build(artifacts, "c0ffee"), first)
        })
    ),

    ...check(
      "an artifact can be named: it has a kind and a reference",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const artifact = yield* build(artifacts, "c0ffee")
          if (artifact === undefined) return
          assert.notEqual(artifact.kind, "")
          assert.notEqual(artifact.reference, "")
        })
    ),

    ...check("builds that run at once do not mix", subject.succeeds, (artifacts) =>
      Effect.gen(function*() {
        const commits = ["aaaa", "bbbb", "cccc"]
        const together = yield* Effect.forEach(commits, (commit) => build(artifacts, commit), {
          concurrency: "unbounded"
        })
        assert.deepEqual(yield* Effect.forEach(commits, (commit) => build(artifacts, commit)), together)
      })),

    ...check(
      "builds of one commit that run at once give one artifact",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const [first, ...others] = yield* Effect.forEach(
            ["c0ffee", "c0ffee", "c0ffee"],
            (commit) => build(artifacts, commit),
            { concurrency: "unbounded" }
          )
          for (const other of others) assert.deepEqual(other, first)
        })
    ),

    ...check(
      "what was not built is not found, and that is no error",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          assert.equal(yield* artifacts.resolve({ commit: "never" }), undefined)
          assert.equal(yield* artifacts.resolve({ name: "espalier-suite/never:built" }), undefined)
        })
    ),

    ...check(
      "what was built is found by its commit, and only by that",
      remembering,
      (artifacts) =>
        Effect.gen(function*() {
          const artifact = yield* made(artifacts, "c0ffee")
          assert.deepEqual(yield* artifacts.resolve({ commit: "c0ffee" }), artifact)
          for (const other of ["c0ffe", "C0FFEE", ""]) {
            assert.equal(yield* artifacts.resolve({ commit: other }), undefined)
          }
        })
    ),

    ...check("commits with strange names are told apart", remembering, (artifacts) =>
      Effect.gen(function*() {
        const built = yield* Effect.forEach(strangeCommits, (commit) => made(artifacts, commit), { concurrency: 4 })
        assert.equal(new Set(built.map(({ reference }) => reference)).size, strangeCommits.length)
        assert.deepEqual(
          yield* Effect.forEach(strangeCommits, (commit) => artifacts.resolve({ commit }), { concurrency: 4 }),
          built
        )
      })),

    ...check(
      "an artifact can have more names, and a name that is taken moves",
      remembering,
      (artifacts) =>
        Effect.gen(function*() {
          const [one, two] = [yield* made(artifacts, "aaaa"), yield* made(artifacts, "bbbb")]
          const [best, latest] = ["espalier-suite/pipeline:best", "espalier-suite/pipeline"]
          yield* artifacts.tag(one, best)
          yield* artifacts.tag(one, latest)
          yield* artifacts.tag(one, latest)
          assert.deepEqual(yield* artifacts.resolve({ name: best }), one)
          assert.deepEqual(yield* artifacts.resolve({ name: latest }), one)
          yield* artifacts.tag(two, best)
          assert.deepEqual(yield* artifacts.resolve({ name: best }), two)
          assert.deepEqual(yield* artifacts.resolve({ name: latest }), one)
          assert.deepEqual(yield* artifacts.resolve({ commit: "aaaa" }), one)
        })
    ),

    ...check(
      "what is no name is refused as such, and nothing has it",
      subject.succeeds,
      (artifacts) =>
        Effect.gen(function*() {
          const artifact = (yield* build(artifacts, "c0ffee")) ?? { kind: "tree", reference: "c0ffee" }
          for (const name of strangeNames) {
            const error = yield* Effect.flip(artifacts.tag(artifact, name))
            assert.equal(error.failure, "invalid-name", JSON.stringify(name))
            assert.equal(yield* artifacts.resolve({ name }), undefined)
          }
        })
    ),

    ...check("what was not built here cannot be named", remembering, (artifacts) =>
      Effect.gen(function*() {
        const { kind } = yield* made(artifacts, "c0ffee")
        const others = [
          { kind, reference: "never-built" },
          { kind, reference: `sha256:${"0".repeat(64)}` },
          { kind, reference: "--help" },
          { kind: "nothing", reference: "c0ffee" }
        ]
        for (const other of others) {
          const error = yield* Effect.flip(artifacts.tag(other, "espalier-suite/other:name"))
          assert.equal(error.failure, "unknown-artifact")
          assert.notEqual(error.message, "")
        }
        assert.equal(yield* artifacts.resolve({ name: "espalier-suite/other:name" }), undefined)
      })),

    ...check(
      "where nothing is remembered, nothing is found, and a name is refused",
      forgetful,
      (artifacts) =>
        Effect.gen(function*() {
          const artifact = (yield* build(artifacts, "c0ffee")) ?? { kind: "tree", reference: "c0ffee" }
          assert.equal(yield* artifacts.resolve({ commit: "c0ffee" }), undefined)
          const error = yield* Effect.flip(artifacts.tag(artifact, "espalier-suite/pipeline:best"))
          assert.equal(error.failure, "keeps-nothing")
          assert.notEqual(error.message, "")
        })
    ),

    ...check(
      "a build that fails says how it ended and what it printed",
      subject.fails,
      (artifacts) =>
        Effect.gen(function*() {
          const request = yield* subject.request("c0ffee")
          const error = yield* Effect.flip(artifacts.build(request))
          assert.equal(error.failure, "exited")
          assert.equal(error.exitCode, subject.exitCode ?? 3)
          assert.equal(error.signal, null)
          assert.match(error.logTail, /broken/)
          assert.equal(error.log, request.log)
          assert.ok(error.durationMillis >= 0)
          assert.notEqual(error.message, "")
          assert.ok(!isOfTheMachine(error.failure))
        })
    ),

    ...check(
      "a build that fails does so again: a failure is not kept, and not found",
      subject.fails,
      (artifacts) =>
        Effect.gen(function*() {
          const request = yield* subject.request("c0ffee")
          assert.ok(Exit.isFailure(yield* Effect.exit(artifacts.build(request))))
          assert.ok(Exit.isFailure(yield* Effect.exit(artifacts.build(request))))
          assert.equal(yield* artifacts.resolve({ commit: "c0ffee" }), undefined)
        })
    ),

    ...check("a build can be interrupted, and is not found then", subject.hangs, (artifacts) =>
      Effect.gen(function*() {
        const request = yield* subject.request("c0ffee")
        const fiber = yield* Effect.forkChild(artifacts.build(request), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.ok(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.equal(yield* artifacts.resolve({ commit: "c0ffee" }), undefined)
      })),

    ...check(
      "a build that waits for another of its commit can be interrupted alone",
      subject.hangs,
      (artifacts) =>
        Effect.gen(function*() {
          const request = yield* subject.request("c0ffee")
          const first = yield* Effect.forkChild(artifacts.build(request), { startImmediately: true })
          const second = yield* Effect.forkChild(artifacts.build(yield* subject.request("c0ffee")), {
            startImmediately: true
          })
          yield* Fiber.interrupt(second)
          assert.equal(first.pollUnsafe(), undefined)
          yield* Fiber.interrupt(first)
        })
    ),

    ...check(
      "a build that takes too long is ended, and says so",
      subject.expires,
      (artifacts) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(artifacts.build(yield* subject.request("c0ffee")))
          assert.equal(error.failure, "timed-out")
          assert.equal(error.exitCode, null)
          assert.ok(!isOfTheMachine(error.failure))
          assert.equal(yield* artifacts.resolve({ commit: "c0ffee" }), undefined)
        })
    ),

    ...check(
      "what builds is missing: that is not the tree's fault, and is told by name",
      subject.missing,
      (artifacts) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(artifacts.build(yield* subject.request("c0ffee")))
          assert.ok(isOfTheMachine(error.failure), error.failure)
          assert.match(error.message, /[Ii]nstall/)
        })
    )
  ]
}
