/** A directory of its own for a test, without source control, and what the test needs to know of it. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import type { Guard, Workspace } from "../../../src/Workspace.ts"
import * as PlainCopy from "../../../src/workspace/PlainCopy.ts"
import { checkedOut, hash, onWorkspace, userDirectory } from "./source.ts"

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
  Effect.map(userDirectory, ({ home, source, write }): CopySource => {
    for (const [file, text] of Object.entries(content)) write(file, text)
    const trees = Path.join(home, "work", "trees")
    return { home, source, trees, write, options: { source, directory: trees } }
  })

/** Everything of the user's that the engine must leave alone, as one text. */
export const fingerprint = (directory: string): string =>
  fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = Path.join(entry.parentPath, entry.name)
      const { ino, mode, mtimeMs, nlink } = fs.lstatSync(path)
      const content = entry.isFile() ? hash(fs.readFileSync(path)) : ""
      return `${path} ${ino} ${mode} ${entry.isDirectory() ? "" : `${mtimeMs} ${nlink}`} ${content}`
    })
    .sort().join("\n")

/** The layer that the suite asks for. */
export const subjectLayer = (content: Readonly<Record<string, string>>, guard: Guard) =>
  checkedOut(
    copySource(content),
    (source) => PlainCopy.layer({ ...source.options, ...guard }),
    ({ source }) => fingerprint(source)
  )

/** A test on a directory of its own. */
export const onCopySource = <E>(
  body: (source: CopySource, workspace: Workspace["Service"]) => Effect.Effect<void, E, Workspace>,
  options: (source: CopySource) => Partial<PlainCopy.Options> = () => ({}),
  content: Readonly<Record<string, string>> = files
) => onWorkspace(copySource(content), (source) => PlainCopy.layer({ ...source.options, ...options(source) }), body)
