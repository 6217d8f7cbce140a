import { afterAll, describe, it } from "@effect/vitest"
import { EvidenceRecord } from "@espalier/platform/Evidence"
import { Schema } from "effect"
import assert from "node:assert"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = mkdtempSync(join(tmpdir(), "espalier-giant-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const engine = fileURLToPath(new URL("./support/collectingEngine.ts", import.meta.url))
const gigabyte = 2 ** 30

const Collected = Schema.Struct({ record: EvidenceRecord, millis: Schema.Finite, megabytes: Schema.Finite })

/** A heap in which the texts of the job would not fit, nor the list of its values. */
const heapMegabytes = 64
const collected = async (source: string) => {
  const directory = mkdtempSync(join(root, "job-"))
  const flags = ["--conditions=espalier-source", `--max-old-space-size=${heapMegabytes}`]
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, engine, directory, source])
  rmSync(directory, { recursive: true })
  const result = Schema.decodeUnknownSync(Collected)(JSON.parse(stdout))
  // Code and heap of Node and of Effect take about 150 MB before anything is read.
  assert.ok(result.megabytes < 320, `${result.megabytes} MB for a job of ${gigabyte} bytes`)
  assert.ok(JSON.stringify(result.record).length < 500_000)
  return result
}

describe("in a small heap, evidence is collected", () => {
  it("of one line of a gigabyte of zero bytes, and what comes after it is found", async () => {
    const { record } = await collected(`
      const fs = require("node:fs")
      fs.ftruncateSync(1, ${gigabyte})
      fs.writeSync(1, "throughput=1\\nthroughput=7\\n")
    `)
    assert.deepStrictEqual(record.metrics, { throughput: [7] })
    assert.match(record.logTail, /^\[stdout: last \d+ of 1073741\d+ bytes\]\nthroughput=7\n$/)
  })

  it("of a file of a gigabyte", async () => {
    const { record } = await collected(`
      const fs = require("node:fs")
      const file = fs.openSync("big.csv", "w")
      fs.writeSync(file, "step,score\\n1,2\\n2,3\\n")
      fs.ftruncateSync(file, ${gigabyte} - 100)
      fs.closeSync(file)
      fs.appendFileSync("big.csv", "\\n3,4\\n")
    `)
    assert.deepStrictEqual(record.metrics, { score: [4] })
    assert.strictEqual(record.samples?.["score"]?.count, 3)
  })

  it("of a log of 100 megabytes, with a million values, and an error long before its end", async () => {
    const { record } = await collected(`
      const fs = require("node:fs")
      const print = (text) => { for (let at = 0, bytes = Buffer.from(text); at < bytes.length;) at += fs.writeSync(2, bytes, at) }
      print("Traceback (most recent call last):\\n  File \\"/app/a.py\\", line 3, in load\\nValueError: shard 3 is short\\n")
      for (let i = 0; i < 100; i++) {
        print(Array.from({ length: 10_000 }, (_, k) => "2026-01-01 12:00:00 worker " + k + ": step " + i + " loss " + k + " and so on, and so on, and so on, and so on\\n").join(""))
      }
      process.exitCode = 1
    `)
    assert.strictEqual(record.errorSummary, "ValueError: shard 3 is short (at /app/a.py:3 in load)")
    assert.strictEqual(record.samples?.["loss"]?.count, 1_000_000)
    assert.strictEqual(record.metrics["loss"]?.length, 10_000)
  })

  it("of binary output, with every byte there is, and of text that is no UTF-8", async () => {
    const { record } = await collected(`
      const fs = require("node:fs")
      const crypto = require("node:crypto")
      for (let i = 0; i < 16; i++) {
        for (let at = 0, bytes = crypto.randomBytes(2 ** 20); at < bytes.length;) at += fs.writeSync(1, bytes, at)
      }
      fs.writeSync(1, Buffer.concat([Buffer.from([0x0a, 0xff, 0xfe, 0xc3, 0x28]), Buffer.from(" throughput=3 \\n{\\"json\\":4}\\n"), Buffer.alloc(300, 0xc3)]))
      fs.writeSync(2, Buffer.from([0, 1, 2, 0x1b, 0x5b, 0x32, 0x4a, 0xe2, 0x80, 0xae, 0xf0, 0x9f]))
      process.exitCode = 1
    `)
    assert.deepStrictEqual([record.metrics["throughput"], record.metrics["json"]], [[3], [4]])
    for (const text of [record.logTail, record.errorSummary ?? ""]) {
      assert.doesNotMatch(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/)
    }
  })
})
