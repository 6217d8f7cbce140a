/** What the sources of workspaces have in common for tests: a directory of the user's, and how a test lays hands on it. */
import { Effect, Layer, type Scope } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Checkout } from "../../../src/testing/WorkspaceSuite.ts"
import { type Tree, Workspace } from "../../../src/Workspace.ts"

/** A directory for one test, with an empty one in it that is the user's. Removed with the scope. */
export const userDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    const home = fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier test ")))
    const source = Path.join(home, "the source")
    fs.mkdirSync(source)
    return { home, source, write: (file: string, content: string) => put(source, file, content) }
  }),
  ({ home }) => Effect.sync(() => fs.rmSync(home, { recursive: true, force: true }))
)

const put = (directory: string, file: string, content: string): void => {
  const path = Path.join(directory, file)
  fs.mkdirSync(Path.dirname(path), { recursive: true })
  fs.writeFileSync(path, content)
}

export const hash = (content: Buffer | string): string => createHash("sha256").update(content).digest("hex")

/** Changes a file as a program in the tree would. */
const editTree = (tree: Tree, file: string, content: string | undefined) =>
  Effect.sync(() => content === undefined ? fs.rmSync(Path.join(tree.path, file)) : put(tree.path, file, content))

/** The layer that the suite asks for: a workspace on a source, and the user's hands on that. */
export const checkedOut = <Source extends { readonly write: (file: string, content: string) => void }, E>(
  source: Effect.Effect<Source, never, Scope.Scope>,
  workspace: (source: Source) => Layer.Layer<Workspace, E>,
  fingerprint: (source: Source) => string
): Layer.Layer<Workspace | Checkout, E> =>
  Layer.unwrap(Effect.map(source, (source) =>
    Layer.merge(
      workspace(source),
      Layer.succeed(
        Checkout,
        Checkout.of({
          write: (file, content) => Effect.sync(() => source.write(file, content)),
          editTree,
          fingerprint: Effect.sync(() => fingerprint(source))
        })
      )
    )))

/** A test on a source of its own. */
export const onWorkspace = <Source, E, E2>(
  source: Effect.Effect<Source, never, Scope.Scope>,
  layer: (source: Source) => Layer.Layer<Workspace, E2>,
  body: (source: Source, workspace: Workspace["Service"]) => Effect.Effect<void, E, Workspace>
) =>
  Effect.scoped(
    Effect.flatMap(source, (source) =>
      Effect.flatMap(Workspace, (workspace) => body(source, workspace)).pipe(Effect.provide(layer(source))))
  )
