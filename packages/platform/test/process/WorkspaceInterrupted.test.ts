/** Sweeps that are interrupted while they have a tree claimed, on both layers that work on a disk. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { Workspace } from "../../src/Workspace.ts"
import { onCopySource } from "./support/copySource.ts"
import { onSource } from "./support/onSource.ts"

/** Interrupts a fiber so many steps after it has written its process into the record of a tree. */
class Interrupting extends Scheduler.MixedScheduler {
  readonly #record: string
  #left: number
  constructor(record: string, steps: number) {
    super()
    this.#record = record
    this.#left = steps
  }
  #isClaimed(): boolean {
    try {
      return JSON.parse(fs.readFileSync(this.#record, "utf8")).pid === process.pid
    } catch {
      return false // it is being replaced
    }
  }
  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.#left < 0 || !this.#isClaimed() || this.#left-- > 0) return super.shouldYield(fiber)
    // Before it goes on: the scheduler resumes it in a later turn.
    queueMicrotask(() => fiber.interruptUnsafe())
    return true
  }
}

/** After the claim come few steps until the removal begins; what is behind them is the removal itself. */
const steps = 40

const campaign = (workspace: Workspace["Service"], trees: string) =>
  Effect.gen(function*() {
    const address = { run: "run", node: "node" }
    const base = yield* workspace.resolve("HEAD")
    let interrupted = 0
    for (let at = 0; at < steps; at++) {
      yield* Effect.scoped(workspace.open({ ...address, base, keep: Effect.succeed(true) }))
      const scheduler = new Interrupting(Path.join(trees, "run", ".owner-node.json"), at)
      const fiber = yield* Effect.forkChild(
        Effect.provideService(workspace.sweep("run"), Scheduler.Scheduler, scheduler)
      )
      if (Exit.hasInterrupts(yield* Fiber.await(fiber))) interrupted++
      assert.notInclude((yield* workspace.trees).map(({ owner }) => owner), "open", `interrupted after ${at} steps`)
      yield* workspace.sweep("run")
      assert.isEmpty(yield* workspace.trees)
    }
    // Else the steps were counted past the end, and nothing was shown.
    assert.isAbove(interrupted, steps / 4)
  })

describe("a sweep that is interrupted while it has a tree", () => {
  it.live(
    "leaves no plain copy in use",
    () => onCopySource((source, workspace) => campaign(workspace, source.trees)),
    60_000
  )

  it.live(
    "leaves no git worktree in use",
    () => onSource((source, workspace) => campaign(workspace, source.trees)),
    120_000
  )
})
