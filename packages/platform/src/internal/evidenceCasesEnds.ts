/** Cases of `EvidenceSuite` about how a job ended, why, and what is left of its output. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import assert from "node:assert"
import { Evidence, EvidenceRecord } from "../Evidence.ts"
import type { TerminalStatus } from "../Execution.ts"
import type { Collect, Options, SuiteCase } from "./evidenceCases.ts"

const javascript = "TypeError: x is not a function\n    at run (/app/main.js:3:5)\n\nNode.js v24.0.0\n"

/** What ended a program, as it was printed, and what a person would look for in it. */
const endings: ReadonlyArray<readonly [printed: string, root: string]> = [
  [javascript, "TypeError: x is not a function (at run (/app/main.js:3:5))"],
  [
    "Traceback (most recent call last):\n  File \"/app/a.py\", line 2, in read\n    return {}[shard]\nKeyError: 'b'\n\n" +
    "The above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n" +
    "  File \"/app/a.py\", line 9, in <module>\n    load()\nRuntimeError: cannot load\n",
    "RuntimeError: cannot load, caused by KeyError: 'b' (at /app/a.py:2 in read)"
  ],
  [
    "Exception in thread \"main\" java.lang.RuntimeException: cannot load\n\tat app.Main.main(Main.java:9)\n" +
    "Caused by: java.io.IOException: short read\n\tat java.base/java.io.Reader.read(Reader.java:1)\n" +
    "\tat app.Shard.read(Shard.java:5)\n\t... 1 more\n",
    "java.lang.RuntimeException: cannot load, caused by java.io.IOException: short read (at app.Shard.read(Shard.java:5))"
  ],
  [
    "thread 'main' panicked at src/main.rs:4:22:\nindex out of bounds: the len is 3 but the index is 5\n" +
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
    "panic: index out of bounds: the len is 3 but the index is 5 (at src/main.rs:4:22)"
  ],
  [
    "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.pick(...)\n" +
    "\t/app/index.go:6\nmain.main()\n\t/app/index.go:10 +0x1d\nexit status 2\n",
    "panic: runtime error: index out of range [5] with length 3 (at main.pick /app/index.go:6)"
  ],
  [
    "terminate called after throwing an instance of 'std::runtime_error'\n  what():  the batch is empty\nAborted (core dumped)\n",
    "std::runtime_error: the batch is empty"
  ]
]

const exited = (change: Partial<Extract<TerminalStatus, { _tag: "Exited" }>>) => (status: TerminalStatus) =>
  status._tag === "Exited" ? { ...status, ...change } : status

export const endCases = <E, R>(
  collect: Collect<E, R>,
  options: Options<E, R>
): ReadonlyArray<SuiteCase<Evidence | R>> => [
  {
    name: "a job that failed has its evidence, with its error and with what is missing",
    run: Effect.gen(function*() {
      const record = yield* collect({ stdout: "errors later\n", stderr: `starting\n${javascript}`, exitCode: 1 })
      assert.strictEqual(record.exitCode, 1)
      assert.deepStrictEqual(record.missing, ["throughput"])
      assert.strictEqual(record.errorSummary, "TypeError: x is not a function (at run (/app/main.js:3:5))")
    })
  },
  {
    name:
      "the root error is found in six languages, in colours, among progress bars, and before thousands of other lines",
    run: Effect.gen(function*() {
      for (const [printed, root] of endings) {
        const plain = yield* collect({ stderr: printed, exitCode: 1 })
        assert.strictEqual(plain.errorSummary, root)
        const drawn = printed.split("\n").map((line) =>
          `\u001b[31m${line}\u001b[0m\n 45%|###  | 45/100 [00:01<00:01]\r`
        )
        const after = Array.from({ length: 1500 }, (_, i) => `step ${i} of 10000: still cleaning up\n`).join("")
        const noisy = yield* collect({ stderr: `${drawn.join("")}\n${after}`, exitCode: 1 })
        assert.strictEqual(noisy.errorSummary, root)
      }
    })
  },
  {
    name: "of several processes in one output the first to fail is the reason",
    run: Effect.gen(function*() {
      const first = endings[1]!
      const lines = first[0].split("\n").flatMap((line, i) => [`[rank3]: ${line}`, `[rank1]: step ${i}`])
      const late = "[rank1]: Traceback (most recent call last):\n[rank1]:   File \"/app/b.py\", line 1, in <module>\n" +
        "[rank1]: ConnectionError: rank 3 has gone\n"
      const record = yield* collect({ stderr: `${lines.join("\n")}\n${late}`, exitCode: 1 })
      assert.strictEqual(record.errorSummary, `[rank3]: ${first[1]}`)
    })
  },
  {
    name: "a signal, a time-out and a want of memory are told, each before what was printed",
    run: Effect.gen(function*() {
      const signal = yield* collect({ exitCode: 1 }, exited({ exitCode: null, signal: "SIGSEGV" }))
      assert.strictEqual(signal.signal, "SIGSEGV")
      assert.match(signal.errorSummary ?? "", /SIGSEGV/)
      const late = yield* collect({ exitCode: 1, stderr: "error: slow\n" }, exited({ timedOut: true }))
      assert.strictEqual(late.timedOut, true)
      assert.match(late.errorSummary ?? "", /time-out.*error: slow/)
      const full = yield* collect({ exitCode: 1 }, exited({ exitCode: null, signal: "SIGKILL", outOfMemory: true }))
      assert.strictEqual(full.outOfMemory, true)
      assert.match(full.errorSummary ?? "", /want of memory/)
      const well = yield* collect({ stdout: "throughput=1\n" })
      assert.deepStrictEqual([well.signal, well.timedOut, well.outOfMemory], [null, false, false])
    })
  },
  {
    name: "the log tail is bounded in bytes and lines, and holds the end of both outputs",
    run: Effect.gen(function*() {
      const lines = Array.from({ length: 6000 }, (_, i) => `line ${i}`).join("\n")
      const record = yield* collect({ stdout: `throughput=1\n${lines}\n`, stderr: "the end of stderr\n" })
      assert.ok(record.logTail.length < 16_384, `${record.logTail.length}`)
      assert.ok(record.logTail.split("\n").length < 500)
      assert.ok(record.logTail.includes("line 5999\n") && !record.logTail.includes("line 1000\n"))
      assert.ok(record.logTail.includes("the end of stderr"))
    })
  },
  {
    name: "what could harm a terminal is in no part of the record",
    run: Effect.gen(function*() {
      const hostile = "\u001b[31mred\u001b[0m\u001b]0;title\u0007\u0000\u0001\u009b2J\u202ebad\u007f"
      const record = yield* collect({
        stdout: `throughput=${hostile}\nthroughput=1\r 10%\r 20%\n${hostile}\n`,
        stderr: `Error: ${hostile}\n`,
        exitCode: 1
      })
      const texts = [record.logTail, record.errorSummary ?? "", ...record.notes.map((note) => note.message)]
      for (const text of texts) {
        assert.doesNotMatch(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, JSON.stringify(text))
      }
      assert.ok(record.logTail.includes("red"))
    })
  },
  {
    name: "a line of many megabytes is survived, and what comes after it is found",
    run: Effect.gen(function*() {
      const record = yield* collect({
        repeated: { text: "0123456789abcdef", count: 500_000 },
        stdout: " throughput=9\nthroughput=2\n"
      })
      assert.deepStrictEqual(record.metrics, { throughput: [2] })
      assert.ok(record.logTail.length < 16_384)
    })
  },
  {
    name: "what the job used is finite and not negative, where anybody measured it",
    run: Effect.gen(function*() {
      const { system } = yield* collect({ stdout: "throughput=1\n" })
      const { gpus, io, ...own } = system ?? {}
      const figures = [own, io ?? {}, ...gpus ?? []].flatMap((one): Array<unknown> => Object.values(one))
      for (const one of figures) {
        assert.ok(one === null || typeof one === "string" || (Number.isFinite(one) && Number(one) >= 0), String(one))
      }
    })
  },
  {
    name: "evidence is plain data, and collecting it again gives the same",
    run: Effect.gen(function*() {
      const evidence = yield* Evidence
      const job = { stdout: "throughput=5\nmany=1\nmany=2\n", stderr: "", exitCode: 0 }
      const { handle, status, workingDirectory } = yield* options.ended(job)
      const at = workingDirectory === undefined ? {} : { workingDirectory }
      const record = yield* evidence.collect(handle, status, at)
      assert.deepStrictEqual(yield* evidence.collect(handle, status, at), record)
      const copy: unknown = JSON.parse(JSON.stringify(record))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(EvidenceRecord)(copy), record)
    })
  }
]
