import { describe, it } from "@effect/vitest"
import { ErrorScan, summarize } from "@espalier/platform/evidence/ErrorSummary"
import type { TerminalStatus } from "@espalier/platform/Execution"
import assert from "node:assert"

const exited = (more: Partial<Extract<TerminalStatus, { _tag: "Exited" }>> = {}): TerminalStatus => ({
  _tag: "Exited",
  exitCode: 1,
  signal: null,
  startedAt: 0,
  endedAt: 1,
  ...more
})
const scanned = (text: string): ErrorScan => {
  const scan = new ErrorScan()
  for (const line of text.split("\n")) scan.line(line)
  return scan
}
const summary = (stderr: string, stdout = "", status = exited()) => summarize(status, scanned(stdout), scanned(stderr))

describe("the error of a Node program is found", () => {
  it("where it was thrown and not caught, not where others were logged", () => {
    assert.strictEqual(
      summary(`
Error: logged, and survived
    at log (/app/log.js:1:1)
/app/main.js:4
    throw new RangeError("queue must not be empty")
    ^

RangeError: queue must not be empty
    at node:internal/check:12:3
    at take (/app/queue.js:4:11)
    at main (/app/main.js:9:3)

Node.js v24.21.0
`),
      "RangeError: queue must not be empty (at take (/app/queue.js:4:11))"
    )
  })

  it("with its root cause", () => {
    assert.strictEqual(
      summary(`
node:internal/process/promises:394
      triggerUncaughtException(err, true /* fromPromise */);
      ^

Error: cannot load the data set
    at load (/app/data.js:7:9) {
  [cause]: Error: cannot open shard 3
      at open (/app/shard.js:2:9) {
    [cause]: Error: ENOENT: no such file or directory, open 'shard-3'
        at async open (node:internal/fs/promises:639:25)
        at async read (/app/shard.js:5:3) {
      errno: -2,
      code: 'ENOENT'
    }
  }
}

Node.js v24.21.0
`),
      "Error: cannot load the data set, caused by Error: ENOENT: no such file or directory, open 'shard-3' " +
        "(at async read (/app/shard.js:5:3))"
    )
  })

  it("when what was thrown is no error", () => {
    assert.strictEqual(
      summary(
        "/app/main.js:1\nthrow \"out of luck\"\n^\nout of luck\n(Use `node --trace-uncaught ...` to show where)\n\nNode.js v24.0.0"
      ),
      "out of luck"
    )
  })

  it("when it is a syntax error or a rejection without a stack", () => {
    assert.strictEqual(
      summary(
        "/app/main.js:1\nlet = = 3\n      ^\n\nSyntaxError: Unexpected token '='\n    at wrapSafe (node:internal/modules/cjs/loader:1804:18)\n\nNode.js v24.0.0"
      ),
      "SyntaxError: Unexpected token '='"
    )
    assert.match(
      summary(
        "node:internal/process/promises:394\n      triggerUncaughtException(err, true);\n      ^\n\n[UnhandledPromiseRejection: The promise was rejected with the reason \"7\".] {\n  code: 'ERR_UNHANDLED_REJECTION'\n}\n\nNode.js v24.0.0"
      ) ??
        "",
      /UnhandledPromiseRejection.*reason "7"/
    )
  })

  it("when the heap is exhausted", () => {
    assert.strictEqual(
      summary(
        "<--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n 1: 0xb7 node::OOMErrorHandler\n",
        "",
        exited({ exitCode: null, signal: "SIGABRT" })
      ),
      "ended by SIGABRT; the last error printed: FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"
    )
  })

  it("when the program caught it, printed it and left", () => {
    assert.strictEqual(
      summary("working\nTypeError [ERR_X]: bad option\n    at check (file:///app/options.ts:3:2)\ngiving up\n"),
      "TypeError [ERR_X]: bad option (at check (file:///app/options.ts:3:2))"
    )
  })
})

describe("the error of other programs is found", () => {
  it("at the end of the last Python traceback", () => {
    const traceback = `Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
    ^^^
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError("bad shape (3, 4)")
ValueError: bad shape (3, 4)
`
    assert.strictEqual(
      summary(traceback),
      "ValueError: bad shape (3, 4), while handling KeyError: 'first' (at a.py:1)"
    )
  })

  it("in the last line that calls itself one", () => {
    assert.strictEqual(
      summary("error: first\ncc: fatal error: no input files\ncompilation terminated.\n"),
      "cc: fatal error: no input files"
    )
    assert.strictEqual(summary("\u001b[31mERROR\u001b[0m: disk full\nbye"), "ERROR: disk full")
    assert.strictEqual(
      summary("thread 'main' panicked at src/main.rs:2:5:\nnote: run with RUST_BACKTRACE=1"),
      "panic (at src/main.rs:2:5)"
    )
  })

  it("in the standard output, when the error output has none", () => {
    assert.strictEqual(summary("warming up\n", "step 1\nError: no data\n"), "Error: no data")
  })

  it("in the last thing said, when nothing looks like an error", () => {
    assert.strictEqual(summary("usage: tool FILE\n"), "usage: tool FILE")
  })
})

describe("a summary", () => {
  it("is nothing for a job that ended well, whatever it printed", () => {
    assert.strictEqual(summary("Error: ignored\n", "", exited({ exitCode: 0 })), null)
  })

  it("says how the job ended when it printed nothing, or when somebody else ended it", () => {
    assert.match(summary("") ?? "", /code 1.*nothing that looks like an error/)
    assert.match(
      summary("error: slow\n", "", exited({ signal: "SIGTERM", exitCode: null, timedOut: true })) ?? "",
      /time-out.*error: slow/
    )
    assert.match(
      summary("", "", exited({ signal: "SIGKILL", exitCode: null, outOfMemory: true })) ?? "",
      /want of memory/
    )
    assert.strictEqual(
      summary("", "", exited({ exitCode: null, startError: "no such program" })),
      "could not be started: no such program"
    )
  })

  it("has the root also when what was thrown last is long", () => {
    const long = "x".repeat(5000)
    const text = summary(
      `Error: ${long}\n    at a (/app/a.js:1:1) {\n  [cause]: Error: the root\n      at b (/app/b.js:2:2)\n}\n`
    )
    assert.match(text ?? "", /\.\.\., caused by Error: the root \(at b \(\/app\/b\.js:2:2\)\)$/)
  })

  it("is bounded", () => {
    assert.ok((summary(`Error: ${"x".repeat(10_000)}\n`) ?? "").length < 700)
  })
})
