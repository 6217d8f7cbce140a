/**
 * One of our workloads in this process, for node's own profilers. From the root of the repository:
 *
 *     node scripts/bootstrap.mjs node --conditions=espalier-source --expose-gc --cpu-prof benchmarks/profile.ts durable
 *
 * writes a `.cpuprofile` to the present directory, which Chrome's developer tools and most editors open. Options: `--works N`,
 * and `--variant NAME` where a workload has several.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { parseArgs } from "node:util"
import { catalogue } from "./src/Catalogue.ts"
import { benchesOf } from "./src/Contenders.ts"
import { figure } from "./src/Table.ts"
import type { Trial } from "./src/Trial.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { works: { type: "string" }, variant: { type: "string" } }
})
// Where a workload is there in several sizes, the largest is the one to look into.
const ours = catalogue.filter(({ contender }) => contender === "espalier").toSorted((a, b) => b.works - a.works)
const entry = ours.find(({ variant, workload }) =>
  workload === positionals[0] && (values.variant === undefined || variant === values.variant)
)
const works = values.works === undefined ? entry?.works : Number(values.works)
if (entry === undefined || works === undefined || !Number.isInteger(works) || works < 1) {
  const names = [...new Set(ours.map(({ workload }) => workload))].join(", ")
  console.error(`usage: benchmarks/profile.ts WORKLOAD [--works N] [--variant NAME]; workloads: ${names}`)
  process.exit(2)
}

const trial: Trial = {
  workload: entry.workload,
  contender: "espalier",
  variant: entry.variant,
  works,
  rounds: 1,
  warmUp: Math.min(entry.warmUp, works),
  directory: mkdtempSync(join(tmpdir(), "espalier-profile-"))
}
process.once("exit", () => rmSync(trial.directory, { recursive: true }))

if (entry.prepared) {
  const options = process.execArgv.filter((option) => !option.includes("-prof"))
  const program = join(import.meta.dirname, "trial.ts")
  execFileSync(process.execPath, [...options, program, JSON.stringify(trial), "prepare"], { stdio: "inherit" })
}
const bench = (await benchesOf("espalier"))[entry.workload]!
for (const [unit, value] of Object.entries(await bench.measure(trial))) {
  console.log(`${entry.workload}: ${figure(value)} ${unit}`)
}
// The engine is left as it is; the profile is written at exit.
process.exit(0)
