/** How the failures of Slurm's commands are told, and what they mean. The commands are scripts. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule } from "effect"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runOnce } from "../../src/internal/slurmCommand.ts"
import { isAlive, linesOf } from "./support/builds.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-slurm-command-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let commands = 0
const command = (source: string, mode = 0o755): string => {
  const path = join(root, `command-${++commands}`)
  writeFileSync(path, `#!/bin/sh\n${source}\n`)
  chmodSync(path, mode)
  return path
}
const environment = { PATH: process.env["PATH"], GIVEN: "yes", LEFT: undefined }
const run = (program: string, timeout: Duration.Input = "1 minute") =>
  runOnce(program, ["a b", "$HOME"], {
    environment,
    timeout: Duration.fromInputUnsafe(timeout),
    retry: Schedule.recurs(0)
  })

describe("a command of Slurm's", () => {
  it.live("gets its arguments and environment as they are, and what it prints is its answer", () =>
    Effect.gen(function*() {
      const answer = yield* run(command("echo \"$1|$2|$GIVEN|${LEFT-none}|$(pwd)\"; echo warned >&2"))
      assert.strictEqual(answer, `a b|$HOME|yes|none|${process.cwd()}\n`)
    }))

  it.live("runs where the engine may not enter its own directory", () =>
    Effect.gen(function*() {
      const home = mkdtempSync(join(root, "home-"))
      const script = `
        import { chmodSync } from "node:fs"
        import { Duration, Effect, Schedule } from ${JSON.stringify(import.meta.resolve("effect"))}
        import { runOnce } from ${JSON.stringify(import.meta.resolve("../../src/internal/slurmCommand.ts"))}
        chmodSync(".", 0)
        // Whoever is root may enter everything.
        if (process.getuid() === 0) process.setuid(65534)
        const running = { environment: {}, timeout: Duration.minutes(1), retry: Schedule.recurs(0) }
        process.stdout.write(await Effect.runPromise(runOnce("/bin/echo", ["here"], running)))`
      const { stderr, stdout } = spawnSync(
        process.execPath,
        ["--conditions=espalier-source", "--input-type=module", "--eval", script],
        { cwd: home, encoding: "utf8" }
      )
      assert.deepStrictEqual([stdout, stderr], ["here\n", ""])
    }))

  it.live("that fails is told in its own words, and by what these mean", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, number | undefined, string, string]> = [
        ["/no/such/program", undefined, "missing", "there is no such program"],
        ["exit 0", 0o644, "missing", "it may not be executed"],
        ["echo out; echo 'Socket timed out' >&2; exit 1", 0o755, "unreachable", "Socket timed out"],
        ["echo ' only out '; exit 1", 0o755, "unreachable", "only out"],
        ["echo 'Invalid job id specified' >&2; exit 1", 0o755, "unknownJob", "Invalid job id specified"],
        ["echo 'Try \"sbatch --help\" for more' >&2; exit 255", 0o755, "refused", "Try \"sbatch --help\" for more"],
        ["exit 7", 0o755, "unreachable", "it ended with code 7 and said nothing"],
        ["kill -TERM $$", 0o755, "unreachable", "it ended with SIGTERM and said nothing"],
        ["kill -KILL $$", 0o755, "unreachable", "it ended with SIGKILL and said nothing"]
      ]
      for (const [source, mode, kind, said] of cases) {
        const program = mode === undefined ? source : command(source, mode)
        const failed = yield* Effect.flip(run(program))
        assert.deepStrictEqual([failed.kind, failed.said], [kind, said])
        assert.strictEqual(failed.message, `${program} failed: ${said}`)
      }
    }))

  it.live("that does not end in time is killed, however deaf it is, and what it had said is told", () =>
    Effect.gen(function*() {
      const said = "it did not end within 0.3 s and was killed"
      const deaf = "trap '' TERM; while :; do sleep 0.1; done"
      assert.strictEqual((yield* Effect.flip(run(command(deaf), "300 millis"))).said, said)
      const failed = yield* Effect.flip(
        run(command(`echo 'Invalid partition name specified' >&2\n${deaf}`), "300 millis")
      )
      assert.strictEqual(failed.said, `${said}; it had said: Invalid partition name specified`)
      assert.strictEqual(failed.kind, "refused")
    }))

  it.live("that prints without an end is killed, and what it printed is not in the error", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.flip(run(command("exec yes")))
      assert.strictEqual(failed.kind, "unreachable")
      assert.strictEqual(failed.said, "it printed more than 67108864 bytes and was killed")
    }))

  it.live("is gone when nobody waits for it any more", () =>
    Effect.gen(function*() {
      const file = join(root, "pid")
      const source = `trap '' TERM; echo $$ > '${file}'; while :; do sleep 0.1; done`
      const running = yield* Effect.forkChild(run(command(source)), { startImmediately: true })
      const [pid] = yield* linesOf(file, 1)
      yield* Fiber.interrupt(running)
      assert.isFalse(isAlive(Number(pid)))
    }))
})
