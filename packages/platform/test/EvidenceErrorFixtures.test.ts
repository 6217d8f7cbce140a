import { describe, it } from "@effect/vitest"
import { ErrorScan, summarize } from "@espalier/platform/evidence/ErrorSummary"
import { LineSplitter } from "@espalier/platform/evidence/LogText"
import assert from "node:assert"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

// What real programs printed; fixtures/errors/README.md says which, and how they were recorded.
const directory = join(import.meta.dirname, "fixtures", "errors")
const recorded = (name: string): string => readFileSync(join(directory, `${name}.log`), "utf8")

const noise = (lines: number): string =>
  Array.from(
    { length: lines },
    (_, i) => i % 2 === 0 ? `\r ${i % 100}%|####      | ${i}/10000 [00:01<00:02, 5it/s]` : `step ${i}: loss ${i}`
  ).join("\n")

const rootOf = (text: string): string | null => {
  const scan = new ErrorScan()
  const splitter = new LineSplitter(16_384)
  for (const line of [...splitter.push(new TextEncoder().encode(text)), ...splitter.end()]) scan.line(line.text)
  const status = { _tag: "Exited", exitCode: 1, signal: null, startedAt: 0, endedAt: 1 } as const
  return summarize(status, new ErrorScan(), scan)
}

const noFile = "No such file or directory"
const expected: Record<string, string> = {
  "c-assertion": "Assertion `size > 0 && \"the batch is empty\"' failed (at check assertion.c:4)",
  "c-double-free": "free(): double free detected in tcache 2",
  "c-leak": "LeakSanitizer: detected memory leaks (at main /app/leak.c:6)",
  "c-null": "AddressSanitizer: SEGV, READ (at half /app/null.c:6)",
  "c-overflow": "AddressSanitizer: heap-buffer-overflow, READ of size 4 (at last /app/overflow.c:5)",
  "c-race": "ThreadSanitizer: data race (at operator() /app/race.cc:6)",
  "c-segv-shell": "Segmentation fault",
  "c-smash": "*** stack smashing detected ***: terminated",
  "c-throws": "std::runtime_error: the batch is empty",
  "c-throws-int": "int was thrown and not caught",
  "c-undefined": "signed integer overflow: 2147483647 + 1 cannot be represented in type 'int' (at undefined.c:7:5)",
  "go-deadlock": "fatal error: all goroutines are asleep - deadlock! (at main.wait /app/deadlock.go:4)",
  "go-index": "panic: runtime error: index out of range [5] with length 3 (at main.pick /app/index.go:6)",
  "go-maps": "fatal error: concurrent map writes (at main.write /app/maps.go:5)",
  "go-nil":
    "panic: runtime error: invalid memory address or nil pointer dereference (at main.(*shard).half /app/nil.go:6)",
  "go-repanic":
    "panic: cannot load the data set: shard 3 is short, caused by panic: shard 3 is short (at main.load /app/repanic.go:9)",
  "java-chain":
    "java.lang.RuntimeException: cannot load the data set, caused by java.io.FileNotFoundException: shard-3 is not there (at Chain$Shard.read(Chain.java:5))",
  "java-crash":
    "A fatal error has been detected by the Java Runtime Environment: SIGSEGV (0xb) (at V [libjvm.so+0xed3d0c] Unsafe_GetByte+0x12c)",
  "java-logged":
    "java.util.concurrent.ExecutionException: java.lang.ArithmeticException: / by zero, caused by java.lang.ArithmeticException: / by zero (at Logged.work(Logged.java:5))",
  "java-memory": "java.lang.OutOfMemoryError: Java heap space (at Memory.main(Memory.java:6))",
  "node-aggregate":
    "AggregateError: All promises were rejected, caused by RangeError: mirror 1 has no such version (at fail (file:///app/aggregate.mjs:2:9))",
  "node-cause":
    `Error: cannot load the data set, caused by Error: ENOENT: ${noFile.toLowerCase()}, open '/no/such/shard' (at open (/app/cause.cjs:1:39))`,
  "node-command": "free(): double free detected in tcache 2",
  "node-custom": "ShapeMismatch: expected 3 x 4 (at check (file:///app/custom.mjs:6:9))",
  "node-heap": "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
  "node-survived":
    "fatal: no device left; before that: TypeError: Cannot read properties of null (reading 'x') (at file:///app/survived.mjs:2:8)",
  "python-called": "Assertion `size > 0 && \"the batch is empty\"' failed (at check assertion.c:4)",
  "python-chained": "RuntimeError: cannot load shard b, caused by KeyError: 'b' (at /app/chained.py:2 in read)",
  "python-group":
    "ExceptionGroup: two shards failed (2 sub-exceptions), the first of them ValueError: shard 3 is short (at /app/group.py:2 in check)",
  "python-handling":
    "KeyError: 'fallback', while handling json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (at /app/handling.py:6 in parse)",
  "python-logged":
    `giving up: [Errno 2] ${noFile}: '/no/such/shard'; before that: KeyError: 'cache' (at /app/logged.py:5)`,
  "python-pool": "ZeroDivisionError: division by zero (at /app/pool.py:5 in work)",
  "python-progress": "FloatingPointError: loss is nan at step 400 (at /app/progress.py:7)",
  "python-ranks": "[rank3]: ValueError: rank 3 got a batch of 0 samples (at <string>:6 in step)",
  "python-segv": "Fatal Python error: Segmentation fault (at /app/segv.py:8 in crash)",
  "python-syntax": "SyntaxError: invalid syntax (at /app/syntax.py:1)",
  "python-thread": "ShapeMismatch: expected (3, 4) (at /app/thread.py:10 in work)",
  "rust-anyhow": `Error: cannot load the data set, caused by ${noFile} (os error 2)`,
  "rust-backtrace":
    `panic: called \`Result::unwrap()\` on an \`Err\` value: Os { code: 2, kind: NotFound, message: "${noFile}" } (at unwrap.rs:4:22)`,
  "rust-returned": "Error: ParseIntError { kind: InvalidDigit }",
  "rust-threads":
    "panic: assertion `left == right` failed: the batch is not whole, left: 4, right: 5 (at threads.rs:8:9)",
  "rust-unwrap":
    `panic: called \`Result::unwrap()\` on an \`Err\` value: Os { code: 2, kind: NotFound, message: "${noFile}" } (at unwrap.rs:4:22)`
}
const names = Object.keys(expected)
/**
 * Not to be had behind prefixes: these have prefixes already, or lines without an end; of the others the error is only a
 * line that calls itself one, which is less than another process's traceback.
 */
const withoutPrefix = new Set(["python-ranks", "python-progress", "rust-returned", "python-logged", "node-survived"])

describe("the root of what a real program printed is found", () => {
  it("for every recording that there is", () => {
    assert.deepStrictEqual(
      readdirSync(directory).filter((name) => name.endsWith(".log")).map((name) => name.slice(0, -4)).sort(),
      names.toSorted()
    )
  })

  for (const name of names) {
    it(`of ${name}`, () => {
      assert.strictEqual(rootOf(recorded(name)), expected[name])
    })
  }
})

describe("the root is found all the same", () => {
  it("with 1,000 lines of progress before it, and 10,000 after it", () => {
    const [before, after] = [noise(1000), noise(10_000)]
    for (const name of names) {
      assert.strictEqual(rootOf(`${before}\n${recorded(name)}\n${after}`), expected[name], name)
    }
  })

  it("when a progress bar of another thread is drawn after each of its lines", () => {
    for (const name of names) {
      const drawn = recorded(name).split("\n").map((line, i) =>
        `${line}\n ${i}%|##   | ${i}/100 [00:01<00:02, 5it/s]\r`
      )
      assert.strictEqual(rootOf(drawn.join("")), expected[name], name)
    }
  })

  it("in colours", () => {
    for (const name of names) {
      const coloured = recorded(name).split("\n").map((line) => `\u001b[31m${line}\u001b[0m\u001b[K`)
      assert.strictEqual(rootOf(coloured.join("\n")), expected[name], name)
    }
  })

  it("with the time before each line", () => {
    for (const name of names) {
      const stamped = recorded(name).split("\n").map((line) => `2026-03-01T12:00:00.123Z ${line}`)
      assert.strictEqual(rootOf(stamped.join("\n")), expected[name], name)
    }
  })

  it("of the process that failed first, among the lines of others, whatever launched them", () => {
    const others = Array.from({ length: 300 }, (_, i) => `step ${i}`)
    const prefixes: ReadonlyArray<(rank: number) => string> = [
      (rank) => `[rank${rank}]: `,
      (rank) => `[1,${rank}]<stderr>:`,
      (rank) => `${rank}: `,
      (rank) => `(train pid=${100 + rank}, ip=10.0.0.${rank}) `,
      (rank) => `worker-${rank}  | `
    ]
    for (const prefix of prefixes) {
      for (const name of names.filter((one) => !withoutPrefix.has(one))) {
        const failing = recorded(name).split("\n")
        const lines = others.flatMap((line, i) => [
          `${prefix(i % 3)}${line}`,
          ...(failing[i] === undefined ? [] : [`${prefix(7)}${failing[i]}`])
        ])
        const late = "Traceback (most recent call last):\n  File \"a.py\", line 1\nConnectionError: peer 7 has gone"
        const text = [...lines, ...late.split("\n").map((line) => `${prefix(1)}${line}`)].join("\n")
        const found = rootOf(text)
        assert.strictEqual(found, `${prefix(7).trim()} ${expected[name]}`, name)
      }
    }
  })

  it("when a launcher ends with a report of its own, which only says that one of them failed", () => {
    const launcher =
      "Traceback (most recent call last):\n  File \"/usr/local/bin/torchrun\", line 8, in <module>\n    main()\n" +
      "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \ntrain.py FAILED\n"
    assert.strictEqual(rootOf(`${recorded("python-ranks")}${launcher}`), expected["python-ranks"])
    assert.strictEqual(rootOf(`${recorded("c-overflow")}${launcher}`), expected["c-overflow"])
  })

  it("when the log ends in the middle of it: then what there is is told", () => {
    for (const name of names) {
      const text = recorded(name)
      for (let end = 1; end < text.length; end += 7) {
        assert.match(rootOf(text.slice(0, end)) ?? "", /^(?!.*undefined(?!\.c)).+$/s)
      }
    }
  })
})

describe("hostile output", () => {
  it("takes time in proportion to its length: a line that took the square of it would run into the time-out", () => {
    const units = [
      " ",
      "Error: ",
      "at ",
      "Caused by: ",
      "thread 'a' panicked at ",
      "a: ",
      "#0 0x0 in a ",
      "File \"",
      "[",
      "==1==ERROR: "
    ]
    const lines = units.flatMap((
      unit
    ) => [unit.repeat(16_000 / unit.length), `    #0 ${unit.repeat(5000)}`, `\t${unit.repeat(5000)}`])
    const scan = new ErrorScan()
    for (let i = 0; i < 200; i++) for (const line of lines) scan.line(line)
    assert.ok((scan.found()?.text.length ?? 0) < 5000)
  })

  it("that goes on for ever takes the memory of a little: one that kept it all would run into the time-out", () => {
    const endless: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
      ["==1==ERROR: AddressSanitizer: SEGV on unknown address", ["READ of size 4 at 0x0 thread T0"]],
      ["thread 'main' panicked at a.rs:1:1:", ["message", "  left: 1", " right: 2"]],
      ["# A fatal error has been detected by the Java Runtime Environment:", ["#  SIGSEGV (0xb) at pc=1"]],
      ["panic: a", ["\tpanic: b", "goroutine 1 [running]:", "main.f()", "\t/a.go:1 +0x1"]],
      ["Error: a", ["    at f (a.js:1:1)", "  [cause]: Error: b"]],
      ["", [
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in f",
        "ValueError: x",
        "During handling of the above exception, another exception occurred:"
      ]]
    ]
    for (const [first, rest] of endless) {
      const scan = new ErrorScan()
      scan.line(first)
      for (let i = 0; i < 50_000; i++) scan.line(rest[i % rest.length]!)
      const text = scan.found()?.text ?? ""
      assert.ok(text !== "" && text.length < 3000, `${first} ${text.length}`)
    }
  })

  it("of ten thousand processes takes the memory of a few", () => {
    const scan = new ErrorScan()
    for (let i = 0; i < 10_000; i++) scan.line(`[rank${i}]: Error: ${i}`)
    assert.match(scan.found()?.text ?? "", /Error/)
  })

  it("never reaches the summary with its control characters", () => {
    assert.strictEqual(rootOf("Error: \u001b[31mred\u001b[0m \u0007\u202eback\n"), "Error: red \u2407\ufffdback")
  })
})
