// The program that the chaos campaign optimises: it takes about as long as its parameters say, and writes down that it ran.
// Every run appends one line to the file named by CHAOS_RECORDS: the campaign counts real executions by it, not what the
// engine believes. Some settings crash with an exit code of their own.
import { createHash } from "node:crypto"
import { appendFileSync, readFileSync } from "node:fs"

const startedAt = Date.now()
const parameters = JSON.parse(readFileSync("parameters.json", "utf8"))
const source = readFileSync(new URL(import.meta.url), "utf8")
const hash = createHash("sha256").update(source).update(JSON.stringify(parameters)).digest("hex")
const edited = "no"

const crashes = parameters.depth === 3
const exitCode = crashes ? 7 : 0
const millis = Number(process.env["CHAOS_JOB_MILLIS"] ?? "500")
setTimeout(() => {
  const speed = 100 * parameters.width + 10 * parameters.depth + (edited === "yes" ? 25 : 0)
  if (!crashes) console.log(`throughput=${speed}`)
  console.log(`code_hash=${hash}`)
  appendFileSync(
    process.env["CHAOS_RECORDS"],
    `${
      JSON.stringify({
        directory: process.env["ESPALIER_JOB_DIR"],
        experiment: process.env["ESPALIER_EXPERIMENT"],
        startedAt,
        endedAt: Date.now(),
        exitCode,
        hash,
        parameters
      })
    }\n`
  )
  process.exitCode = exitCode
}, millis)
