// Where the repository's own sources lie. One list, so that no tool checks less than another.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"

/** The repository's directory, without a slash at the end. */
export const root = join(fileURLToPath(new URL("..", import.meta.url)), ".")

/** A path as the repository writes it: relative to its root, with forward slashes. */
export const shown = (file: string): string => relative(root, file).split(sep).join("/")

/** Directories that hold what a tool or a run made. What begins with a dot is nobody's source either. */
const derived = new Set(["node_modules", "dist", "coverage", "runs"])

/** Every file under a directory of the repository for which `wanted` holds, absolute and sorted; none if it is absent. */
export const filesUnder = (directory: string, wanted: (file: string) => boolean): ReadonlyArray<string> => {
  const start = join(root, directory)
  if (!existsSync(start)) return []
  const found: Array<string> = []
  const visit = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.name.startsWith(".")) continue
      if (entry.isDirectory()) {
        if (!derived.has(entry.name)) visit(path)
      } else if (entry.isFile() && wanted(path)) {
        found.push(path)
      }
    }
  }
  visit(start)
  return found.sort()
}

/** What a `package.json` of this repository may say, as far as its tools read it. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>> | null>>
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** One npm workspace: its directory as the repository writes it, and its `package.json`. */
export interface Workspace {
  readonly directory: string
  readonly manifest: Manifest
}

export const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(root, directory, "package.json"), "utf8"))

const workspacesIn = (parent: string): ReadonlyArray<Workspace> =>
  (existsSync(join(root, parent)) ? readdirSync(join(root, parent)).sort() : [])
    .map((name) => `${parent}/${name}`)
    .filter((directory) => existsSync(join(root, directory, "package.json")))
    .map((directory) => ({ directory, manifest: readManifest(directory) }))

/** What is published. */
export const packages = (): ReadonlyArray<Workspace> => workspacesIn("packages")

const benchmarks = "benchmarks"

/** All workspaces but the root. */
export const workspaces = (): ReadonlyArray<Workspace> => [
  ...packages(),
  ...workspacesIn("examples"),
  ...(existsSync(join(root, benchmarks, "package.json"))
    ? [{ directory: benchmarks, manifest: readManifest(benchmarks) }]
    : [])
]
