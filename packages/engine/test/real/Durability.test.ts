/**
 * That what is acknowledged is on the disk. A process that is killed cannot show it, because the operating system keeps what was
 * written and not synced; so the system calls are looked at, with `strace`.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { installServices } from "../../../../scripts/require-services.ts"
import { patchedCopy } from "../../../../scripts/chaos/patchedCopy.ts"
import { type Call, judge, parse } from "./trace.ts"

const { strace } = installServices([
  { program: "strace", debianPackage: "strace", purpose: "see which writes of the journal are synced, and when" }
])
const child = "packages/engine/test/real/DurableChild.ts"
const calls = "fsync,fdatasync,write,writev,pwrite64,pwritev"

interface Trace {
  readonly calls: ReadonlyArray<Call>
  readonly journal: string
  readonly marks: string
}

/** Runs the child to its end, and gives what it did to files. */
const traced = async (script: string): Promise<Trace> => {
  const directory = mkdtempSync(join(tmpdir(), "espalier-trace-"))
  const at = (name: string): string => join(directory, name)
  try {
    const options = ["--follow-forks", "--seccomp-bpf", "--decode-fds=path", "--string-limit=64"]
    const program = [process.execPath, "--conditions=espalier-source", script, at("journal.db"), at("marks")]
    await promisify(execFile)(strace, [...options, `--trace=${calls}`, `--output=${at("trace")}`, ...program])
    return { calls: parse(readFileSync(at("trace"), "utf8")), journal: at("journal.db"), marks: at("marks") }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Everything that the child asks for, by the names of its marks; `alone` where nothing else is written meanwhile. */
const sorts = [
  { prefix: "alone-", count: 200, alone: true },
  { prefix: "submit-", count: 20 },
  { prefix: "hold-", count: 20 },
  { prefix: "record-", count: 40 },
  { prefix: "cursor-", count: 60 },
  { prefix: "outcome-", count: 20 },
  { prefix: "control-", count: 7 },
  { prefix: "many-", count: 2_000 },
  { prefix: "append-", count: 10 },
  { prefix: "snapshot-", count: 10 },
  { prefix: "trim-", count: 10 }
]

describe("the journal in a file", () => {
  let trace: Trace
  beforeAll(async () => {
    trace = await traced(join(import.meta.dirname, "DurableChild.ts"))
  }, 120_000)

  it.each(sorts)("has synced what it acknowledges before it does: $count × $prefix", ({ count, ...sort }) => {
    const { acknowledged, faults } = judge(trace.calls, { ...trace, ...sort })
    expect(faults).toEqual([])
    expect(acknowledged).toBe(count)
  })

  it("has synced the directory in which its new files are before it acknowledges anything", () => {
    const first = trace.calls.find(({ path, text }) => path === trace.marks && text.startsWith("ack "))!
    const syncs = trace.calls.filter(({ name, path, succeeded }) =>
      (name === "fsync" || name === "fdatasync") && path === dirname(trace.journal) && succeeded
    )
    expect(syncs.some(({ end }) => end < first.start)).toBe(true)
  })

  it("syncs once for each of those that come one after the other", () => {
    const { acknowledged, syncs } = judge(trace.calls, { ...trace, prefix: "alone-" })
    // A checkpoint syncs the log once more.
    expect(syncs).toBeGreaterThanOrEqual(acknowledged)
    expect(syncs).toBeLessThanOrEqual(acknowledged + 5)
  })

  it("syncs once for all of those that come together", () => {
    const { acknowledged, syncs } = judge(trace.calls, { ...trace, prefix: "many-" })
    // 100 fibers, each of which waits for its answer before it asks again, 20 times.
    expect(acknowledged).toBe(2_000)
    expect(syncs).toBeGreaterThanOrEqual(1)
    expect(syncs).toBeLessThanOrEqual(100)
  })
})

describe.each(["OFF", "NORMAL"])("a journal with synchronous = %s", (mode) => {
  const copy = patchedCopy([{
    file: "packages/engine/src/internal/sqliteDatabase.ts",
    find: "database.exec(\"PRAGMA synchronous = FULL\")",
    replace: `database.exec("PRAGMA synchronous = ${mode}")`
  }])
  afterAll(copy.remove)

  it("is found out", async () => {
    const trace = await traced(copy.path(child))
    for (const { count, ...sort } of sorts) {
      const { acknowledged, faults } = judge(trace.calls, { ...trace, ...sort })
      expect(acknowledged, sort.prefix).toBe(count)
      // A checkpoint, which NORMAL syncs for, may come between an asking and its answer.
      expect(faults.length, sort.prefix).toBeGreaterThan(count / 2)
    }
  }, 120_000)
})

describe("a journal that answers before its commit", () => {
  const copy = patchedCopy([{
    file: "packages/engine/src/internal/sqliteWorker.ts",
    find: "return { id: task.id, value: writer.append(task.request) }",
    replace:
      "const early = { id: task.id, value: writer.append(task.request) }\n        port.postMessage([early])\n        return early"
  }])
  afterAll(copy.remove)

  it("is found out", async () => {
    const trace = await traced(copy.path(child))
    const { acknowledged, faults } = judge(trace.calls, { ...trace, prefix: "alone-", alone: true })
    expect(acknowledged).toBe(200)
    // The answer and the sync are on different threads: now and then the sync is faster.
    expect(faults.length).toBeGreaterThan(20)
  }, 120_000)
})

describe("the judge of traces", () => {
  const verdict = (...lines: ReadonlyArray<string>) =>
    judge(parse(lines.join("\n")), { journal: "/j.db", marks: "/marks", prefix: "", alone: true })
  const ask = "10 write(5</marks>, \"ask a\\n\", 6) = 6"
  const ack = "10 write(5</marks>, \"ack a\\n\", 6) = 6"
  const write = "11 pwrite64(7</j.db-wal>, \"\\0\\1\"..., 8192, 0) = 8192"
  const sync = "11 fdatasync(7</j.db-wal>) = 0"

  it("accepts a write that is synced before the answer", () => {
    expect(verdict(ask, write, sync, ack)).toEqual({ acknowledged: 1, syncs: 1, faults: [] })
  })

  it.each([
    ["without a sync", [ask, write, ack], "a: what was written was not synced before the answer"],
    ["without a write", [ask, sync, ack], "a: nothing was written between asking and answer"],
    [
      "with the sync of another file",
      [ask, write, "11 fsync(8</j.db>) = 0", ack],
      "a: what was written was not synced before the answer"
    ],
    ["with a sync before the write", [ask, sync, write, ack], "a: what was written was not synced before the answer"],
    [
      "with a sync that failed",
      [ask, write, "11 fsync(7</j.db-wal>) = -1 EIO (Input/output error)", ack],
      "a: what was written was not synced before the answer"
    ],
    ["with a write after the sync", [ask, write, sync, write, ack], "a: 1 writes were not synced before the answer"],
    [
      "with a sync that is under way",
      [ask, write, "11 fdatasync(7</j.db-wal> <unfinished ...>", ack, "11 <... fdatasync resumed>) = 0"],
      "a: what was written was not synced before the answer"
    ],
    [
      "with a sync that began before the write was over",
      [
        ask,
        write.replace(") = 8192", " <unfinished ...>"),
        "12 fdatasync(7</j.db-wal>) = 0",
        "11 <... pwrite64 resumed>) = 8192",
        ack
      ],
      "a: what was written was not synced before the answer"
    ]
  ])("refuses an answer %s", (_, lines, fault) => {
    expect(verdict(...lines).faults).toEqual([fault])
  })

  it("sees a sync that others came between", () => {
    const resumed = [
      "11 fdatasync(7</j.db-wal> <unfinished ...>",
      "12 write(1</out>, \"x\", 1) = 1",
      "11 <... fdatasync resumed>) = 0"
    ]
    expect(verdict(ask, write, ...resumed, ack).faults).toEqual([])
  })
})
