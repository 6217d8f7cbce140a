/** What the tests of builds share: a directory of their own, requests in it, and looking for processes. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Artifacts, type BuildRequest } from "../../../src/Artifacts.ts"
import * as Command from "../../../src/artifacts/Command.ts"

/** A directory whose name is no easy one; removed with the scope. */
export const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier build ")))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true }))
)

/** A tree below the directory, and a request to build it. Without a name the tree gets one of its own. */
export const requestIn = (home: string, commit = "c0ffee", name = `tree-${fs.readdirSync(home).length}`) =>
  Effect.sync((): BuildRequest => {
    const tree = Path.join(home, name)
    fs.mkdirSync(tree, { recursive: true })
    return { tree, commit, log: Path.join(home, "logs", `${name}.log`) }
  })

/** Runs a script with this Node. */
export const node = (script: string): readonly [string, ...ReadonlyArray<string>] => [process.execPath, "-e", script]

export const build = (options: Command.Options, request: Parameters<Artifacts["Service"]["build"]>[0]) =>
  Effect.flatMap(Artifacts, (artifacts) => artifacts.build(request)).pipe(Effect.provide(Command.layer(options)))

/** Waits, by file system events, until a file holds whole lines, and returns them. */
export const linesOf = (file: string, count: number) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const look = () => {
      const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : []
      if (lines.length >= count) resume(Effect.succeed(lines))
    }
    const watcher = fs.watch(Path.dirname(file), look)
    look()
    return Effect.sync(() => watcher.close())
  })

/** Whether a process runs; one that only waits to be reaped does not. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** Starts a child that ignores SIGTERM, writes both process ids to `pids`, and hangs. */
export const stubborn = `
  const { spawn } = require("node:child_process")
  const ignore = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"
  const child = spawn(process.execPath, ["-e", ignore], { stdio: ["ignore", "pipe", "inherit"] })
  process.on("SIGTERM", () => {})
  child.stdout.once("data", () => {
    require("node:fs").writeFileSync("pids", process.pid + "\\n" + child.pid + "\\n")
  })
  setInterval(() => {}, 1000)
`

/**
 * Starts a child as container engines do: in a session of its own, with an empty environment, deaf to SIGTERM. It
 * writes both process ids to `pids`, and hangs; SIGTERM ends the parent, which leaves the child behind.
 */
export const runaway = `
  const { spawn } = require("node:child_process")
  const deaf = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"
  const child = spawn(process.execPath, ["-e", deaf], { stdio: ["ignore", "pipe", "inherit"], detached: true, env: {} })
  child.stdout.once("data", () => {
    require("node:fs").writeFileSync("pids", process.pid + "\\n" + child.pid + "\\n")
  })
  setInterval(() => {}, 1000)
`

/** Waits until none of these processes runs. */
export const goneAll = (pids: ReadonlyArray<number>): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 20))
  })
