/** Opens, changes and commits trees, four at a time, for ever, and says each commit: until it is killed. */
import { Effect } from "effect"
import { Workspace } from "../../../src/Workspace.ts"
import * as Detected from "../../../src/workspace/Detected.ts"

const [source, directory, run] = process.argv.slice(2) as [string, string, string]

const lines = Array.from({ length: 400 }, (_, index) => `+line ${index}\n`).join("")

const experiment = Effect.fnUntraced(function*(worker: number, round: number) {
  const workspace = yield* Workspace
  const node = `node-${worker}`
  yield* Effect.scoped(Effect.gen(function*() {
    const tree = yield* workspace.open({ run, node, base: "HEAD" })
    yield* workspace.apply(tree, [
      { _tag: "File", name: "parameters", file: "parameters.json", content: JSON.stringify({ worker, round }) },
      { _tag: "Patch", name: "new", patch: `--- /dev/null\n+++ b/new/${round}.txt\n@@ -0,0 +1,400 @@\n${lines}` },
      { _tag: "Replace", name: "wider", file: "src/main.ts", search: "workers = 1", replace: `workers = ${round}` }
    ])
    const commit = yield* workspace.commit(tree, { message: node, body: `Round ${round}` })
    process.stdout.write(`${node} ${round} ${commit}\n`)
  }))
})

const program = Effect.forEach([0, 1, 2, 3], (worker) =>
  Effect.gen(function*() {
    for (let round = 2;; round++) yield* experiment(worker, round)
  }), { concurrency: "unbounded" }).pipe(Effect.provide(Detected.layer({ source, directory })))

await Effect.runPromise(program)
