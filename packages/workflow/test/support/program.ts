/**
 * The program that the tests of the workflow optimise: a pipeline whose speed is a function of its parameters and its
 * code, and some changes that do it no good in as many ways as there are.
 */
import type { SimulatedJob } from "@espalier/platform/execution/Simulated"
import { TestLaboratory } from "@espalier/workflow/testing"

const edit = (name: string, conflicts: ReadonlyArray<string> = []) => ({
  name,
  file: `src/${name}.ts`,
  search: `plain ${name}`,
  replace: `changed ${name}`,
  conflicts
})

/** Two edits that help, and one for each way in which a job can fail. */
export const edits = ["fused", "pooled", "crashing", "silent", "endless", "vanishing"].map((name) => edit(name))

/** What a job that does not give a measurement does. */
export const failing: Readonly<Record<string, SimulatedJob>> = {
  crashing: {
    durationMillis: 700,
    exitCode: 3,
    stdout: "loading\n",
    stderr: [{ atMillis: 600, text: "Error: batch 7 has no header\n    at main.ts:4\n" }]
  },
  silent: { durationMillis: 900, stdout: "done in 0.9 s\n" },
  endless: { durationMillis: Infinity, stdout: "step 1\n" },
  vanishing: { durationMillis: 1_000, lost: { atMillis: 500, reason: "its host was restarted" } }
}

/** The speed without noise. */
export const speed = (workers: number, applied: ReadonlyArray<string>): number =>
  100 * Math.min(workers, 4) ** 0.5 * (applied.includes("fused") ? 1.4 : 1) * (applied.includes("pooled") ? 1.15 : 1)

/** Prints a measurement after a second, faster code sooner; `--headspace` is twice as fast as anything else. */
export const program = (spread: number): TestLaboratory.Program => (job) => {
  const fault = job.edits.find((name) => failing[name] !== undefined)
  if (fault !== undefined) return failing[fault]!
  const base = job.arguments.includes("--headspace") ? 1_000 : speed(Number(job.parameters["workers"] ?? 1), job.edits)
  const value = base * TestLaboratory.noise(job, spread)
  return { durationMillis: Math.round(100_000 / value), stdout: `loading\nthroughput=${value}\n` }
}

export const workers = { name: "workers", type: "integer", values: [1, 2, 4, 8], baseline: 1 } as const

export const headspace = { name: "headspace", description: "", arguments: ["--headspace"] }

/** The study of that program, with a headspace; `changes` replace what they name. */
export const studyOf = (changes: TestLaboratory.Declaration = {}) =>
  TestLaboratory.settings({
    parameters: [workers],
    edits,
    seeds: [headspace],
    job: { timeoutMillis: 5_000 },
    planner: { batch: 3 },
    ...changes
  })
