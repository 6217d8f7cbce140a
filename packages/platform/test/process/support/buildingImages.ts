/** Builds an image, and lives until it is killed. */
import { Effect } from "effect"
import { Artifacts } from "../../../src/Artifacts.ts"
import * as ContainerImage from "../../../src/artifacts/ContainerImage.ts"

const [tree, options] = process.argv.slice(2) as [string, string]

const program = Effect.flatMap(
  Artifacts,
  (artifacts) => artifacts.build({ tree, commit: "c0ffee", log: `${tree}/build.log` })
).pipe(Effect.provide(ContainerImage.layer(JSON.parse(options) as ContainerImage.Options)))

await Effect.runPromise(program)
