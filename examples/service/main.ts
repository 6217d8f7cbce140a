/**
 * `node --conditions=espalier-source examples/service/main.ts DIRECTORY [--deploy v1|v2|careless] [--port N] [--most N]
 * [--capacity N] [--keep N]`
 *
 * The service, on the jobs in DIRECTORY. SIGTERM, or Ctrl-C, stops it in order, with exit code 0; started again it goes on.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect, Exit } from "effect"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { deployment, payloads } from "./deployment.ts"
import { serve } from "./server.ts"

const { positionals: [directory = "jobs"], values } = parseArgs({
  allowPositionals: true,
  options: {
    deploy: { type: "string", default: "v2" },
    port: { type: "string", default: "8080" },
    most: { type: "string", default: "1000000000" },
    capacity: { type: "string", default: "1000" },
    keep: { type: "string", default: "10000" }
  }
})

const isDeployment = (name: string): name is keyof typeof payloads => Object.hasOwn(payloads, name)

const service = Effect.gen(function*() {
  const { capacity, deploy, keep, most, port } = values
  if (!isDeployment(deploy)) {
    return yield* Effect.fail({ message: `--deploy ${deploy}: there are ${Object.keys(payloads).join(", ")}` })
  }
  for (const [name, text] of Object.entries({ capacity, keep, most, port })) {
    if (!/^\d+$/.test(text)) return yield* Effect.fail({ message: `--${name} ${text}: give a whole number` })
  }
  yield* serve(deployment(payloads[deploy]), {
    filename: join(directory, "jobs.db"),
    port: Number(port),
    most: Number(most),
    concurrency: 2,
    capacity: Number(capacity),
    keep: Number(keep)
  })
})

/** What went wrong in one line. A port that is taken says so in its cause. */
const failed = (error: { readonly message: string; readonly cause?: unknown }) =>
  Effect.andThen(
    Console.error(error.message === "" ? String(error.cause) : error.message),
    Effect.sync(() => void (process.exitCode = 1))
  )

NodeRuntime.runMain(Effect.catch(service, failed), {
  // To be told to stop is what a service is for, in the end.
  teardown: (exit, onExit) => {
    if (Exit.isSuccess(exit)) return onExit(0)
    if (!Cause.hasInterruptsOnly(exit.cause)) return onExit(1)
    console.log("stopped: the next start goes on")
    onExit(0)
  }
})
