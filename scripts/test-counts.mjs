// Sums vitest's JSON reports: node scripts/test-counts.mjs [--total] report.json...
//
// Prints the counts of each project in each file, or with --total only `N passed, M failed`. Exits 1 if
// anything failed. A test file that did not load and a report that does not exist count as one failure each:
// tests that did not run are not tests that passed. So does a run that ended with another exit code than 0 (in
// `report.json.exit`) though all its tests passed: an error that no test caught stands in no report.
//
// Plain JavaScript on Node 20: it must speak even where nothing could be installed.
import { existsSync, readFileSync } from "node:fs"
import process from "node:process"

const total = process.argv.includes("--total")
const files = process.argv.slice(2).filter((argument) => argument !== "--total")
const sum = { passed: 0, failed: 0, skipped: 0 }

for (const file of files) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  let report
  try {
    report = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
  } catch {
    report = undefined // cut off: vitest was ended while it wrote
  }
  if (report === undefined) {
    counts.failed++
    if (!total) console.log(`no report in ${file}: the tests did not run to their end`)
  } else {
    for (const { assertionResults, message, name, status } of report.testResults) {
      for (const { status: result } of assertionResults) {
        if (result === "passed") counts.passed++
        else if (result === "failed") counts.failed++
        else counts.skipped++
      }
      if (status === "failed" && !assertionResults.some((test) => test.status === "failed")) {
        counts.failed++
        if (!total) console.log(`${name} failed outside its tests: ${String(message).split("\n")[0]}`)
      }
    }
    const exit = existsSync(`${file}.exit`) ? readFileSync(`${file}.exit`, "utf8").trim() : "0"
    if (exit !== "0" && counts.failed === 0) {
      counts.failed++
      if (!total) console.log(`the run failed (exit ${exit}) outside every test`)
    }
  }
  if (!total) {
    const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`
    console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
  }
  for (const key of /** @type {const} */ (["passed", "failed", "skipped"])) sum[key] += counts[key]
}

if (total) console.log(`${sum.passed} passed, ${sum.failed} failed`)
process.exitCode = sum.failed > 0 ? 1 : 0
