import { describe, it } from "@effect/vitest"
import { describe as describeStatus, hasSucceeded, isTerminal, type TerminalStatus } from "@espalier/platform/Execution"
import assert from "node:assert"
import type { Cancel, Claim, Exit, Start } from "../src/internal/processRecords.ts"
import { isOver, type Standing, standingOf, type State, states } from "../src/internal/slurmStates.ts"
import { decideSlurm, judge, type SlurmFacts } from "../src/internal/slurmStatus.ts"
import { parseQueue, Unreadable, type Word } from "../src/internal/slurmText.ts"

/** JOB STATE CODES of squeue(1), Slurm 22.05, in its order. */
const manual = (
  "BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED " +
  "RUNNING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED " +
  "SUSPENDED TIMEOUT"
).split(" ")

/** What became of each state, written down once more by hand. */
const expected: Record<Standing, ReadonlyArray<State>> = {
  waiting: [
    "CONFIGURING",
    "PENDING",
    "POWER_UP_NODE",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT"
  ],
  running: ["RESIZING", "RUNNING", "SIGNALING", "STOPPED", "SUSPENDED", "UPDATE_DB"],
  ending: ["COMPLETING", "EXPEDITING", "STAGE_OUT"],
  ended: ["COMPLETED", "FAILED"],
  cancelled: ["CANCELLED"],
  timeLimit: ["DEADLINE", "TIMEOUT"],
  outOfMemory: ["OUT_OF_MEMORY"],
  preempted: ["PREEMPTED"],
  nodeFailed: ["BOOT_FAIL", "LAUNCH_FAILED", "NODE_FAIL", "RECONFIG_FAIL"],
  revoked: ["REVOKED"]
}

const patience = { fileDelayMillis: 1000, silenceMillis: 6000 }
const claim: Claim = {
  version: 1,
  pid: 10,
  startTicks: 5,
  host: "node1",
  bootId: "boot",
  pidNamespace: "pid:[1]",
  token: "token",
  claimedAt: 200_000,
  schedulerId: "7"
}
const start: Start = { version: 1, pid: 11, startTicks: 6, startedAt: 200_010 }
const cancel: Cancel = { version: 1, requestedAt: 220_000, graceMillis: 0, host: "one", pid: 1 }
const exit: Exit = {
  version: 1,
  startedAt: 200_010,
  endedAt: 300_000,
  exitCode: 0,
  signal: null,
  endedFor: null,
  outOfMemory: false,
  startError: null,
  leftBehind: 0
}
const wordIn = (state: State, more: Partial<Word> = {}): Word => ({
  id: "7",
  name: "espalier-x",
  state,
  submittedAt: 100_000,
  startedAt: 200_000,
  endedAt: 300_000,
  reason: null,
  ...more
})
const base: SlurmFacts = {
  now: 400_000,
  cancel: undefined,
  claim: undefined,
  start: undefined,
  exit: undefined,
  submittedAt: 100_000,
  listing: undefined,
  lastSign: 300_000,
  isOwnerDead: false,
  survivors: []
}
const said = (...words: ReadonlyArray<Word>) => ({ listing: { asOf: 399_900, words } })
const began = { ...base, claim, start }
const decide = (facts: SlurmFacts) => decideSlurm(facts, patience)
/** The verdict over a job in a state, with what its wrapper recorded. */
const verdict = (facts: Partial<SlurmFacts>, state: State, end = { exitCode: 0, signal: 0 }): TerminalStatus =>
  judge({ ...began, ...facts }, wordIn(state), end, undefined)

describe("every state of a Slurm job", () => {
  it("of the manual, and of newer versions, is known", () => {
    assert.strictEqual(manual.length, 24)
    for (const state of manual) assert.ok(states.includes(state as State), state)
  })

  it("has one meaning", () => {
    assert.deepStrictEqual(Object.values(expected).flat().toSorted(), states.toSorted())
    for (const [standing, of] of Object.entries(expected)) {
      for (const state of of) assert.strictEqual(standingOf(state), standing, state)
    }
  })

  it("leads to a decision, with and without a claim, and a final state never to one that waits", () => {
    for (const state of states) {
      for (const facts of [base, began, { ...began, exit: { ...exit, exitCode: 1 } }]) {
        const decision = decide({ ...facts, ...said(wordIn(state)) })
        const isOpen = decision._tag === "Status" && !isTerminal(decision.status)
        if (isOver(standingOf(state))) assert.strictEqual(decision._tag, "AskEnd", state)
        else if (facts.claim === undefined) assert.ok(isOpen, `${state}: ${JSON.stringify(decision)}`)
      }
    }
  })

  it("that is final gives a verdict, of a job that began and of one that did not", () => {
    for (const state of states.filter((one) => isOver(standingOf(one)))) {
      for (const facts of [{}, { claim: undefined, start: undefined }, { exit: { ...exit, exitCode: 3 } }]) {
        const status = verdict(facts, state)
        assert.ok(isTerminal(status) && !hasSucceeded(status), `${state}: ${JSON.stringify(status)}`)
        assert.notStrictEqual(describeStatus(status), "")
        assert.strictEqual(status.queuedAt, 100_000)
      }
    }
  })

  it("that nobody has read about is an error that names it", () => {
    const { unreadable } = parseQueue("7|FROBBED|1|2|3|espalier-x|None\n", "espalier-")
    const error = unreadable.get("espalier-x")
    assert.ok(error instanceof Unreadable && /"FROBBED" is no state/.test(error.message))
  })

  it("that nobody has read about does not hold up what is known of other jobs", () => {
    const output = "7|FROBBED|1|2|3|espalier-x|None\n8|RUNNING|1|2|N/A|espalier-y|None\n"
    assert.deepStrictEqual(parseQueue(output, "espalier-").words.map(({ id, state }) => [id, state]), [[
      "8",
      "RUNNING"
    ]])
  })
})

describe("who ended a job", () => {
  const told: Exit = { ...exit, exitCode: null, signal: "SIGTERM", endedFor: "termination" }

  it("is the job itself where it ended by itself, whatever the scheduler wanted later", () => {
    for (const state of ["TIMEOUT", "PREEMPTED", "NODE_FAIL", "CANCELLED", "FAILED", "COMPLETED"] as const) {
      const status = verdict({ exit: { ...exit, exitCode: 3 } }, state)
      assert.ok(status._tag === "Exited" && status.exitCode === 3 && status.timedOut === undefined, state)
    }
  })

  it("is not asked for where the record says it for ever", () => {
    for (const plain of [exit, { ...exit, endedFor: "timeout" as const, signal: "SIGTERM", exitCode: null }]) {
      const decision = decide({ ...began, exit: plain })
      assert.ok(decision._tag === "Status" && decision.status._tag === "Exited")
    }
    const cancelled = decide({ ...began, exit: { ...told, endedFor: "cancel" } })
    assert.ok(cancelled._tag === "Status" && cancelled.status._tag === "Cancelled")
  })

  it("is asked for where the job was told to end, failed or was killed", () => {
    for (const unclear of [told, { ...exit, exitCode: 1 }, { ...exit, exitCode: null, signal: "SIGKILL" }]) {
      assert.strictEqual(decide({ ...began, exit: unclear })._tag, "AskScheduler")
    }
  })

  it("is the time limit", () => {
    const status = verdict({ exit: told }, "TIMEOUT")
    assert.ok(status._tag === "Exited" && status.timedOut === true && status.signal === "SIGTERM")
    const killed = verdict({}, "TIMEOUT", { exitCode: 0, signal: 15 })
    assert.ok(killed._tag === "Exited" && killed.timedOut === true && killed.signal === "SIGTERM")
    assert.strictEqual(killed.startedAt, 200_010)
    assert.strictEqual(killed.endedAt, 300_000)
  })

  it("is the want of memory, also where the job left with a code of its own", () => {
    for (const facts of [{}, { exit: { ...exit, exitCode: 1 } }, { exit: { ...told, signal: "SIGKILL" } }]) {
      const status = verdict(facts, "OUT_OF_MEMORY", { exitCode: 0, signal: 125 })
      assert.ok(status._tag === "Exited" && status.outOfMemory === true, JSON.stringify(status))
    }
  })

  it("is a more urgent job, or the failure of a machine, and then nothing speaks against the job", () => {
    for (const facts of [{}, { exit: told }]) {
      const preempted = verdict(facts, "PREEMPTED")
      assert.ok(preempted._tag === "Lost" && preempted.cause === "preempted")
      assert.match(describeStatus(preempted), /^preempted: Slurm took job 7/)
      const failed = verdict(facts, "NODE_FAIL")
      assert.ok(failed._tag === "Lost" && failed.cause === "nodeFailed")
      assert.match(describeStatus(failed), /^lost with its machine: Slurm says of job 7: NODE_FAIL/)
    }
  })

  it("is us, where we cancelled it, and somebody else with scancel", () => {
    for (const facts of [{ cancel }, { cancel, exit: told }, {}, { exit: told }]) {
      assert.strictEqual(verdict(facts, "CANCELLED")._tag, "Cancelled")
    }
    assert.strictEqual(verdict({ cancel }, "FAILED")._tag, "Cancelled")
  })

  it("is nobody that is known, where the wrapper was killed", () => {
    const status = judge(began, wordIn("FAILED"), { exitCode: 0, signal: 9 }, "slurmstepd: Exceeded job memory limit")
    assert.ok(status._tag === "Lost" && status.cause === undefined)
    assert.match(status.reason, /its log ends with "slurmstepd: Exceeded job memory limit"/)
  })

  it("is nobody where the wrapper never came up, and then the job did not run", () => {
    const status = judge({ ...base }, wordIn("FAILED"), null, "exec: node: not found")
    assert.ok(status._tag === "Exited" && status.startError !== undefined && status.exitCode === null)
    assert.match(status.startError, /did not come up .*node: not found/)
  })
})

describe("a job of which the scheduler says nothing", () => {
  const none = said()

  it("runs, as long as its wrapper gives signs of life, and the scheduler is not even asked", () => {
    const decision = decide({ ...began, lastSign: 395_000 })
    assert.deepStrictEqual(decision, {
      _tag: "Status",
      status: { _tag: "Running", startedAt: 200_010, queuedAt: 100_000 }
    })
    assert.strictEqual(decide({ ...began, lastSign: 395_000, isOwnerDead: true })._tag, "AskScheduler")
  })

  it("is what its record says, when the scheduler has forgotten it", () => {
    const decision = decide({ ...began, ...none, exit: { ...exit, exitCode: 4 } })
    assert.ok(decision._tag === "Forgotten" && decision.otherwise._tag === "Exited")
    assert.strictEqual(decision.otherwise.exitCode, 4)
  })

  it("is what its record says, when the scheduler goes on calling it running", () => {
    const running = said(wordIn("RUNNING", { endedAt: null }))
    const after = (millis: number, one: Exit) => {
      const decision = decide({ ...began, ...running, now: one.endedAt + millis, exit: one })
      return decision._tag === "Status" ? decision.status._tag : decision._tag
    }
    const own = { ...exit, exitCode: 4 }
    assert.deepStrictEqual([after(500, own), after(1500, own)], ["Running", "Forgotten"])
    const told: Exit = { ...exit, exitCode: null, signal: "SIGTERM", endedFor: "termination" }
    assert.deepStrictEqual([after(60_000, told), after(91_000, told)], ["Running", "Forgotten"])
  })

  it("is lost, when its wrapper is seen to be dead and the scheduler goes on calling it running", () => {
    const dead = { ...began, ...said(wordIn("RUNNING", { endedAt: null })), isOwnerDead: true }
    const soon = decide({ ...dead, lastSign: dead.now - 60_000 })
    assert.ok(soon._tag === "Status" && soon.status._tag === "Running")
    const late = decide({ ...dead, lastSign: dead.now - 91_000 })
    assert.ok(late._tag === "Forgotten" && late.otherwise._tag === "Lost")
    // On another machine nobody can see that it is dead: the scheduler is believed.
    const unseen = decide({ ...dead, isOwnerDead: false, lastSign: dead.now - 91_000 })
    assert.ok(unseen._tag === "Status" && unseen.status._tag === "Running")
  })

  it("is lost, when its wrapper is silent too", () => {
    const decision = decide({ ...began, ...none })
    assert.ok(decision._tag === "Forgotten" && decision.otherwise._tag === "Lost")
    assert.match(decision.otherwise.reason, /no sign of life for 100 s/)
  })

  it("is lost, when it never started; but not while the listing is older than its submission", () => {
    const decision = decide({ ...base, ...none })
    assert.ok(decision._tag === "Forgotten" && decision.otherwise._tag === "Lost")
    const fresh = decide({ ...base, submittedAt: 399_500, ...none })
    assert.ok(fresh._tag === "Status" && fresh.status._tag === "Pending")
  })

  it("was put back into the queue by force: it ran once, and will not run again", () => {
    const decision = decide({ ...began, ...said(wordIn("PENDING", { endedAt: null })) })
    assert.ok(decision._tag === "Status" && decision.status._tag === "Lost")
  })

  it("waits for its reason, whichever of two submissions it is", () => {
    const words = [wordIn("COMPLETED"), wordIn("PENDING", { id: "8", reason: "Priority" })]
    const decision = decide({ ...base, ...said(...words) })
    assert.deepStrictEqual(decision, {
      _tag: "Status",
      status: { _tag: "Pending", queuedAt: 100_000, reason: "Priority" }
    })
  })
})
