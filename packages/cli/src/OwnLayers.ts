/**
 * Layers of a program's own in the command: what `Program.start` was given, for every command that runs anything.
 */
import type { NodeServices } from "@effect/platform-node/NodeServices"
import type { Autoresearch, Layers } from "@espalier/workflow"
import { Context } from "effect"

/** Makes them for a project. They may need what `NodeServices.layer` gives. */
export type Make = (project: Autoresearch.Project) => Layers.Own<NodeServices>

/** None, unless the program gives some. */
export const OwnLayers = Context.Reference<Make>("@espalier/cli/OwnLayers", { defaultValue: () => () => ({}) })
