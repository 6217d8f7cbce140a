/**
 * The command as the main program of a process.
 */
// Not from the package's index: it would load a hundred modules that no command uses.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { main } from "./Cli.ts"
import { report } from "./Report.ts"
import { version } from "./Version.ts"

/** Runs the command with arguments (without program and script), and ends the process with its exit code. */
export const start = (args: ReadonlyArray<string>): void =>
  NodeRuntime.runMain(report(main(args, version)).pipe(Effect.provide(NodeServices.layer)), {
    disableErrorReporting: true
  })
