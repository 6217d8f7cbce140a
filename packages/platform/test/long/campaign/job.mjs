// A job of the campaign, with records of its own beside those of the wrapper: each start is a line, and so is the end.
// Arguments: the record, how long to run in milliseconds, the exit code.
import { appendFileSync } from "node:fs"

const [record = "", duration = "0", code = "0"] = process.argv.slice(2)
appendFileSync(record, `start ${process.pid}\n`)
process.stdout.write("begun\n")
setTimeout(() => {
  appendFileSync(record, `end ${code}\n`)
  process.exit(Number(code))
}, Number(duration))
