/**
 * Layers of a program's own in the command: what `Program.start` was given, for every command that runs anything.
 */
import type { NodeServices } from "@effect/platform-node/NodeServices"
import type { Autoresearch, Layers } from "@espalier/workflow"
import { Cause, Context, Effect, Layer } from "effect"
import { CommandFailed } from "./Project.ts"

/** Makes them for a project. They may need what `NodeServices.layer` gives. */
export type Make = (project: Autoresearch.Project) => Layers.Own<NodeServices>

/** None, unless the program gives some. */
export const OwnLayers = Context.Reference<Make>("@espalier/cli/OwnLayers", { defaultValue: () => () => ({}) })

/** Told as the fault of the program whose layers they are: by the path of its module, with what was thrown and where. */
const broken = (what: string, cause: Cause.Cause<unknown>): CommandFailed =>
  new CommandFailed({
    message: `The layers of this program's own could not be made: ${what} (${process.argv[1] ?? "a module"}).\n${
      Cause.pretty(cause)
    }`
  })

/** The same layer, but a defect while it is built is a failure. What it fails with, and an interruption, stay what they are. */
const guarded = <A>(capability: string, own: Layer.Layer<A, unknown, NodeServices>) =>
  Layer.catchCause(own, (cause) =>
    Layer.effectContext<A, unknown, never>(
      cause.reasons.some(Cause.isDieReason)
        ? Effect.fail(broken(`that of \`${capability}\` died while it was built`, cause))
        : Effect.failCause(cause)
    ))

/** Those for this project. That `layers` throws, or a layer dies while it is built, is the program's own fault. */
export const forProject = Effect.fnUntraced(function*(project: Autoresearch.Project) {
  const make = yield* OwnLayers
  const own = yield* Effect.try({
    try: () => make(project),
    catch: (error) => broken("the `layers` that it gave to `start` threw", Cause.die(error))
  })
  const { agent, artifacts, evidence, execution, workspace } = own
  const layers: Layers.Own<NodeServices> = {
    ...own,
    workspace: workspace && guarded("workspace", workspace),
    artifacts: artifacts && guarded("artifacts", artifacts),
    execution: execution && guarded("execution", execution),
    evidence: evidence && guarded("evidence", evidence),
    agent: agent && guarded("agent", agent)
  }
  return layers
})
