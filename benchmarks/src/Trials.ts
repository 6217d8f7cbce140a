/**
 * Runs trials: each in a fresh process, with files, database and Redis of its own. The contenders of a workload take
 * turns, run by run, so that what changes on the machine meanwhile hits all of them.
 */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { cpSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import type { Entry } from "./Catalogue.ts"
import { type Postgres, startRedis } from "./Servers.ts"
import type { Measured, Trial } from "./Trial.ts"

/** A trial that ended without a result; the message holds the end of what it said. */
export class TrialFailed extends Error {
  override readonly name = "TrialFailed"
}

/** Far more than any trial takes: one that hangs must not hang the rest. */
const limitMillis = 15 * 60_000

const program = join(import.meta.dirname, "..", "trial.ts")

/** Options of node, the same for everybody. The heap is large enough for a million works of the least frugal contender. */
const nodeOptions = ["--conditions=espalier-source", "--expose-gc", "--max-old-space-size=8192"]

/** Runs one process, and ends it when the fiber is interrupted. Resolves with what it sent, if anything. */
const runProcess = (trial: Trial, mode: ReadonlyArray<string>): Effect.Effect<Measured | undefined, TrialFailed> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [...nodeOptions, program, JSON.stringify(trial), ...mode], {
      env: { ...process.env, NODE_ENV: "production" },
      stdio: ["ignore", "pipe", "pipe", "ipc"]
    })
    let said = ""
    let measured: Measured | undefined
    let late = false
    const note = (text: string) => said = (said + text).slice(-4_000)
    child.stdout!.setEncoding("utf8").on("data", note)
    child.stderr!.setEncoding("utf8").on("data", note)
    child.on("message", (message) => measured = message as Measured)
    const timer = setTimeout(() => {
      late = true
      child.kill("SIGKILL")
    }, limitMillis)
    const failed = (how: string) =>
      Effect.fail(new TrialFailed(`${trial.contender}, ${trial.workload}: ${how}\n${said.trimEnd()}`))
    child.once("error", (error) => resume(failed(error.message)))
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      if (late) resume(failed(`did not end in ${limitMillis / 60_000} minutes`))
      else if (code !== 0) resume(failed(`ended with ${signal ?? `exit code ${code}`}`))
      else resume(Effect.succeed(measured))
    })
    return Effect.sync(() => {
      clearTimeout(timer)
      child.kill("SIGKILL")
    })
  })

/** A new, empty directory that is removed when the scope closes. */
const folder = (path: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(path, { mode: 0o711 })
      return path
    }),
    () => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

/** Where trials run. PostgreSQL is there when an entry of the plan needs it; Redis is started for each trial. */
export interface Place {
  readonly directory: string
  readonly postgres: Postgres | undefined
}

const trialOf = (entry: Entry, directory: string): Trial => ({
  workload: entry.workload,
  contender: entry.contender,
  variant: entry.variant,
  works: entry.works,
  rounds: entry.rounds,
  warmUp: entry.warmUp,
  directory
})

/** Prepares in a directory what every trial of an entry begins with. */
const prepare = Effect.fnUntraced(function*(place: Place, entry: Entry, name: string) {
  const directory = yield* folder(join(place.directory, name))
  yield* runProcess(trialOf(entry, directory), ["prepare"])
  return directory
})

const runTrial = Effect.fnUntraced(
  function*(place: Place, entry: Entry, name: string, prepared: string | undefined) {
    const directory = yield* folder(join(place.directory, name))
    if (prepared !== undefined) cpSync(prepared, directory, { recursive: true })
    const trial: Trial = {
      ...trialOf(entry, directory),
      ...(entry.needs === "postgres" ? { postgres: yield* place.postgres!.database(name) } : {}),
      ...(entry.needs === "redis" ? { redis: yield* startRedis(directory) } : {})
    }
    const measured = yield* runProcess(trial, [])
    return measured ?? (yield* Effect.fail(new TrialFailed(`${entry.contender}, ${entry.workload}: measured nothing`)))
  },
  Effect.scoped
)

/** What became of an entry: the results of its trials, or why one failed (after which it is not tried again). */
export interface Outcome {
  readonly entry: Entry
  readonly trials: ReadonlyArray<Measured>
  readonly failure: TrialFailed | undefined
}

/** Runs all entries of one workload, `runs` times each, taking turns. `told` hears of every trial that ended well. */
export const runWorkload = Effect.fnUntraced(
  function*(
    place: Place,
    entries: ReadonlyArray<Entry>,
    runs: number,
    told: (entry: Entry, run: number, measured: Measured) => void
  ) {
    const states = entries.map((entry) => ({
      entry,
      trials: new Array<Measured>(),
      failure: undefined as TrialFailed | undefined,
      prepared: undefined as string | undefined
    }))
    for (const [index, state] of states.entries()) {
      if (!state.entry.prepared) continue
      yield* prepare(place, state.entry, `prepared-${index}`).pipe(
        Effect.match({
          onFailure: (failure) => void (state.failure = failure),
          onSuccess: (directory) => void (state.prepared = directory)
        })
      )
    }
    for (let run = 1; run <= runs; run++) {
      for (const [index, state] of states.entries()) {
        if (state.failure !== undefined) continue
        yield* runTrial(place, state.entry, `trial-${run}-${index}`, state.prepared).pipe(
          Effect.match({
            onFailure: (failure) => void (state.failure = failure),
            onSuccess: (measured) => {
              state.trials.push(measured)
              told(state.entry, run, measured)
            }
          })
        )
      }
    }
    return states as ReadonlyArray<Outcome>
  },
  Effect.scoped
)
