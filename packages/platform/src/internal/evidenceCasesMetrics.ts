/** Cases of `EvidenceSuite` about metrics: which values are found, which are refused, and what is told of them. */
import * as Effect from "effect/Effect"
import assert from "node:assert"
import type { Evidence } from "../Evidence.ts"
import type { Collect, SuiteCase } from "./evidenceCases.ts"

export const metricCases = <E, R>(collect: Collect<E, R>): ReadonlyArray<SuiteCase<Evidence | R>> => [
  {
    name: "metrics are taken from what the job printed, by their rules",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout:
          "throughput=1\nthroughput=2.5e3 other=1\n{\"latency\":{\"p99\":7}}\n{\"latency\":{\"p99\":3}}\naccuracy 12.5%\naccuracy 99%",
        stderr: "throughput=9\nerrors=3\n"
      })
      assert.deepStrictEqual(record.metrics, { throughput: [2500], errors: [3], latency: [7], accuracy: [12.5, 99] })
      assert.strictEqual(record.exitCode, 0)
      assert.strictEqual(record.errorSummary, null)
      assert.ok(record.durationMillis !== null && record.durationMillis >= 0)
      assert.deepStrictEqual(record.missing, [])
    })
  },
  {
    name: "a value that is no finite number is refused with a note, and is never a metric",
    run: Effect.gen(function*() {
      const hostile = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "12ms",
        "1,234",
        "0x10",
        "",
        "null",
        "1_000",
        "1e",
        "\u22125",
        "\u0661",
        "--1",
        "1.2.3",
        "true",
        "0b1"
      ]
      const record = yield* collect({
        stdout: `throughput=5\n${hostile.map((one) => `throughput=${one}`).join("\n")}\n` +
          "{\"latency\":{\"p99\":1e999}}\n{\"latency\":{\"p99\":\"7\"}}\n{\"latency\":{\"p99\":null}}\naccuracy high%\n" +
          "step,ms\n2,fast\n3,NaN\n4,\"1,5\"\n"
      })
      assert.deepStrictEqual(record.metrics, { throughput: [5] })
      const refused = new Map(record.notes.map((note) => [note.metric, note.count]))
      assert.deepStrictEqual(
        refused,
        new Map([["throughput", hostile.length], ["latency", 3], ["accuracy", 1], ["step-time", 3]])
      )
    })
  },
  {
    name: "a value in JSON that diverged is refused with a note, and takes no other field of its line with it",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=1\n{\"step\":100,\"loss\":0.5}\n{\"step\":101,\"loss\":NaN,\"latency\":{\"p99\":4}}\n"
      })
      assert.deepStrictEqual(record.metrics, { throughput: [1], loss: [0.5], latency: [4] })
      assert.match(record.notes.find((note) => note.metric === "loss")?.message ?? "", /refused.*: NaN$/)
    })
  },
  {
    name: "minus zero is zero, of keys that come twice the last counts, and names that objects inherit are no fields",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=-0 many=1 many=2\n{\"latency\":{\"p99\":1,\"p99\":2},\"__proto__\":{\"loss\":9}}\n" +
          "{\"__proto__\":{\"latency\":{\"p99\":50}}}\n__proto__=3 constructor=4\n"
      })
      assert.deepStrictEqual(record.metrics, { throughput: [0], many: [1, 2], latency: [2] })
      assert.ok(Object.is(record.metrics["throughput"]?.[0], 0))
      assert.strictEqual(Object.getPrototypeOf(record.metrics), Object.prototype)
    })
  },
  {
    name: "unit and direction stand beside the numbers, with their count, mean and spread",
    run: Effect.gen(function*() {
      const { samples } = yield* collect({ stdout: "throughput=2\nthroughput=4\nthroughput=9\n" })
      assert.deepStrictEqual(samples?.["throughput"], {
        unit: "samples/s",
        direction: "maximize",
        count: 3,
        discarded: 0,
        mean: 5,
        standardDeviation: Math.sqrt(13),
        min: 2,
        max: 9
      })
      const one = yield* collect({ stdout: "throughput=2\n" })
      assert.strictEqual(one.samples?.["throughput"]?.standardDeviation, null)
    })
  },
  {
    name: "a million values make a record of bounded size, that tells how many there were and what they were like",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=1\n",
        repeated: { text: "many={i}\n", count: 1_000_000 }
      })
      assert.ok(JSON.stringify(record).length < 500_000, `${JSON.stringify(record).length} characters`)
      const samples = record.samples?.["many"]
      assert.strictEqual(samples?.count, 1_000_000)
      assert.strictEqual(samples.mean, 499_999.5)
      assert.ok(Math.abs(samples.standardDeviation! - 288_675.279) < 1, String(samples.standardDeviation))
      assert.ok(record.metrics["many"]!.length >= 1000)
      assert.match(
        record.notes.find((note) => note.metric === "many")?.message ?? "",
        /only the first \d+ of its 1000000/
      )
    })
  },
  {
    name:
      "values from before the job was warm are left out: a number of them, a part of them, or until a field says so",
    run: Effect.gen(function*() {
      const losses = [0, 50, 100, 150].map((step) => JSON.stringify({ step, loss: step / 10 }))
      const record = yield* collect({
        stdout: "throughput=1\ncold=100\ncold=50\ncold=3\ncold=5\n" +
          [1, 2, 3, 4, 5].map((value) => `part=${value}\n`).join("") +
          `${losses.join("\n")}\n{"loss":7}\nepoch 1: 90 s\nepoch 2: 30 s\nepoch 3: 31 s\n`
      })
      assert.deepStrictEqual(record.metrics, {
        throughput: [1],
        cold: [4],
        part: [2, 3, 4, 5],
        loss: [10, 15],
        "epoch-time": [30, 31]
      })
      const discarded = Object.entries(record.samples ?? {}).map(([name, one]) => [name, one.discarded])
      assert.deepStrictEqual(Object.fromEntries(discarded), {
        throughput: 0,
        cold: 2,
        part: 1,
        loss: 3,
        "epoch-time": 1
      })
      assert.match(record.notes.find((note) => note.metric === "loss")?.message ?? "", /no number at step beside it/)
    })
  },
  {
    name: "a metric whose values are all of the warm-up is missing, and a note says why",
    run: Effect.gen(function*() {
      const record = yield* collect({ stdout: "throughput=1\ncold=1\ncold=2\n" })
      assert.ok(!("cold" in record.metrics))
      assert.match(record.notes.find((note) => note.metric === "cold")?.message ?? "", /left out all of its 2 values/)
    })
  },
  {
    name:
      "a column of a table is found among other output, by its header, with quoted fields, and again after another header",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout:
          "throughput=1\nloading, please wait\nstep,note,ms\n1,first,90\n2,\"a, \"\"b\"\"\",8.5\nwarning, slow\n3,,9\n" +
          "ms,step\n7,4\n1,5\n",
        stderr: "1;2;3\nnone\n\"a;b\";5;6;7\n"
      })
      assert.deepStrictEqual(record.metrics["step-time"], [8.5, 9, 7, 1])
      assert.deepStrictEqual(record.metrics["third"], [3, 6])
      assert.strictEqual(record.samples?.["step-time"]?.discarded, 1)
    })
  },
  {
    name: "a pattern that backtracks for ever is given up in bounded time, and harms no other metric",
    run: Effect.gen(function*() {
      const began = performance.now()
      const record = yield* collect({
        stdout: `slow y 1\n${`${"x".repeat(5000)}\n`.repeat(20)}throughput=3 accuracy 7%\n`
      })
      assert.deepStrictEqual(record.metrics, { throughput: [3], accuracy: [7] })
      assert.match(record.notes.find((note) => note.metric === "slow")?.message ?? "", /too long/)
      assert.ok(performance.now() - began < 30_000)
    })
  },
  {
    name: "a job that ended well without a required metric is a typed failure that tells what it did print",
    run: Effect.gen(function*() {
      const error = yield* Effect.flip(collect({ stdout: "throughptu=5 loss=0.1\nthroughput=NaN\n{\"step\":4}\n" }))
      assert.ok(typeof error === "object" && error !== null && "_tag" in error && error._tag === "MetricsMissing")
      assert.deepStrictEqual(error.missing, ["throughput"])
      assert.deepStrictEqual(error.seen, ["throughptu", "loss", "step"])
      for (const part of ["throughput=<number>", "throughptu", "NaN", "required = false"]) {
        assert.ok(error.message.includes(part), `${part} is not in: ${error.message}`)
      }
      assert.ok(error.logTail.includes("throughptu=5"))
      assert.strictEqual(error.evidence.exitCode, 0)
    })
  },
  {
    name: "a metric that a failed job printed is kept",
    run: Effect.gen(function*() {
      const record = yield* collect({ stdout: "throughput=5\n", exitCode: 3 })
      assert.deepStrictEqual(record.metrics, { throughput: [5] })
      assert.ok(record.errorSummary?.includes("code 3"), String(record.errorSummary))
    })
  }
]
