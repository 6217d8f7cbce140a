import { describe, it } from "@effect/vitest"
import { describe as describeStatus, hasSucceeded } from "@espalier/platform/Execution"
import assert from "node:assert"
import { isJobId, jobId } from "../src/internal/processFiles.ts"
import { lastLineOf } from "../src/internal/processLog.ts"
import type { Cancel, Claim, Exit, Start } from "../src/internal/processRecords.ts"
import { Series } from "../src/internal/processSampler.ts"
import { decideStatus, type Facts, judgeOwner, silenceMillis } from "../src/internal/processStatus.ts"
import { parseStat, type ProcessStat } from "../src/internal/processTable.ts"
import { select } from "../src/internal/processTree.ts"

const here = { host: "one", bootId: "boot", pidNamespace: "pid:[1]" }
const claim: Claim = { version: 1, pid: 10, startTicks: 5, ...here, token: "token", claimedAt: 100 }
const start: Start = { version: 1, pid: 11, startTicks: 6, startedAt: 110 }
const cancel: Cancel = { version: 1, requestedAt: 120, graceMillis: 0, host: "one", pid: 1 }
const exit: Exit = {
  version: 1,
  startedAt: 110,
  endedAt: 150,
  exitCode: 0,
  signal: null,
  endedFor: null,
  outOfMemory: false,
  startError: null,
  leftBehind: 0
}
const nothing: Facts = {
  claim: undefined,
  start: undefined,
  exit: undefined,
  cancel: undefined,
  owner: { _tag: "Alive" },
  survivors: []
}
const dead = { _tag: "Dead", reason: "it is dead" } as const

describe("the status of a job follows from what is known of it", () => {
  it("is pending before the claim, and between the claim and the start", () => {
    assert.deepStrictEqual(decideStatus(nothing), { _tag: "Pending" })
    assert.deepStrictEqual(decideStatus({ ...nothing, claim }), { _tag: "Pending", queuedAt: 100 })
  })

  it("is running once it started, also while a cancel is under way", () => {
    const running = { _tag: "Running", startedAt: 110, queuedAt: 100 }
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start }), running)
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start, cancel }), running)
  })

  it("is what the exit record says, whatever the processes look like", () => {
    const exited = { _tag: "Exited", exitCode: 0, signal: null, startedAt: 110, endedAt: 150, queuedAt: 100 }
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start, exit, owner: dead, survivors: [1] }), exited)
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start, exit: { ...exit, endedFor: "timeout" } }), {
      ...exited,
      timedOut: true
    })
    assert.deepStrictEqual(
      decideStatus({ ...nothing, claim, exit: { ...exit, endedFor: "cancel", startedAt: null } }),
      {
        _tag: "Cancelled",
        startedAt: null,
        endedAt: 150,
        queuedAt: 100
      }
    )
  })

  it("is no success when its wrapper was told to end, whatever code the job then left with", () => {
    const status = decideStatus({ ...nothing, claim, start, exit: { ...exit, endedFor: "termination" } })
    assert.deepStrictEqual(status, {
      _tag: "Exited",
      exitCode: 0,
      signal: null,
      startedAt: 110,
      endedAt: 150,
      terminated: true,
      queuedAt: 100
    })
    assert.ok(!hasSucceeded(status))
    assert.match(describeStatus(status), /^exited with code 0, ended because its wrapper was told to end/)
  })

  it("is what the job did, when a cancel came after its end", () => {
    assert.strictEqual(decideStatus({ ...nothing, claim, start, exit, cancel })._tag, "Exited")
  })

  it("is lost without an exit record when the wrapper is dead", () => {
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start, owner: dead }), {
      _tag: "Lost",
      reason: "it is dead",
      queuedAt: 100
    })
    const status = decideStatus({ ...nothing, claim, start, cancel, owner: dead, survivors: [7] })
    assert.ok(status._tag === "Lost" && status.reason.includes("process 7 still runs"))
  })

  it("is cancelled when a cancel was asked for and nothing runs", () => {
    assert.deepStrictEqual(decideStatus({ ...nothing, claim, start, cancel, owner: dead }), {
      _tag: "Cancelled",
      startedAt: 110,
      endedAt: null,
      queuedAt: 100
    })
    assert.deepStrictEqual(decideStatus({ ...nothing, cancel }), { _tag: "Cancelled", startedAt: null, endedAt: null })
  })
})

describe("the owner of a claim", () => {
  const judge = (one: Partial<Claim>, facts: { alive?: boolean; silent?: number } = {}) =>
    judgeOwner({ ...claim, ...one }, here, {
      now: 1_000_000,
      lastSign: 1_000_000 - (facts.silent ?? 0),
      isAlive: () => facts.alive ?? true
    })._tag

  it("lives as long as its process does", () => {
    assert.strictEqual(judge({}), "Alive")
    assert.strictEqual(judge({}, { alive: false }), "Dead")
  })

  it("died with an earlier boot of this machine, though its process id is in use", () => {
    assert.strictEqual(judge({ bootId: "earlier" }), "Dead")
  })

  it("is believed on another machine, or in another container, as long as it gives signs of life", () => {
    for (const elsewhere of [{ host: "two" }, { pidNamespace: "pid:[2]" }]) {
      assert.strictEqual(judge(elsewhere, { alive: false, silent: silenceMillis }), "Alive")
      assert.strictEqual(judge(elsewhere, { alive: true, silent: silenceMillis + 1 }), "Dead")
    }
  })
})

describe("the processes of a job", () => {
  const one = (pid: number, more: Partial<ProcessStat> = {}): ProcessStat => ({
    pid,
    state: "S",
    parent: 1,
    group: pid,
    session: pid,
    userTicks: 0,
    systemTicks: 0,
    childUserTicks: 0,
    childSystemTicks: 0,
    startTicks: pid,
    residentPages: 0,
    ...more
  })
  const root = { pid: 100, startTicks: 100, mark: "TOKEN=token" }
  const chosen = (processes: ReadonlyArray<ProcessStat>, marked: ReadonlyArray<number> = []) =>
    select(processes, root, (pid) => marked.includes(pid)).map((found) => found.pid).sort((a, b) => a - b)

  it("are its group, its session, whoever carries its token, and all their descendants", () => {
    const processes = [
      one(50),
      one(100),
      one(101, { group: 100, session: 100 }),
      one(102, { group: 102, session: 100 }),
      one(103, { parent: 102 }),
      one(104),
      one(105, { parent: 104 }),
      one(106, { parent: 105 }),
      one(107)
    ]
    assert.deepStrictEqual(chosen(processes, [104]), [100, 101, 102, 103, 104, 105, 106])
  })

  it("do not include the dead", () => {
    assert.deepStrictEqual(chosen([one(100, { state: "Z" }), one(101, { group: 100 })]), [101])
  })

  it("do not include another group that got the same number later", () => {
    assert.deepStrictEqual(chosen([one(100, { startTicks: 999 }), one(101, { group: 100 })]), [])
    assert.deepStrictEqual(chosen([one(100, { startTicks: 999 }), one(101)], [101]), [101])
  })

  it("are read from a line of /proc, whatever the program is called", () => {
    const rest = "S 1 42 43 0 -1 4194560 100 0 0 0 7 8 9 10 20 0 1 0 4567 1000 250 18446744073709551615"
    const stat = parseStat(`42 (a) (b ) S 9) ${rest}`)
    assert.deepStrictEqual(stat, {
      ...one(42),
      group: 42,
      session: 43,
      userTicks: 7,
      systemTicks: 8,
      childUserTicks: 9,
      childSystemTicks: 10,
      startTicks: 4567,
      residentPages: 250
    })
    assert.strictEqual(parseStat("nonsense"), undefined)
    assert.strictEqual(parseStat(""), undefined)
  })
})

describe("the id of a job", () => {
  it("is safe as a name, keeps what can be read of the key, and differs where keys differ", () => {
    for (const key of ["../../etc/passwd", "a b", "..", "", "ü".repeat(300), "-x", ".hidden", "a\0b", "run/7/launch"]) {
      assert.ok(isJobId(jobId(key)), key)
    }
    assert.match(jobId("run/7/launch"), /^run_7_launch-[0-9a-f]{16}$/)
    assert.notStrictEqual(jobId("a/b"), jobId("a_b"))
    assert.strictEqual(jobId("a/b"), jobId("a/b"))
  })

  it("is refused when it is a path", () => {
    for (const id of ["", ".", "..", "../x", "a/b", "/etc", ".cache", "x".repeat(200), "a\0"]) {
      assert.ok(!isJobId(id), id)
    }
  })
})

describe("a series of samples", () => {
  it("stays bounded, and keeps the peak, the last CPU time and the order", () => {
    const series = new Series(8)
    for (let i = 0; i < 1000; i++) {
      series.add({ atMillis: i, cpuSeconds: i, memoryBytes: i === 333 ? 1e9 : 1, processes: 1 })
      assert.ok(series.all().length <= 8)
    }
    const all = series.all()
    assert.strictEqual(Math.max(...all.map((one) => one.memoryBytes)), 1e9)
    assert.strictEqual(all.at(-1)!.cpuSeconds, 999)
    assert.deepStrictEqual(all.map((one) => one.atMillis), all.map((one) => one.atMillis).toSorted((a, b) => a - b))
  })
})

describe("the last line of an output", () => {
  it("is the last that is not blank, without terminal sequences", () => {
    assert.strictEqual(lastLineOf("a\nb\n\n  \n"), "b")
    assert.strictEqual(lastLineOf("10%\r20%\r30%"), "30%")
    assert.strictEqual(lastLineOf("\u001b[32mgreen\u001b[0m \u001b]0;title\u0007text\u0007"), "green text")
    assert.strictEqual(lastLineOf("\n\n"), undefined)
  })
})
