/** Requests that hold what a shell, or a careless program, would act on: they arrive as they are, and do nothing. */
import { afterAll, describe, it } from "@effect/vitest"
import { Execution, hasSucceeded } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import { Effect, Option, Stream } from "effect"
import assert from "node:assert"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = mkdtempSync(join(tmpdir(), "espalier-hostile-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const jobs = join(root, "-jobs $(touch pwned) `x` 'q' é")
const engine = LocalProcess.layer({ directory: jobs })

const ugly = [
  "$(touch pwned)",
  "`touch pwned`",
  "; touch pwned",
  "| touch pwned",
  "&& touch pwned",
  "> pwned",
  "a\nb\r\tc",
  "-rf",
  "--help",
  "--",
  "'\"\\",
  "%s%n%d",
  "../../../../etc/passwd",
  "\u001b]0;title\u0007",
  "é 漢 🌳 \u202e",
  "*",
  "~",
  ""
]

const test = (name: string, body: (execution: Execution["Service"]) => Effect.Effect<void, unknown>): void => {
  it.live(name, () => Effect.flatMap(Execution, body).pipe(Effect.provide(engine)))
}

describe("nothing that a request holds reaches a shell", () => {
  test("not its arguments, its environment, its directory or its key", (execution) =>
    Effect.gen(function*() {
      const directory = join(root, "-d $(touch pwned) 'q' \"q\"\n%j é;&|")
      mkdirSync(directory)
      const source = "console.log(JSON.stringify([process.argv.slice(1), process.env.UGLY, process.cwd()]))"
      const environment = { UGLY: ugly.join("|"), "BASH_FUNC_x%%": "() { touch pwned; }", "A-B": "$(touch pwned)" }
      const job = yield* execution.launch({
        key: ugly.join("/"),
        argv: [process.execPath, "-e", source, "--", ...ugly],
        directory,
        environment
      })
      assert.ok(hasSucceeded(yield* execution.await(job.id)))
      const printed = yield* execution.logs(job.id, { stream: "stdout" }).pipe(Stream.decodeText(), Stream.mkString)
      const [argv, variable, cwd] = JSON.parse(printed)
      assert.deepStrictEqual(argv, ugly)
      assert.strictEqual(variable, environment.UGLY)
      assert.strictEqual(cwd, directory)
      for (const place of [directory, job.directory, jobs, root, process.cwd()]) {
        assert.ok(!existsSync(join(place, "pwned")), place)
      }
    }))

  test("and every such key is a job of its own, inside the directory of all jobs", (execution) =>
    Effect.gen(function*() {
      const request = (key: string) => ({
        key,
        argv: [process.execPath, "-e", ""] as const,
        directory: root,
        environment: {}
      })
      const ids = new Set<string>()
      const keys = ugly.filter((key) => key !== "")
      for (const key of keys) {
        const job = yield* execution.launch(request(key))
        ids.add(job.id)
        assert.strictEqual(job.directory, join(jobs, job.id))
        assert.strictEqual(Option.getOrThrow(yield* execution.find(key)).key, key)
        yield* execution.await(job.id)
      }
      assert.strictEqual(ids.size, keys.length)
      const names = readdirSync(jobs)
      for (const id of ids) assert.ok(names.includes(id), id)
    }))

  test("and what a program prints cannot write to the terminal of whoever looks at its progress", (execution) =>
    Effect.gen(function*() {
      const job = yield* execution.launch({
        key: "terminal",
        argv: [
          process.execPath,
          "-e",
          "process.stdout.write('\\u001b[2J\\u001b]0;owned\\u0007step\\u0000 1\\u0008\\n')"
        ],
        directory: root,
        environment: {}
      })
      yield* execution.await(job.id)
      assert.strictEqual(Option.getOrThrow(yield* execution.progress(job.id)).line, "step  1")
    }))
})
