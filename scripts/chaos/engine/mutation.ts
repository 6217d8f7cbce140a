/**
 * `npm run chaos -- --engine --mutants`: the campaign against copies of the engine that each have a fault of durability. A campaign
 * that finds nothing in one of them is too weak. Options: `--kills N` (100) and `--seconds N` (300) at most for each, `--seed N`
 * (1), `--only TEXT` for the mutants with this in their name. Exit code 1 when one was not noticed.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { patchedCopy } from "../patchedCopy.ts"
import { type Mutant, mutants } from "./mutants.ts"

const { values } = parseArgs({
  options: {
    engine: { type: "boolean", default: true },
    mutants: { type: "boolean", default: true },
    kills: { type: "string", default: "100" },
    seconds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" }
  }
})

/** The first fault that the campaign reports, or undefined. */
const noticed = ({ patches }: Mutant): { readonly by: string | undefined; readonly summary: string } => {
  const copy = patchedCopy(patches)
  try {
    const { kills, seconds, seed } = values
    const options = ["--engine", "--kills", kills, "--seconds", seconds, "--seed", seed]
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--conditions=espalier-source", copy.path("scripts/chaos/campaign.ts"), ...options],
      // What it keeps for a look lies beside the copy, and goes with it.
      { encoding: "utf8", env: { ...process.env, TMPDIR: copy.path(".") } }
    )
    const lines = stdout.split("\n")
    const from = lines.findIndex((line) => line.startsWith("FAULTS:"))
    if (status === 1 && from < 0) throw new Error(`the campaign itself failed:\n${stdout}\n${stderr}`)
    return { by: from < 0 ? undefined : lines[from + 1]!.trim().slice(0, 300), summary: lines[0] ?? "" }
  } finally {
    copy.remove()
  }
}

let missed = 0
const chosen = mutants.filter(({ name }) => name.includes(values.only))
for (const mutant of chosen) {
  const { by, summary } = noticed(mutant)
  if (by === undefined) missed += 1
  console.log(
    `${by === undefined ? "MISSED " : "noticed"}  ${mutant.name}\n         ${summary}\n         ${
      by ?? "nothing found"
    }`
  )
}
console.log(`${chosen.length - missed} passed, ${missed} failed`)
process.exitCode = missed === 0 ? 0 : 1
