import { assert, describe, it } from "@effect/vitest"
import type { RunStatus } from "@espalier/engine"
import { TreeView } from "@espalier/workflow"
import { TestLaboratory } from "@espalier/workflow/testing"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Screen from "../src/Screen.ts"
import { terminal } from "./support/terminal.ts"

const settings = TestLaboratory.settings({
  run: "search",
  parameters: [{ name: "workers", type: "integer", values: [1, 2, 4], baseline: 1 }],
  planner: { kind: "random", batch: 3 },
  limits: { experiments: 6 }
})

/** Prints a progress line soon and its measurement after three seconds. */
const program: TestLaboratory.Program = ({ parameters }) => ({
  durationMillis: 3_000,
  stdout: [
    { atMillis: 100, text: "epoch 1\n" },
    { atMillis: 2_900, text: `throughput=${100 * Number(parameters["workers"])}\n` }
  ]
})

/** The picture of a run that has gone on for so long. */
const pictureAfter = Effect.fnUntraced(function*(millis: number, remainingMillis?: number) {
  return yield* Effect.gen(function*() {
    const run = yield* TestLaboratory.open(settings)
    for (let passed = 0; passed < millis; passed += 250) yield* TestClock.adjust("250 millis")
    const status = yield* run.status
    const view = yield* Stream.runFold(
      Stream.take(run.events(), status.seq),
      TreeView.empty,
      (view, event) => {
        TreeView.evolve(view, event)
        return view
      }
    )
    return Screen.lines({ name: "search", status, view, elapsedMillis: status.at, remainingMillis })
  }).pipe(Effect.scoped, Effect.provide(TestLaboratory.layerTest(settings, program)))
})

describe("the live picture", () => {
  it.effect("shows what runs and for how long, with the last line that the job printed", () =>
    Effect.gen(function*() {
      const lines = yield* pictureAfter(2_500)
      assert.strictEqual(lines[0], "search  running  2.5 s")
      assert.strictEqual(lines[1], "best      none yet: the baseline is to be measured first")
      assert.strictEqual(lines[2], "tree      0 completed, 0 failed, 1 under way; 1 job; plateau 0")
      assert.strictEqual(lines[3], "slots     concurrency 1/4, machine 1/1")
      assert.match(lines[4]!, /^ {2}baseline +2\.\d s {2}job 1 runs: epoch 1$/)
    }))

  it.effect("shows the best so far, what waits and why, and how long it may still take", () =>
    Effect.gen(function*() {
      const lines = yield* pictureAfter(5_000, 42_000)
      assert.strictEqual(lines[0], "search  running  5.0 s, up to 42.0 s left at this pace")
      assert.strictEqual(lines[1], "best      100 items/s by the baseline")
      assert.match(lines.join("\n"), /\n {2}e00\d +\d\.\d s {2}job 1 runs(?:: epoch 1)?\n/)
      assert.match(lines.join("\n"), /\n {2}e00\d +\d\.\d s {2}waits for machine: needs 1, 0 free(?:\n|$)/)
    }))

  it.effect("says in words what is tried again and when, and what went wrong in the background", () =>
    Effect.gen(function*() {
      const status: RunStatus.RunStatus = {
        ...(yield* statusOfEmpty),
        at: 10_000,
        waiting: [
          { kind: "experiment", reason: { _tag: "Until", at: 11_500 }, count: 1 },
          { kind: "plan", reason: { _tag: "KindLimit", kind: "plan", limit: 1 }, count: 2 }
        ],
        backgroundErrors: ["an older one", "the disk\nis full"]
      }
      const lines = Screen.lines({
        name: "x",
        status,
        view: TreeView.empty(),
        elapsedMillis: 0,
        remainingMillis: undefined
      })
      assert.deepStrictEqual(lines.slice(4), [
        "problem   the disk\nis full",
        "  1 experiment waits for its next try, in 1.5 s",
        `  2 plans wait for at most 1 "plan" at a time`
      ])
    }))
})

/** A status with nothing in it. */
const statusOfEmpty = Effect.gen(function*() {
  const run = yield* TestLaboratory.open(settings)
  return { ...(yield* run.status), running: [], waiting: [] }
}).pipe(Effect.scoped, Effect.provide(TestLaboratory.layerTest(settings, program)))

describe("the drawer", () => {
  const on = (columns: number | undefined, rows: number | undefined) => {
    const shown = terminal(columns || 80, rows || 24)
    const size = { columns, rows }
    return { shown, size, screen: Screen.make(shown.write, () => size) }
  }

  it("puts each picture in place of the last, also when it is shorter", () => {
    const { screen, shown } = on(40, 10)
    screen.draw(["first picture", "a long second line", "third"])
    screen.draw(["second picture", "short"])
    assert.deepStrictEqual(shown.lines(), ["second picture", "short", ""])
    screen.erase()
    assert.deepStrictEqual(shown.lines(), [""])
  })

  it("keeps what is said above the picture", () => {
    const { screen, shown } = on(40, 10)
    screen.above("run started")
    screen.draw(["picture", "of two lines"])
    screen.above("baseline: 100")
    screen.above("a line that is longer than the terminal is wide, and wraps")
    screen.draw(["picture 2"])
    screen.erase()
    assert.deepStrictEqual(shown.lines(), [
      "run started",
      "baseline: 100",
      "a line that is longer than the terminal",
      "is wide, and wraps",
      ""
    ])
  })

  it("leaves nothing of itself behind after the terminal has echoed ^C", () => {
    const { screen, shown } = on(40, 10)
    screen.draw(["bench  running", "best  none"])
    shown.write("^C")
    screen.erase()
    shown.write("Suspending\n")
    assert.deepStrictEqual(shown.lines(), ["Suspending", ""])
  })

  it("never wraps and never scrolls: it is cut to the terminal, and says that it was", () => {
    const { screen, shown, size } = on(30, 5)
    const many = Array.from({ length: 9 }, (_, index) => `line ${index + 1} ${"x".repeat(40)}`)
    screen.draw(many)
    screen.draw(many)
    const lines = shown.lines()
    assert.lengthOf(lines, 5)
    assert.strictEqual(lines[0], "line 1 xxxxxxxxxxxxxxxxxxxxx…")
    assert.strictEqual(lines[3], "  … 6 more")
    // The terminal was made smaller: the next picture fits it.
    size.columns = 25
    screen.draw(["y".repeat(60)])
    assert.strictEqual(shown.lines()[0], `${"y".repeat(23)}…`)
  })

  it("does not let a job's own text move the cursor, and stands a terminal that does not know its size", () => {
    const { screen, shown } = on(0, 0)
    screen.draw(["  e001  job 1 runs: \u001b[2J50 %\r100 %\u0007"])
    screen.above("\u001b[1Aup")
    assert.deepStrictEqual(shown.lines(), ["up", "  e001  job 1 runs: 50 % 100 %", ""])
  })
})
