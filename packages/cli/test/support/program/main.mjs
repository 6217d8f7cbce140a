// The program that the tests of the command optimise. It writes down by itself that it ran: one line in RECORDS when it
// starts and one when it ends, so that a test counts what really ran, and not what the engine believes.
import { createHash } from "node:crypto"
import { appendFileSync, readFileSync } from "node:fs"

const parameters = JSON.parse(readFileSync("parameters.json", "utf8"))
const source = readFileSync(new URL(import.meta.url))
const hash = createHash("sha256").update(source).update(readFileSync("parameters.json")).digest("hex")
const tuned = 0

const note = (event, more) =>
  appendFileSync(
    process.env.RECORDS,
    `${
      JSON.stringify({
        event,
        at: Date.now(),
        directory: process.env.ESPALIER_JOB_DIR,
        experiment: process.env.ESPALIER_EXPERIMENT,
        hash,
        parameters,
        ...more
      })
    }\n`
  )

const end = (exitCode) => {
  note("end", { exitCode })
  process.exitCode = exitCode
}

note("start", { pid: process.pid })
const mode = parameters.mode ?? "plain"
if (mode === "crash") {
  end(3)
  throw new Error("the shards are out of order")
}
if (mode === "killed") {
  note("end", { exitCode: null })
  process.kill(process.pid, "SIGKILL")
}
if (mode === "endless") {
  console.log("still loading")
  setInterval(() => {}, 1_000)
} else {
  setTimeout(() => {
    if (mode !== "silent") console.log(`throughput=${100 + (parameters.width ?? 1) + tuned}`)
    console.log(`code_hash=${hash}`)
    end(0)
  }, Number(process.env.JOB_MILLIS ?? "150"))
}
