#!/usr/bin/env node
/**
 * The program `espalier`.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { main } from "./Cli.ts"
import { report } from "./Report.ts"
import { version } from "./Version.ts"

NodeRuntime.runMain(report(main(process.argv.slice(2), version)).pipe(Effect.provide(NodeServices.layer)), {
  disableErrorReporting: true
})
