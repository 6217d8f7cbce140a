// Runs one job to its end, collects its evidence, and prints the record and what that took. In a process of its own,
// so that its memory can be limited and measured: node collectingEngine.ts <directory> <source of the job>
import { Evidence } from "@espalier/platform/Evidence"
import * as Rules from "@espalier/platform/evidence/Rules"
import { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import { Effect, Layer } from "effect"
import { join } from "node:path"

const [directory = "", source = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const execution = yield* Execution
  const evidence = yield* Evidence
  const request = { key: "giant", argv: [process.execPath, "-e", source] as const, directory, environment: {} }
  const job = yield* execution.launch(request)
  const status = yield* execution.await(job.id)
  const began = performance.now()
  const record = yield* evidence.collect(job, status, { workingDirectory: directory })
  const { maxRSS } = process.resourceUsage()
  console.log(JSON.stringify({ record, millis: performance.now() - began, megabytes: maxRSS / 1024 }))
})

const live = Rules.layer({
  rules: [
    { _tag: "KeyValue", name: "throughput", required: false },
    { _tag: "Regex", name: "loss", stream: "stderr", pattern: "loss ([0-9.]+)", take: "all", required: false },
    { _tag: "JsonLines", name: "json", required: false },
    { _tag: "Csv", name: "score", files: "*.csv", column: "score", required: false }
  ]
}).pipe(Layer.provideMerge(LocalProcess.layer({ directory: join(directory, "jobs") })))

await Effect.runPromise(program.pipe(Effect.provide(live)))
