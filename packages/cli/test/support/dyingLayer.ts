// The command with a layer of one's own that dies while it is built.
import { Execution } from "@espalier/platform/Execution"
import { Effect, Layer } from "effect"
import { start } from "../../src/Program.ts"

const dial = () => {
  throw new TypeError("no such socket")
}

start(process.argv.slice(2), { layers: () => ({ execution: Layer.effect(Execution, Effect.sync(dial)) }) })
