import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Capture } from "../src/internal/capture.ts"
import { worksPerPart } from "../src/internal/snapshot.ts"
import * as RunState from "../src/RunState.ts"
import type { WorkSpec } from "../src/WorkSpec.ts"

const config = {
  concurrency: 50,
  pools: { desk: 5 },
  kinds: { Task: { onCancel: true } },
  keepOpen: true,
  retain: { count: 30 }
}
const works = worksPerPart * 3 + 10

const spec = (n: number): WorkSpec => ({
  id: `w${n}`,
  kind: "Task",
  priority: n % 3,
  payload: { n },
  ...(n % 7 === 1 ? { after: [`w${n - 1}`], onDependencyFailure: "run" as const } : {}),
  ...(n % 5 === 2 ? { key: `k${n % 4}` } : {}),
  ...(n % 11 === 3 ? { slots: { desk: 1 } } : {})
})

class World {
  readonly state = RunState.make()
  now = 1_000
  added = 0

  give(command: RunState.Command): void {
    RunState.execute(this.state, command, this.now)
    RunState.schedule(this.state, this.now)
  }

  add(count: number): void {
    const specs = Array.from({ length: count }, () => spec(this.added++))
    this.give({ _tag: "Add", specs })
  }

  /** Something happens to a work; what is not possible is refused and changes nothing. */
  happen(which: number, what: number): void {
    this.now += 1
    const id = `w${which % this.added}`
    const start = this.state.works.get(id)?.live?.starts ?? 0
    const by = { actor: "a", reason: "r" }
    const acts: ReadonlyArray<RunState.Command> = [
      { _tag: "Succeed", id, start, result: which, children: [] },
      { _tag: "Fail", id, start, failure: { _tag: "Error", error: "e" }, retryAt: this.now + 5, children: [] },
      { _tag: "Fail", id, start, failure: { _tag: "Error", error: "e" }, retryAt: undefined, children: [] },
      { _tag: "RecordStep", id, start, step: "s", result: which, children: [] },
      { _tag: "CancelWork", id, ...by },
      { _tag: "PauseWork", id, ...by },
      { _tag: "Reprioritize", id, priority: which % 5, ...by },
      { _tag: "RetryWork", id, ...by },
      { _tag: "Interrupted", id, start, livedMillis: 1 },
      { _tag: "Tick" }
    ]
    this.give(acts[what % acts.length]!)
  }
}

/** The first running works are what most happens to: the others are refused. */
const happenings = fc.array(fc.tuple(fc.nat(400), fc.nat(9)), { maxLength: 120 })

describe("a snapshot that is written while the run goes on", () => {
  it("is the state at the moment at which it began", () => {
    fc.assert(
      fc.property(happenings, happenings, happenings, happenings, (...between) => {
        const world = new World()
        RunState.execute(world.state, { _tag: "Start", config, specs: [] }, world.now)
        world.add(works)
        for (const [which, what] of between[0]) world.happen(which, what)
        const wanted = RunState.toSnapshot(world.state)
        const capture = new Capture(world.state)
        world.state.capture = capture
        const parts: Array<unknown> = []
        for (const part of capture.parts()) {
          parts.push(structuredClone(part))
          const happening = between[Math.min(parts.length, 3)]!
          for (const [which, what] of happening) world.happen(which, what)
          world.add(3)
        }
        expect(RunState.toSnapshot(RunState.fromSnapshot(parts))).toEqual(structuredClone(wanted))
      }),
      { numRuns: 30 }
    )
  })

  it("has what was forgotten while it was written, in its place", () => {
    const world = new World()
    RunState.execute(world.state, { _tag: "Start", config: { ...config, retain: { count: 0 } }, specs: [] }, world.now)
    world.add(works)
    const wanted = RunState.toSnapshot(world.state)
    const capture = new Capture(world.state)
    world.state.capture = capture
    const parts: Array<unknown> = []
    for (const part of capture.parts()) {
      parts.push(structuredClone(part))
      for (let n = works - 1; n > works - 40; n--) {
        world.give({ _tag: "CancelWork", id: `w${n}`, actor: "a", reason: "r" })
      }
    }
    expect(world.state.forgotten).toBeGreaterThan(30)
    expect(RunState.toSnapshot(RunState.fromSnapshot(parts))).toEqual(structuredClone(wanted))
  })
})
