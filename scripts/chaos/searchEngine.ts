/**
 * The engine of the chaos campaign: the real command, with one difference. Where `CHAOS_KILL` names a failpoint and a
 * count, the process kills itself with SIGKILL when it reaches that point for that time.
 *
 *   CHAOS_KILL="append.after:3" node --conditions=espalier-source scripts/chaos/searchEngine.ts run DIRECTORY
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { main } from "@espalier/cli/Cli"
import { report } from "@espalier/cli/Report"
import { Failpoint } from "@espalier/engine/Failpoint"
import { Effect } from "effect"
import { hook } from "./failpoint.ts"

NodeRuntime.runMain(
  report(main(process.argv.slice(2), "0.1.0")).pipe(
    Effect.provideService(Failpoint, hook),
    Effect.provide(NodeServices.layer)
  ),
  { disableErrorReporting: true }
)
