/**
 * What every run needs of its machine, whatever layers it chooses: Node, SQLite, a directory to write, room on the disk.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import { located } from "../internal/requirementProgram.ts"
import * as Requirements from "../Requirements.ts"

const leastNode = [22, 19] as const

/** The Node that runs this. */
export const node: Requirements.Requirement = Requirements.make({
  name: "Node",
  check: Effect.sync(() => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
    const found = `${process.versions.node}, ${process.execPath}`
    const remedy = "Install Node 24 or newer: https://nodejs.org"
    if (major < leastNode[0] || (major === leastNode[0] && minor < leastNode[1])) {
      return Requirements.missing(`${found}; ${leastNode.join(".")} or newer is needed`, remedy)
    }
    return major < 24
      ? Requirements.warning(`${found}; its SQLite is still called experimental`, remedy)
      : Requirements.ok(found)
  })
})

/** The SQLite inside Node, which holds the journal. */
export const sqlite: Requirements.Requirement = Requirements.make({
  name: "SQLite",
  check: Effect.promise(async () => {
    try {
      const { DatabaseSync } = await import("node:sqlite")
      const database = new DatabaseSync(":memory:")
      try {
        const row = database.prepare("SELECT sqlite_version() AS version").get()
        return Requirements.ok(`${String(row?.["version"])}, inside Node`)
      } finally {
        database.close()
      }
    } catch (error) {
      return Requirements.missing(
        `this Node has none: ${error instanceof Error ? error.message : String(error)}`,
        "Install Node 24 or newer from https://nodejs.org; some distributions build it without SQLite"
      )
    }
  })
})

/** The directory of a run, where the journal, logs and reports are written. */
export const workdir = (path: string): Requirements.Requirement =>
  Requirements.directory({
    name: "working directory",
    path,
    access: "write",
    remedy: "Create it, or have its permissions changed, or take another directory"
  })

const gibibyte = 2 ** 30

/** Room on the disk that holds a directory. Little room is a warning: how much is enough depends on what is run. */
export const freeSpace = (path: string): Requirements.Requirement =>
  Requirements.make({
    name: "free disk space",
    level: "useful",
    check: Effect.promise(async () => {
      // A directory that is still to be made will lie on the disk of the nearest one that is there.
      for (let at = Path.resolve(path);; at = Path.dirname(at)) {
        try {
          const { bavail, bsize } = await fs.statfs(at)
          const free = Number(bavail) * Number(bsize)
          const found = `${(free / gibibyte).toFixed(1)} GiB at ${at}`
          return free < gibibyte
            ? Requirements.warning(
              found,
              "Make room: the journal, a tree for each experiment and the logs of jobs lie there"
            )
            : Requirements.ok(found)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "ENOENT" && at !== Path.dirname(at)) continue
          return Requirements.warning(`${at} cannot be asked: ${String(error)}`, null)
        }
      }
    })
  })

/**
 * The program of a job or a build. Only a warning where it is not there: a build may make it, or a job's own environment.
 *
 * @param path the PATH by which it is looked for
 */
export const jobProgram = (program: string, path?: string | undefined): Requirements.Requirement =>
  Requirements.make({
    name: `program ${JSON.stringify(program)}`,
    level: "useful",
    check: program.includes("/")
      // Relative to a tree that is still to be made.
      ? program.startsWith("/")
        ? Effect.map(located(program), (found) =>
          found === undefined
            ? Requirements.missing("there is no such program, or it may not be run", "Correct the path, or install it")
            : Requirements.ok(found))
        : Effect.succeed(Requirements.ok("it lies in the tree of each experiment, and is not looked for here"))
      : Effect.map(located(program, path), (found) =>
        found === undefined
          ? Requirements.missing("it is not on the PATH", "Install it, or write its whole path")
          : Requirements.ok(found))
  })

/** NVIDIA's tool, which tells what GPUs do. */
export const gpu: Requirements.Requirement = Requirements.answering({
  name: "nvidia-smi",
  level: "information",
  argv: ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
  reads: (stdout) => {
    const gpus = stdout.split("\n").filter((line) => line.trim() !== "")
    return gpus.length === 0 ? undefined : `${gpus.length} x ${gpus[0]}`
  },
  remedy: "Only for figures of NVIDIA GPUs: install their driver"
})

/** What every run needs in its directory. */
export const base = (directory: string): ReadonlyArray<Requirements.Requirement> => [
  node,
  sqlite,
  workdir(directory),
  freeSpace(directory)
]
