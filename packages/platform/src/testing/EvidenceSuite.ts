/**
 * What every layer of `Evidence` has to do, as cases for any test runner. A case is an Effect that fails or dies when
 * the layer does not do it. The layer under test has to be made with the `rules` of this suite.
 *
 * @example
 * ```ts
 * import * as Rules from "@espalier/platform/evidence/Rules"
 * import { Execution } from "@espalier/platform/Execution"
 * import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
 * import * as EvidenceSuite from "@espalier/platform/testing/EvidenceSuite"
 * import { Effect, Layer } from "effect"
 * import { mkdtemp, rm } from "node:fs/promises"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const root = await mkdtemp(join(tmpdir(), "suite-"))
 * const jobs = LocalProcess.layer({ directory: join(root, "jobs") })
 * const live = Rules.layer({ rules: EvidenceSuite.rules }).pipe(Layer.provideMerge(jobs))
 * const ended = (job: EvidenceSuite.SuiteJob) =>
 *   Effect.gen(function*() {
 *     const execution = yield* Execution
 *     const directory = yield* Effect.promise(() => mkdtemp(join(root, "tree-")))
 *     const argv = [process.execPath, "-e", EvidenceSuite.program, JSON.stringify(job)] as const
 *     const handle = yield* execution.launch({ key: crypto.randomUUID(), argv, directory, environment: {} })
 *     return { handle, status: yield* execution.await(handle.id), workingDirectory: directory }
 *   })
 * const [first] = EvidenceSuite.cases({ ended }) // and all others
 * await Effect.runPromise(Effect.provide(first!.run, live))
 * await rm(root, { recursive: true })
 * ```
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Evidence, MetricRule } from "../Evidence.ts"
import * as Shared from "../internal/evidenceCases.ts"
import { endCases } from "../internal/evidenceCasesEnds.ts"
import { fileCases } from "../internal/evidenceCasesFiles.ts"
import { metricCases } from "../internal/evidenceCasesMetrics.ts"

/** What a job of the suite prints and writes, and how it ends. */
export interface SuiteJob extends Shared.SuiteJob {}

/** A job that has ended. */
export interface EndedJob extends Shared.EndedJob {}

/** One thing that a layer has to do. */
export interface SuiteCase<R> extends Shared.SuiteCase<R> {}

/** What the suite needs: a job that printed and wrote this and ended so. */
export interface Options<E, R> extends Shared.Options<E, R> {}

/** The rules that the layer under test has to be made with. */
export const rules: ReadonlyArray<MetricRule> = Shared.rules

/** A job of the suite as a program for Node (`node -e <program> <job as JSON>`). */
export const program = `
  const { mkdirSync, writeFileSync, writeSync } = require("node:fs")
  const { dirname, join } = require("node:path")
  const job = JSON.parse(process.argv[1])
  const print = (descriptor, text) => {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
  }
  const place = (directory, files) => {
    for (const [path, text] of Object.entries(files ?? {})) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), text)
    }
  }
  if (job.repeated !== undefined) {
    let text = ""
    for (let i = 0; i < job.repeated.count; i++) {
      text += job.repeated.text.replace("{i}", String(i))
      if (text.length > 1e6 || i === job.repeated.count - 1) {
        print(1, text)
        text = ""
      }
    }
  }
  print(1, job.stdout)
  print(2, job.stderr)
  place(".", job.files)
  place(process.env.ESPALIER_JOB_DIR, job.jobFiles)
  process.exitCode = job.exitCode
`

/** A job of the suite as a command line, for a simulation that reads it back with `jobOf`. */
export const argvOf = (program: string, job: SuiteJob): readonly [string, string] => [program, JSON.stringify(job)]

/** The job of a command line that `argvOf` made, with all that it prints in `stdout`. */
export const jobOf = (argv: ReadonlyArray<string>): SuiteJob => {
  const job: SuiteJob = JSON.parse(argv[1] ?? "{}")
  const { repeated } = job
  if (repeated === undefined) return job
  const before = Array.from({ length: repeated.count }, (_, i) => repeated.text.replace("{i}", String(i)))
  return { ...job, stdout: `${before.join("")}${job.stdout}` }
}

/** Writes files of a job, for jobs that do not run. */
export const placeFiles = (directory: string, files: SuiteJob["files"]): void => {
  for (const [path, text] of Object.entries(files ?? {})) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), text)
  }
}

/** The cases. */
export const cases = <E, R>(options: Options<E, R>): ReadonlyArray<SuiteCase<Evidence | R>> => {
  const collect = Shared.collectOf(options)
  return [...metricCases(collect), ...fileCases(collect), ...endCases(collect, options)]
}
