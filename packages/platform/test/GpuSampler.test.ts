import { describe, it } from "@effect/vitest"
import { JobUsage } from "@espalier/platform/Execution"
import { Schema } from "effect"
import * as fc from "fast-check"
import assert from "node:assert"
import { findProgram, GpuUsages, parseGpus } from "../src/internal/gpuSampler.ts"
import { parseIo } from "../src/internal/processSampler.ts"

const gib = 2 ** 30

describe("an answer of nvidia-smi", () => {
  it("tells of each GPU", () => {
    const answer = "0, NVIDIA A100-SXM4-40GB, 97, 30720, 40960, 312.50\n1, NVIDIA A100-SXM4-40GB, 0, 4, 40960, 52.01\n"
    assert.deepStrictEqual(parseGpus(answer), [
      {
        index: 0,
        name: "NVIDIA A100-SXM4-40GB",
        utilizationPercent: 97,
        memoryUsedBytes: 30 * gib,
        memoryTotalBytes: 40 * gib,
        powerWatts: 312.5
      },
      {
        index: 1,
        name: "NVIDIA A100-SXM4-40GB",
        utilizationPercent: 0,
        memoryUsedBytes: 4 * 2 ** 20,
        memoryTotalBytes: 40 * gib,
        powerWatts: 52.01
      }
    ])
  })

  it("may leave things out", () => {
    assert.deepStrictEqual(parseGpus("0, Tesla K80, [N/A], [Not Supported], [Unknown Error], ERR!\r\n"), [
      {
        index: 0,
        name: "Tesla K80",
        utilizationPercent: null,
        memoryUsedBytes: null,
        memoryTotalBytes: null,
        powerWatts: null
      }
    ])
    const absurd = parseGpus("0, X, 101, -1, 1e9, NaN\n")
    assert.deepStrictEqual([absurd[0]?.utilizationPercent, absurd[0]?.memoryUsedBytes, absurd[0]?.powerWatts], [
      null,
      null,
      null
    ])
  })

  it("tells of none when it is something else", () => {
    const others = [
      "",
      "No devices were found\n",
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
      "index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], power.draw [W]\n",
      "x, y, 1, 2, 3, 4\n",
      "\0\0\0"
    ]
    for (const other of others) assert.deepStrictEqual(parseGpus(other), [], other)
  })

  it("is bounded, whatever it is", () => {
    const many = Array.from({ length: 1000 }, (_, i) => `${i}, name, 1, 2, 3, 4`).join("\n")
    assert.strictEqual(parseGpus(many).length, 64)
    const piece = fc.constantFrom("0", "1", ", ", ",", "[N/A]", "99", "\n", "name", "-", ".", "\u001b[31m", "\0")
    fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const usages = new GpuUsages()
      usages.add(parseGpus(pieces.join("")))
      const usage = { cpuSecondsUser: 0, cpuSecondsSystem: 0, peakMemoryBytes: 0, samples: 1, series: [] }
      Schema.decodeUnknownSync(JobUsage)({ ...usage, gpus: usages.all() ?? [] })
    }))
  })
})

describe("what was seen of GPUs", () => {
  it("is a mean and a peak over the looks that told something", () => {
    const usages = new GpuUsages()
    usages.add(parseGpus("1, B, 50, 10, 100, 80\n0, A, [N/A], 1, 100, [N/A]\n"))
    usages.add(parseGpus("1, B, 100, 30, 100, 120\n"))
    usages.add(parseGpus("1, B, [N/A], 20, 100, 100\n"))
    assert.deepStrictEqual(usages.all(), [
      {
        index: 0,
        name: "A",
        samples: 1,
        meanUtilizationPercent: null,
        peakUtilizationPercent: null,
        peakMemoryBytes: 2 ** 20,
        totalMemoryBytes: 100 * 2 ** 20,
        meanPowerWatts: null
      },
      {
        index: 1,
        name: "B",
        samples: 3,
        meanUtilizationPercent: 75,
        peakUtilizationPercent: 100,
        peakMemoryBytes: 30 * 2 ** 20,
        totalMemoryBytes: 100 * 2 ** 20,
        meanPowerWatts: 100
      }
    ])
  })

  it("is nothing where there is none", () => {
    assert.strictEqual(new GpuUsages().all(), undefined)
    assert.strictEqual(findProgram("nvidia-smi", undefined), undefined)
    assert.strictEqual(findProgram("nvidia-smi", "relative:/no/such/directory::"), undefined)
  })
})

describe("the kernel's counts of bytes", () => {
  it("are read when all of them are there", () => {
    const text =
      "rchar: 10\nwchar: 20\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
    assert.deepStrictEqual(parseIo(text), {
      readBytes: 10,
      writeBytes: 20,
      storageReadBytes: 4096,
      storageWriteBytes: 8192
    })
    for (const other of ["", "rchar: x\n", text.replace("wchar", "w"), text.replace("4096", "99999999999999999999")]) {
      assert.strictEqual(parseIo(other), undefined)
    }
  })
})
