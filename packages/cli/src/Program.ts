/**
 * The command as the main program of a process.
 */
// Not from the package's index: it would load a hundred modules that no command uses.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { main } from "./Cli.ts"
import { type Make, OwnLayers } from "./OwnLayers.ts"
import { report } from "./Report.ts"
import { version } from "./Version.ts"

/**
 * Runs the command with arguments (without program and script), and ends the process with its exit code.
 *
 * With `layers` it is the same command with layers of your own: they take the places of those that `espalier.toml` chooses.
 *
 * ```ts no-run
 * import { start } from "@espalier/cli/Program"
 * import * as MyExecution from "./MyExecution.ts"
 *
 * start(process.argv.slice(2), { layers: () => ({ execution: MyExecution.layer }) })
 * ```
 */
export const start = (args: ReadonlyArray<string>, options: { readonly layers?: Make | undefined } = {}): void =>
  NodeRuntime.runMain(
    report(main(args, version)).pipe(
      Effect.provideService(OwnLayers, options.layers ?? (() => ({}))),
      Effect.provide(NodeServices.layer)
    ),
    { disableErrorReporting: true }
  )
