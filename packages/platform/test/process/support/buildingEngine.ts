/** Starts a build that never ends, and lives until it is killed. */
import { Effect } from "effect"
import { Artifacts } from "../../../src/Artifacts.ts"
import * as Command from "../../../src/artifacts/Command.ts"

const [tree, script] = process.argv.slice(2) as [string, string]

const program = Effect.flatMap(
  Artifacts,
  (artifacts) => artifacts.build({ tree, commit: "c0ffee", log: `${tree}/build.log` })
).pipe(Effect.provide(Command.layer({ argv: [process.execPath, "-e", script], grace: "100 millis" })))

await Effect.runPromise(program)
