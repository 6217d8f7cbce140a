/** A directory of its own for a test, without source control, and what the test needs to know of it. */
import { Effect, Layer } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import { Checkout } from "../../../src/testing/WorkspaceSuite.ts"
import { type Guard, type Tree, Workspace } from "../../../src/Workspace.ts"
import * as PlainCopy from "../../../src/workspace/PlainCopy.ts"

export const files = { "src/main.ts": "const workers = 1\n", "README.md": "A pipeline\n" }

export interface CopySource {
  readonly home: string
  readonly source: string
  readonly trees: string
  readonly write: (file: string, content: string) => void
  readonly options: PlainCopy.Options
}

/** Makes a directory with these files. Removed with the scope. */
export const copySource = (content: Readonly<Record<string, string>> = files) =>
  Effect.acquireRelease(
    Effect.sync((): CopySource => {
      const home = fs.realpathSync(fs.mkdtempSync(Path.join(os.tmpdir(), "espalier test ")))
      const source = Path.join(home, "the source")
      fs.mkdirSync(source)
      const write = (file: string, text: string) => {
        fs.mkdirSync(Path.dirname(Path.join(source, file)), { recursive: true })
        fs.writeFileSync(Path.join(source, file), text)
      }
      for (const [file, text] of Object.entries(content)) write(file, text)
      const trees = Path.join(home, "work", "trees")
      return { home, source, trees, write, options: { source, directory: trees } }
    }),
    (source) => Effect.sync(() => fs.rmSync(source.home, { recursive: true, force: true }))
  )

/** Everything of the user's that the engine must leave alone, as one text. */
export const fingerprint = (directory: string): string =>
  fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = Path.join(entry.parentPath, entry.name)
      const { ino, mode, mtimeMs, nlink } = fs.lstatSync(path)
      const content = entry.isFile() ? createHash("sha256").update(fs.readFileSync(path)).digest("hex") : ""
      return `${path} ${ino} ${mode} ${entry.isDirectory() ? "" : `${mtimeMs} ${nlink}`} ${content}`
    })
    .sort().join("\n")

/** Changes a file as a program in the tree would. */
export const editTree = (tree: Tree, file: string, content: string | undefined) =>
  Effect.sync(() => {
    const path = Path.join(tree.path, file)
    if (content === undefined) return fs.rmSync(path)
    fs.mkdirSync(Path.dirname(path), { recursive: true })
    fs.writeFileSync(path, content)
  })

/** The layer that the suite asks for. */
export const subjectLayer = (
  content: Readonly<Record<string, string>>,
  guard: Guard
): Layer.Layer<Workspace | Checkout> =>
  Layer.unwrap(Effect.map(copySource(content), (source) =>
    Layer.merge(
      PlainCopy.layer({ ...source.options, ...guard }),
      Layer.succeed(
        Checkout,
        Checkout.of({
          write: (file, text) => Effect.sync(() => source.write(file, text)),
          editTree,
          fingerprint: Effect.sync(() => fingerprint(source.source))
        })
      )
    )))

/** A test on a directory of its own. */
export const onCopySource = <E>(
  body: (source: CopySource, workspace: Workspace["Service"]) => Effect.Effect<void, E, Workspace>,
  options: (source: CopySource) => Partial<PlainCopy.Options> = () => ({}),
  content: Readonly<Record<string, string>> = files
) =>
  Effect.scoped(Effect.gen(function*() {
    const source = yield* copySource(content)
    const layer = PlainCopy.layer({ ...source.options, ...options(source) })
    yield* Effect.flatMap(Workspace, (workspace) => body(source, workspace)).pipe(Effect.provide(layer))
  }))
