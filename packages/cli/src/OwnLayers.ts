/**
 * Layers of a program's own in the command: what `Program.start` was given, for every command that runs anything.
 */
import type { NodeServices } from "@effect/platform-node/NodeServices"
import type { Autoresearch, Layers } from "@espalier/workflow"
import { Cause, Context, Effect } from "effect"
import { CommandFailed } from "./Project.ts"

/** Makes them for a project. They may need what `NodeServices.layer` gives. */
export type Make = (project: Autoresearch.Project) => Layers.Own<NodeServices>

/** None, unless the program gives some. */
export const OwnLayers = Context.Reference<Make>("@espalier/cli/OwnLayers", { defaultValue: () => () => ({}) })

/** Those for this project. That `layers` throws is the program's own fault, and told as such, with where it was. */
export const forProject = Effect.fnUntraced(function*(project: Autoresearch.Project) {
  const make = yield* OwnLayers
  return yield* Effect.try({
    try: () => make(project),
    catch: (error) =>
      new CommandFailed({
        message:
          `The layers of this program's own could not be made: the \`layers\` that it gave to \`start\` threw.\n${
            Cause.pretty(Cause.die(error))
          }`
      })
  })
})
