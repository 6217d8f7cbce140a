// Effect's own diagnostics over the whole repository: npm run diagnostics [-- --suggestions] [-- project]
//
// They find what TypeScript lets pass: an Effect that nobody yields, a `yield` without a star, a failure
// whose generator goes on. The severities stand in tsconfig.base.json; an error ends this with 1. What is
// only a suggestion of style is counted, and shown on request.
//
// effect-tsgo follows the references of the root's tsconfig.json, one level deep, and says nothing about a
// file that no project includes, or about one for which it cannot find `effect`. Silence would look like
// success, so this compares what it looked at with what there is.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import process from "node:process"
import { filesUnder, root, shown } from "./sources.ts"

interface Report {
  readonly diagnostics: ReadonlyArray<{
    readonly file: string
    readonly line: number
    readonly column: number
    readonly severity: "error" | "warning" | "message"
    readonly name: string
    readonly message: string
  }>
  readonly files: ReadonlyArray<{ readonly file: string; readonly detectedEffect: string }>
}

const suggestions = process.argv.includes("--suggestions")
const [project] = process.argv.slice(2).filter((argument) => !argument.startsWith("--"))
const tool = createRequire(import.meta.url).resolve("@effect/tsgo/package.json").replace(
  "package.json",
  "dist/effect-tsgo.cjs"
)
const result = spawnSync(
  process.execPath,
  [tool, "diagnostics", "--project", project ?? join(root, "tsconfig.json"), "--format", "json", "--list-files"],
  { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] }
)

const parse = (output: string): Report => {
  try {
    return JSON.parse(output)
  } catch {
    console.error(
      `effect-tsgo gave no report for ${project ?? "tsconfig.json"} (exit ${result.status}). It said:\n${output}`
    )
    return process.exit(2)
  }
}
const report = parse(result.stdout ?? "")

const count = { error: 0, warning: 0, message: 0 }
for (const { column, file, line, message, name, severity } of report.diagnostics) {
  count[severity]++
  if (severity === "message" && !suggestions) continue
  console.log(`${shown(file)}:${line}:${column} - ${severity} effect(${name}): ${message}`)
}

const problems = report.files
  .filter(({ detectedEffect, file }) => detectedEffect !== "v4" && /from "effect["/]/.test(readFileSync(file, "utf8")))
  .map(({ detectedEffect, file }) => `${shown(file)} was not checked: its effect is ${detectedEffect}, not v4`)

if (project === undefined) {
  const seen = new Set(report.files.map(({ file }) => shown(file)))
  const typescript = (file: string) => file.endsWith(".ts") && !file.endsWith(".d.ts")
  for (const directory of ["packages", "examples", "scripts", "test", "benchmarks"]) {
    for (const file of filesUnder(directory, typescript)) {
      if (!seen.has(shown(file))) {
        problems.push(`${shown(file)} was not checked: no project in tsconfig.json includes it`)
      }
    }
  }
}
for (const problem of problems) console.error(problem)

console.log(
  `${report.files.length} files: ${count.error} errors, ${count.warning} warnings, ${count.message} suggestions` +
    (problems.length === 0 ? "" : `, ${problems.length} files not checked`)
)
process.exitCode = count.error > 0 || problems.length > 0 ? 1 : 0
