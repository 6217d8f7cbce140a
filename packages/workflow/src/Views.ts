/**
 * The files that a run leaves for people: tables, reports, pictures, and a folder for each node. All are views of the
 * journal: delete them, and `write` makes the same bytes again.
 */
import { Renderer } from "@espalier/platform/Renderer"
import { Effect, FileSystem, Path } from "effect"
import * as Plot from "./Plot.ts"
import * as Report from "./Report.ts"
import type { TreeView } from "./TreeView.ts"
import * as Workdir from "./Workdir.ts"

/** What the reports say beyond the view. */
export interface Titles {
  readonly name: string
  readonly run: string
  readonly repository: string
}

/** Names of the views at the top of the working directory. */
export const names = ["master_table.tsv", "summary.md", "report.md", "progress.png", "hypothesis_tree.png"] as const

/** The texts of all views, by path below the working directory; the pictures as SVG. */
export const texts = (view: TreeView, titles: Titles): ReadonlyMap<string, string> => {
  const { tree } = view
  const options = { ...titles, elapsedMillis: view.livedMillis }
  const files = new Map<string, string>([
    ["master_table.tsv", Report.masterTable(tree)],
    ["summary.md", Report.summaryMarkdown(tree, options)],
    ["report.md", Report.reportMarkdown(tree, options)]
  ])
  for (const node of tree.nodes.values()) {
    const record = view.nodes.get(node.id)
    const analysis = record?.analysis ?? undefined
    const patch = record?.prepared?.patch ?? ""
    if (patch !== "") files.set(`tree/${node.id}/diff.patch`, patch)
    for (const [name, content] of Object.entries(Report.nodeFiles(tree, node, { analysis }))) {
      files.set(`tree/${node.id}/${name}`, content)
    }
    const jobs = view.jobs.filter((job) => job.work === `experiment/${node.id}`)
    if (jobs.length > 0) files.set(`tree/${node.id}/jobs.json`, `${JSON.stringify(jobs, null, 2)}\n`)
  }
  return files
}

/**
 * Writes the views of a run into its working directory, each one whole or not at all; files that are as they should be are
 * left alone. Returns the paths of all views, relative to the directory.
 */
export const write = Effect.fn("Views.write")(function*(workdir: string, view: TreeView, titles: Titles) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const renderer = yield* Renderer
  const files = texts(view, titles)
  for (const [name, content] of files) {
    const file = path.join(workdir, name)
    const before = yield* Effect.option(fs.readFileString(file))
    if (before._tag === "Some" && before.value === content) continue
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    // Two processes may write at the same time: an engine at its end, and whoever asks for a summary.
    const aside = `${file}.${process.pid}.tmp`
    yield* fs.writeFileString(aside, content)
    yield* fs.rename(aside, file)
  }
  yield* renderer.render([
    { file: Workdir.view(workdir, "progress.png"), svg: Plot.progress(view.tree, titles) },
    { file: Workdir.view(workdir, "hypothesis_tree.png"), svg: Plot.hypothesisTree(view.tree, titles) }
  ])
  return [...files.keys(), "progress.png", "hypothesis_tree.png"]
})
