import { describe, it } from "@effect/vitest"
import { describe as describeStatus, hasSucceeded, isTerminal, type TerminalStatus } from "@espalier/platform/Execution"
import assert from "node:assert"
import type { Cancel, Claim, Exit, Start } from "../src/internal/processRecords.ts"
import { kindOf } from "../src/internal/slurmCommand.ts"
import {
  problemOfArgument,
  problemOfDirectory,
  problemOfResources,
  resourceArguments
} from "../src/internal/slurmRequest.ts"
import { isOver, type Standing, standingOf, type State, states } from "../src/internal/slurmStates.ts"
import { decideSlurm, judge, type SlurmFacts } from "../src/internal/slurmStatus.ts"
import {
  parseAccounts,
  parseBytes,
  parseQueue,
  parseSeconds,
  parseShown,
  parseSubmitted,
  Unreadable,
  type Word
} from "../src/internal/slurmText.ts"

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
    assert.throws(
      () => parseQueue("7|FROBBED|1|2|3|espalier-x|None\n", "espalier-"),
      (error) => error instanceof Unreadable && /"FROBBED" is no state/.test(error.message)
    )
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

describe("what Slurm's commands print", () => {
  it("is read from sbatch, with and without a cluster, and after what a site's plugin says", () => {
    assert.deepStrictEqual(parseSubmitted("12\n"), { id: "12", cluster: null })
    assert.deepStrictEqual(parseSubmitted("Welcome to the cluster!\n12;alpha\n"), { id: "12", cluster: "alpha" })
    assert.throws(() => parseSubmitted("Submitted"), Unreadable)
  })

  it("is read from squeue; a foreign job's name cannot be taken for a field", () => {
    const output = [
      "9|PREEMPTED|1795990420|1795990421|1795990424|espalier-a|None",
      "2|PENDING|1795990393|N/A|N/A|espalier-b|Resources",
      "3|RUNNING|1|2|NONE|evil|espalier-c|None",
      "4|PENDING|1|N/A|N/A|espalier-d|(Nodes required for job are DOWN, DRAINED)|x"
    ].join("\n")
    assert.deepStrictEqual(parseQueue(output, "espalier-"), [
      {
        id: "9",
        name: "espalier-a",
        state: "PREEMPTED",
        submittedAt: 1795990420000,
        startedAt: 1795990421000,
        endedAt: 1795990424000,
        reason: null
      },
      {
        id: "2",
        name: "espalier-b",
        state: "PENDING",
        submittedAt: 1795990393000,
        startedAt: null,
        endedAt: null,
        reason: "Resources"
      },
      {
        id: "4",
        name: "espalier-d",
        state: "PENDING",
        submittedAt: 1000,
        startedAt: null,
        endedAt: null,
        reason: "(Nodes required for job are DOWN, DRAINED)|x"
      }
    ])
  })

  // Recorded from Slurm 22.05.8, one node, no accounting; shortened where nothing is read.
  const shown = (fields: string): string =>
    `JobId=7 JobName=espalier-x UserId=root(0) GroupId=root(0) ${fields} ` +
    "SubmitTime=1795990420 StartTime=1795990421 EndTime=1795990510 NodeList=vm Command=/x/batch.sh JobState=COMPLETED " +
    "ExitCode=0:0\n JobState=COMPLETED WorkDir=/x\n"

  it("is read from scontrol for each way to end, whatever a path pretends to be", () => {
    const recorded = [
      ["JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15", "TIMEOUT", "TimeLimit", 0, 15],
      ["JobState=PREEMPTED Reason=None ExitCode=0:15", "PREEMPTED", null, 0, 15],
      ["JobState=OUT_OF_MEMORY Reason=OutOfMemory ExitCode=0:125", "OUT_OF_MEMORY", "OutOfMemory", 0, 125],
      ["JobState=FAILED Reason=JobLaunchFailure ExitCode=0:53", "FAILED", "JobLaunchFailure", 0, 53],
      ["JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0", "FAILED", "NonZeroExitCode", 3, 0],
      ["JobState=NODE_FAIL Reason=NodeDown ExitCode=1:0", "NODE_FAIL", "NodeDown", 1, 0],
      ["JobState=CANCELLED Reason=None ExitCode=0:15", "CANCELLED", null, 0, 15],
      ["JobState=COMPLETED Reason=None ExitCode=0:0", "COMPLETED", null, 0, 0]
    ] as const
    for (const [fields, state, reason, exitCode, signal] of recorded) {
      const found = parseShown(shown(fields))
      assert.deepStrictEqual(found, {
        id: "7",
        name: "espalier-x",
        state,
        submittedAt: 1795990420000,
        startedAt: 1795990421000,
        endedAt: 1795990510000,
        reason,
        end: { exitCode, signal }
      })
    }
    assert.strictEqual(parseShown("slurm_load_jobs error: Invalid job id specified\n"), undefined)
  })

  it("is read from sacct: the job's line, and the memory of its steps", () => {
    const output = [
      "7|CANCELLED by 1000|1795990420|1795990421|1795990424|0:15||01:02.500|espalier-x",
      "7.batch|CANCELLED|1795990421|1795990421|1795990424|0:15|2048K|01:02.500|batch",
      "7.0|COMPLETED|1795990421|1795990421|1795990424|0:0|1.5G|00:00.100|srun",
      "8|RUNNING|1795990420|1795990421|Unknown|0:0||1-02:03:04|espalier-x",
      "9|COMPLETED|1|2|3|0:0||00:00:01|somebody|else"
    ].join("\n")
    const [ended, running, ...rest] = parseAccounts(output, "espalier-")
    assert.deepStrictEqual(rest, [])
    assert.ok(ended !== undefined && running !== undefined)
    assert.deepStrictEqual([ended.state, ended.end, ended.peakMemoryBytes, ended.cpuSeconds], [
      "CANCELLED",
      { exitCode: 0, signal: 15 },
      1.5 * 1024 ** 3,
      62.5
    ])
    assert.deepStrictEqual([running.endedAt, running.cpuSeconds], [null, 93784])
    assert.deepStrictEqual([parseBytes(""), parseBytes("12"), parseBytes("3M")], [null, 12, 3 * 1024 ** 2])
    assert.deepStrictEqual([parseSeconds("00:01"), parseSeconds("1:00:00"), parseSeconds("")], [1, 3600, null])
  })
})

describe("a command that failed", () => {
  it("may be tried again unless the scheduler has said no", () => {
    const recorded: ReadonlyArray<readonly [number, string, string]> = [
      [
        1,
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "unreachable"
      ],
      [1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", "unreachable"],
      [1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", "unreachable"],
      [1, "slurm_load_jobs error: Zero Bytes were transmitted or received", "unreachable"],
      [1, "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", "unreachable"],
      [1, "sbatch: error: Batch job submission failed: Unable to create job record, try again", "unreachable"],
      [1, "something that no version has said so far", "unreachable"],
      [
        1,
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified",
        "refused"
      ],
      [1, "sbatch: error: Batch job submission failed: More processors requested than permitted", "refused"],
      [
        1,
        "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available",
        "refused"
      ],
      [1, "sbatch: error: Batch job submission failed: Node count specification invalid", "refused"],
      [1, "sbatch: error: Invalid generic resource (gres) specification", "refused"],
      [255, "sbatch: unrecognized option '--nonsense'\nTry \"sbatch --help\" for more information", "refused"],
      [255, "sbatch: error: Invalid --time specification", "refused"],
      [1, "sbatch: error: Batch job submission failed: Invalid feature specification", "refused"],
      [
        1,
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        "refused"
      ],
      [1, "Slurm accounting storage is disabled", "refused"],
      [1, "slurm_load_jobs error: Invalid job id specified", "unknownJob"],
      [1, "scancel: error: Kill job error on job id 7: Job/step already completing or completed", "unknownJob"]
    ]
    for (const [code, words, kind] of recorded) assert.strictEqual(kindOf(code, words), kind, words)
  })
})

describe("what a job asks of Slurm", () => {
  it("is one argument each, with its value behind an equals sign", () => {
    const all = { partition: "a b", account: "-x", nodes: 2, cpus: 3, memoryBytes: 1025, gpus: 1, gres: "gpu:a:1" }
    assert.deepStrictEqual(resourceArguments({ ...all, timeLimitMillis: 61_000 }, null, 0), [
      "--partition=a b",
      "--account=-x",
      "--nodes=2",
      "--cpus-per-task=3",
      "--mem=2K",
      "--gpus=1",
      "--gres=gpu:a:1",
      "--time=2"
    ])
  })

  it("leaves a job with a time-out the time to be ended by its wrapper", () => {
    assert.deepStrictEqual(resourceArguments({}, 60_000, 5000), ["--time=4"])
    assert.deepStrictEqual(resourceArguments({}, null, 5000), [])
  })

  it("has to be possible", () => {
    assert.strictEqual(problemOfResources({ cpus: 1, memoryBytes: 1.5, partition: "x" }), undefined)
    for (
      const bad of [
        { cpus: 0 },
        { cpus: 1.5 },
        { nodes: -1 },
        { memoryBytes: Number.NaN },
        { timeLimitMillis: Infinity },
        {
          partition: ""
        },
        { gres: "a\nb" },
        { account: "a b" }
      ]
    ) {
      assert.match(
        problemOfResources(bad) ?? "",
        new RegExp(`^resources\\.${Object.keys(bad)[0]} `),
        JSON.stringify(bad)
      )
    }
  })

  it("may be more, but nothing that would break a promise, nor in any abbreviation", () => {
    for (
      const good of [
        "--exclusive",
        "--qos=low",
        "--constraint=a100&b",
        "--mem-per-cpu=2G",
        "--wait-all-nodes=1",
        "--hold"
      ]
    ) {
      assert.strictEqual(problemOfArgument(good), undefined, good)
    }
    for (
      const bad of [
        "--requeue",
        "--array=1-3",
        "--arr=1-3",
        "--wrap=rm -rf /",
        "--job-name=x",
        "--chd=/",
        "--export=NONE",
        "--ti=5",
        "--mem=1",
        "-pgpu",
        "gpu",
        "",
        "--qos=a\nb",
        "--QOS=x"
      ]
    ) {
      assert.notStrictEqual(problemOfArgument(bad), undefined, bad)
    }
    assert.match(problemOfArgument("--requeue")!, /a job is started once/)
  })

  it("lies in a directory whose name Slurm leaves alone", () => {
    assert.strictEqual(problemOfDirectory("/a b/%j/$(x)/é"), undefined)
    assert.match(problemOfDirectory("/a\\b")!, /backslash/)
    assert.match(problemOfDirectory("/a\nb")!, /control character/)
  })
})
