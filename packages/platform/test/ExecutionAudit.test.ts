/** The accounting of the campaign of kills (`test/long/campaign`) has to notice what it is there for. */
import { describe, it } from "@effect/vitest"
import type { TerminalStatus } from "@espalier/platform/Execution"
import assert from "node:assert"
import { faultsOf, readTruth, type Truth, type Victim } from "./long/campaign/audit.ts"

const ran: Truth = { starts: 1, exitCode: 3 }
const exited: TerminalStatus = { _tag: "Exited", exitCode: 3, signal: null, startedAt: 1, endedAt: 2 }
const lost: TerminalStatus = { _tag: "Lost", reason: "its wrapper ended" }
const found = (victim: Victim, truth: Truth, status: TerminalStatus, said?: string): string =>
  faultsOf(victim, truth, status, said).map((fault) => fault.split(" (")[0]!).join(", ")

describe("the accounting of a round", () => {
  it("reads what the job wrote, also when it was killed before it could", () => {
    assert.deepStrictEqual(readTruth("start 12\nend 3\n"), ran)
    assert.deepStrictEqual(readTruth("start 12\nstart 13\n"), { starts: 2, exitCode: null })
    assert.deepStrictEqual(readTruth(""), { starts: 0, exitCode: null })
  })

  it("accepts what is true, and what is honestly lost", () => {
    assert.strictEqual(found("engine", ran, exited), "")
    assert.strictEqual(found("wrapper", { starts: 1, exitCode: null }, lost), "")
    assert.strictEqual(
      found("job", { starts: 1, exitCode: null }, { ...exited, exitCode: null, signal: "SIGKILL" }),
      ""
    )
    assert.strictEqual(found("slurmd", { starts: 0, exitCode: null }, { ...exited, startError: "no" }), "")
  })

  it("notices a second run, a false code, a false end, and a loss that nothing explains", () => {
    assert.match(found("engine", { starts: 2, exitCode: 3 }, exited), /started 2 times/)
    assert.match(found("engine", ran, { ...exited, exitCode: 0 }), /not the true one/)
    assert.match(found("wrapper", { starts: 1, exitCode: null }, exited), /not the true one/)
    assert.match(found("engine", { starts: 0, exitCode: null }, exited), /never started/)
    assert.match(found("wrapper", ran, { ...exited, startError: "no" }), /said not to have been started, and was/)
    assert.match(found("engine", ran, lost), /nothing was killed that knew of it/)
    assert.match(found("job", ran, { ...exited, exitCode: null, signal: "SIGTERM" }), /that is not said/)
    assert.match(found("engine", ran, { ...exited, exitCode: null, signal: "SIGTERM" }), /nobody sent one/)
  })

  it("believes a cancel only of a cluster that says so, and whose daemon was killed", () => {
    const cancelled: TerminalStatus = { _tag: "Cancelled", startedAt: null, endedAt: null }
    const nothing: Truth = { starts: 0, exitCode: null }
    assert.strictEqual(found("slurmctld", nothing, cancelled, "CANCELLED"), "")
    assert.match(found("slurmctld", nothing, cancelled), /nobody had cancelled it/)
    assert.match(found("engine", nothing, cancelled, "CANCELLED"), /nobody had cancelled it/)
  })
})
