/**
 * `npm run mutants`: whether the engine's tests notice faults. Each patch of `packages/engine/test/mutants` breaks one
 * invariant of the engine, as its first line says. It is applied to a copy of the engine, and the simulator and the tests
 * have to fail there.
 *
 * Options: `--only NN` (again and again, or with commas) for some of them; `--runs N` (3000) and `--seed N` (1) for the
 * simulator. Exit code 1 when fewer than 19 of 20 are killed, in that proportion; 2 when a patch does not fit the sources
 * any more, or when the copy fails without a patch: then a failure would say nothing.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { root } from "./sources.ts"

interface Mutant {
  readonly number: string
  readonly name: string
  readonly file: string
  readonly invariant: number
}

/** Something that is run in a copy and fails there if it notices the fault. */
interface Killer {
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly limitSeconds: number
}

interface Verdict {
  readonly mutant: Mutant
  readonly killedBy: string | undefined
  readonly seconds: number
}

/** What is mutated. */
interface Tree {
  readonly copy: () => string
  /** Whether what is to fail with a fault holds without one. Each killer is asked once, and only when it is needed. */
  readonly assertHolds: (killer: Killer) => void
  readonly remove: () => void
}

const directory = join(root, "packages/engine/test/mutants")

/** What the simulator and the engine's tests need of the repository. */
const copied = [
  "package.json",
  "tsconfig.base.json",
  "vitest.config.ts",
  "docs/life-of-a-work.md",
  "packages/engine",
  "scripts/simulate.ts",
  "scripts/sources.ts"
]

const stop = (message: string): never => {
  console.error(message)
  process.exit(2)
}

const readMutants = (): ReadonlyArray<Mutant> =>
  readdirSync(directory).filter((name) => name.endsWith(".patch")).sort().map((fileName) => {
    const file = join(directory, fileName)
    const invariant = /^Invariant (\d+)\./.exec(readFileSync(file, "utf8"))?.[1]
    if (invariant === undefined) return stop(`${file} does not begin with "Invariant N.", which says what it breaks`)
    return {
      number: fileName.slice(0, 2),
      name: fileName.slice(3, -".patch".length),
      file,
      invariant: Number(invariant)
    }
  })

/** Links to all that is installed, except that `@espalier/engine` is the copy. */
const linkModules = (copy: string): void => {
  const modules = join(root, "node_modules")
  mkdirSync(join(copy, "node_modules/@espalier"), { recursive: true })
  symlinkSync(join(copy, "packages/engine"), join(copy, "node_modules/@espalier/engine"), "junction")
  for (const name of readdirSync(modules)) {
    // What begins with a dot belongs to tools: they would write into the original's.
    if (name === "@espalier" || name.startsWith(".")) continue
    symlinkSync(join(modules, name), join(copy, "node_modules", name), "junction")
  }
}

/** A copy is no repository; should it lie within one, git must not take it for a part of that. */
const git = (cwd: string, args: ReadonlyArray<string>) =>
  spawnSync("git", args, { cwd, encoding: "utf8", env: { ...process.env, GIT_CEILING_DIRECTORIES: tmpdir() } })

const copyFiles = (files: ReadonlyArray<string>, from: string): string => {
  const copy = mkdtempSync(join(tmpdir(), "espalier-mutant-"))
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(from, file), join(copy, file))
  }
  linkModules(copy)
  return copy
}

/**
 * The tree as it is now. All mutants are made from this one copy, and compared with it: who edits the tree meanwhile must not
 * be taken for a mutant.
 */
const copyTree = (): Tree => {
  const listed = git(root, ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...copied])
  if (listed.status !== 0) stop(`git ls-files failed: ${listed.stderr}`)
  // Git still lists what was deleted and not committed.
  const files = Array.from(new Set(listed.stdout.split("\0")))
    .filter((file) => file !== "" && existsSync(join(root, file)))
  const copy = copyFiles(files, root)
  const asked = new Set<string>()
  return {
    copy: () => copyFiles(files, copy),
    assertHolds: (killer) => {
      if (asked.has(killer.name)) return
      asked.add(killer.name)
      const said = run(killer, copy)
      if (said === undefined) return
      rmSync(copy, { recursive: true, force: true })
      stop(`${killer.name} fails without any mutant, so its failures say nothing: ${said}`)
    },
    remove: () => rmSync(copy, { recursive: true, force: true })
  }
}

const simulate = (runs: number, seed: number): Killer => ({
  name: `simulator (${runs})`,
  command: [
    "--conditions=espalier-source",
    "scripts/simulate.ts",
    `--runs=${runs}`,
    `--seed=${seed}`,
    "--at-least=0",
    "--quiet"
  ],
  limitSeconds: 240
})

const vitest = (project: string, filter: string): Killer => ({
  name: `${project} tests`,
  command: ["node_modules/vitest/vitest.mjs", "run", "--project", project, "--bail", "1", filter],
  limitSeconds: 600
})

/** How a killer that fails says it, in a few words; undefined when it notices nothing. */
const run = (killer: Killer, copy: string): string | undefined => {
  const done = spawnSync(process.execPath, killer.command, {
    cwd: copy,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: killer.limitSeconds * 1_000,
    // The colours of vitest would stand between its words.
    env: { ...process.env, NO_COLOR: "1" }
  })
  if (done.status === 0) return undefined
  if (done.error !== undefined && (done.error as NodeJS.ErrnoException).code === "ETIMEDOUT") return "no end in time"
  if (done.status === null) stop(`${killer.name} was ended by ${done.signal}: that says nothing about the mutant`)
  const output = `${done.stdout}\n${done.stderr}`
  const said = /^seed \d+: .*$/m.exec(output) ?? /^\s*FAIL .*$/m.exec(output) ??
    /^.*\d+ times, and not in the page.*$/m.exec(output)
  return (said?.[0] ?? output.trim().split("\n").at(-1) ?? "").trim().slice(0, 140)
}

/**
 * The first that notices. The first simulation is the beginning of the second: most mutants need no more. The loop that writes
 * the journal and the journal itself are not in the simulator: their faults are for the tests, also those with two processes.
 */
const killersOf = (runs: number, seed: number, invariant: number): ReadonlyArray<Killer> => {
  const unit = vitest("unit", "packages/engine/test")
  return invariant === 10 || invariant === 11
    ? [unit, vitest("process", "packages/engine/test/process/Journal")]
    : [simulate(Math.min(250, runs), seed), simulate(runs, seed), unit]
}

const judge = (
  mutant: Mutant,
  killers: ReadonlyArray<Killer>,
  tree: Tree
): Verdict => {
  const copy = tree.copy()
  try {
    const applied = git(copy, ["apply", mutant.file])
    if (applied.status !== 0) {
      tree.remove()
      rmSync(copy, { recursive: true, force: true })
      return stop(`${mutant.file} is stale: it does not fit the sources any more.\n${applied.stderr}`)
    }
    const began = performance.now()
    const seconds = (): number => (performance.now() - began) / 1_000
    for (const killer of killers) {
      const said = run(killer, copy)
      if (said === undefined) continue
      const took = seconds()
      tree.assertHolds(killer)
      return { mutant, killedBy: `${killer.name}: ${said}`, seconds: took }
    }
    return { mutant, killedBy: undefined, seconds: seconds() }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const show = ({ killedBy, mutant, seconds }: Verdict): void =>
  console.log(
    `${mutant.number} ${mutant.name.padEnd(34)} ${String(mutant.invariant).padStart(9)} ${
      seconds.toFixed(1).padStart(8)
    }  ${killedBy ?? "SURVIVED"}`
  )

const main = (): void => {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      runs: { type: "string", default: "3000" },
      seed: { type: "string", default: "1" }
    }
  })
  const only = values.only?.flatMap((each) => each.split(",")).map((each) => each.trim().padStart(2, "0"))
  const mutants = readMutants().filter(({ number }) => only === undefined || only.includes(number))
  if (mutants.length === 0) stop(`no mutant ${only?.join(", ") ?? ""} in ${directory}`)
  const runs = Number(values.runs)
  const seed = Number(values.seed)
  if (!Number.isSafeInteger(runs) || runs < 1 || !Number.isSafeInteger(seed)) {
    stop("--runs and --seed are whole numbers")
  }
  const tree = copyTree()
  console.log(`   ${"mutant".padEnd(34)} ${"invariant"} ${"seconds".padStart(8)}  killed by`)
  const verdicts = mutants.map((mutant) => {
    const verdict = judge(mutant, killersOf(runs, seed, mutant.invariant), tree)
    show(verdict)
    return verdict
  })
  tree.remove()
  const killed = verdicts.filter(({ killedBy }) => killedBy !== undefined).length
  console.log(`\n${killed} killed, ${verdicts.length - killed} survived`)
  process.exitCode = killed < Math.ceil(verdicts.length * 0.95) ? 1 : 0
}

main()
