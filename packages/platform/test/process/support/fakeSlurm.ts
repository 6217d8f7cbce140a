/**
 * Slurm's commands as a test wants them: they keep their jobs in a directory, run the batch script as a process of this
 * machine, and fail when the test says so. Called by scripts that `installFakeSlurm` writes.
 */
import { spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** What the commands do. */
export interface Behaviour {
  /** How many calls of each command fail first, as if the controller could not be reached. */
  readonly failures?: Partial<Record<Program, number>>
  /** `sbatch` submits, and says that it did not. */
  readonly answersLost?: number
  /** `squeue` and `scontrol` know no job. */
  readonly forgetful?: boolean
  /** What `squeue` prints of each job; `ID` and `NAME` stand for its own. */
  readonly squeue?: string
  /** The line of `sacct` for a job, with its number and name put in for `ID` and `NAME`; none: there is no accounting. */
  readonly sacct?: ReadonlyArray<string>
  /** Jobs are queued, and not run. */
  readonly busy?: boolean
  /** How long `sbatch` takes, in milliseconds. */
  readonly slowMillis?: number
}

const programs = ["sbatch", "squeue", "scontrol", "scancel", "sacct"] as const
type Program = typeof programs[number]

/** Writes the commands into a directory, and returns their paths. */
export const installFakeSlurm = (directory: string, behaviour: Behaviour): Record<Program, string> => {
  mkdirSync(join(directory, "queue"), { recursive: true })
  writeFileSync(join(directory, "behaviour.json"), JSON.stringify(behaviour))
  return Object.fromEntries(programs.map((program) => {
    const path = join(directory, program)
    const quoted = [process.execPath, fileURLToPath(import.meta.url), program, directory].map((one) =>
      `'${one.replaceAll("'", "'\\''")}'`
    )
    writeFileSync(path, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`, { mode: 0o755 })
    return [program, path]
  })) as Record<Program, string>
}

/** How often a command was called. */
export const callsOf = (directory: string, program: Program): number => {
  const log = join(directory, `${program}.calls`)
  return existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0
}

/** The jobs that were submitted. */
export const submitted = (directory: string): ReadonlyArray<string> => readdirSync(join(directory, "queue"))

interface Queued {
  readonly name: string
  readonly pid: number | null
}

const fail = (words: string): never => {
  process.stderr.write(`${words}\n`)
  process.exit(1)
}

const main = (program: Program, directory: string, args: ReadonlyArray<string>): void => {
  const behaviour: Behaviour = JSON.parse(readFileSync(join(directory, "behaviour.json"), "utf8"))
  appendFileSync(join(directory, `${program}.calls`), `${args.length}\n`)
  if (callsOf(directory, program) <= (behaviour.failures?.[program] ?? 0)) {
    fail(`${program}: error: Unable to contact slurm controller (connect failure)`)
  }
  const option = (name: string): string =>
    args.find((one) => one.startsWith(`--${name}=`))?.slice(name.length + 3) ?? ""
  const jobs = submitted(directory).map((id) => {
    const job: Queued = JSON.parse(readFileSync(join(directory, "queue", id), "utf8"))
    return { id, ...job }
  })
  const isRunning = (pid: number | null): boolean => {
    try {
      return pid !== null && /\) [^ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))
    } catch {
      return false
    }
  }
  const stateOf = (pid: number | null): string => pid === null ? "PENDING" : isRunning(pid) ? "RUNNING" : "COMPLETED"
  switch (program) {
    case "sbatch": {
      const id = String(jobs.length + 1)
      const script = args.findIndex((one) => !one.startsWith("-"))
      const log = openSync(option("output").replaceAll("%%", "%"), "a")
      const child = behaviour.busy === true ?
        undefined :
        spawn("/bin/sh", args.slice(script), {
          cwd: option("chdir"),
          detached: true,
          env: { ...process.env, SLURM_JOB_ID: id },
          stdio: ["ignore", log, log]
        })
      child?.unref()
      writeFileSync(join(directory, "queue", id), JSON.stringify({ name: option("job-name"), pid: child?.pid ?? null }))
      const answer = (): void => {
        if (jobs.length < (behaviour.answersLost ?? 0)) {
          fail("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
        }
        process.stdout.write(`${id}\n`)
      }
      setTimeout(answer, behaviour.slowMillis ?? 0)
      return
    }
    case "squeue":
      if (behaviour.forgetful !== true) {
        for (const { id, name, pid } of jobs) {
          if (option("name") !== "" && option("name") !== name) continue
          const line = behaviour.squeue ?? `ID|${stateOf(pid)}|1|2|3|NAME|None\n`
          process.stdout.write(line.replace("ID", id).replace("NAME", name))
        }
      }
      return
    case "scontrol": {
      const job = jobs.find(({ id }) => id === args.at(-1))
      if (job === undefined || behaviour.forgetful === true) {
        return fail("slurm_load_jobs error: Invalid job id specified")
      }
      process.stdout.write(`JobId=${job.id} JobName=${job.name} JobState=${stateOf(job.pid)} ExitCode=0:9 Command=x\n`)
      return
    }
    case "sacct":
      if (behaviour.sacct === undefined) return fail("Slurm accounting storage is disabled")
      for (const line of behaviour.sacct) {
        for (const { id, name } of jobs) process.stdout.write(`${line.replace("ID", id).replace("NAME", name)}\n`)
      }
      return
    case "scancel":
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [program, directory, ...args] = process.argv.slice(2)
  main(program as Program, directory!, args)
}
