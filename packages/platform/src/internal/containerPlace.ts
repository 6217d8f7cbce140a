/** Where in a tree an image is built from. A tree holds what an agent wrote: links in it may point anywhere. */
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import type { Options } from "../artifacts/ContainerImage.ts"
import { isMissing } from "./commandOutputs.ts"

/** The tree does not hold what the build needs, or holds it elsewhere. */
export class PlaceRefused extends Error {}

const below = async (tree: string, path: string): Promise<string | undefined> => {
  const real = await fs.realpath(Path.join(tree, path)).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (real === undefined || real === tree || real.startsWith(`${tree}${Path.sep}`)) return real
  throw new PlaceRefused(`${JSON.stringify(path)} leads out of the tree, to ${real}`)
}

// The engine's own order, so that the same tree gives the same image as by hand.
const usual = { docker: ["Dockerfile", "Containerfile"], podman: ["Containerfile", "Dockerfile"] } as const

/** Real paths of the Dockerfile and of the directory that is sent to the engine. */
export const placeOfBuild = async (
  options: Options,
  tree: string
): Promise<{ readonly file: string; readonly context: string }> => {
  const root = await fs.realpath(tree)
  const context = await below(root, options.context ?? ".")
  if (context === undefined) {
    throw new PlaceRefused(`there is no directory ${JSON.stringify(options.context)} in the tree`)
  }
  const candidates = options.file === undefined
    ? usual[options.engine].map((name) => Path.join(options.context ?? ".", name))
    : [options.file]
  for (const candidate of candidates) {
    const file = await below(root, candidate)
    if (file !== undefined) return { file, context }
  }
  throw new PlaceRefused(`there is no ${candidates.join(" or ")} in the tree`)
}
