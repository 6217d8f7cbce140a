import { describe, it } from "@effect/vitest"
import assert from "node:assert"
import { kindOf } from "../src/internal/slurmCommand.ts"
import {
  problemOfArgument,
  problemOfDirectory,
  problemOfResources,
  resourceArguments
} from "../src/internal/slurmRequest.ts"
import {
  parseAccounts,
  parseBytes,
  parseQueue,
  parseSeconds,
  parseShown,
  parseSubmitted,
  Unreadable
} from "../src/internal/slurmText.ts"

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
    assert.deepStrictEqual(parseQueue(output, "espalier-").words, [
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
