/** Opens a tree, dirties it, says so, and then lives until it is killed: what an engine leaves when it dies. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import { Workspace } from "../../../src/Workspace.ts"
import * as GitWorktree from "../../../src/workspace/GitWorktree.ts"

const [repository, directory, run, node] = process.argv.slice(2) as [string, string, string, string]

const program = Effect.gen(function*() {
  const workspace = yield* Workspace
  const tree = yield* workspace.open({ run, node, base: "HEAD" })
  yield* workspace.write(tree, "left.txt", "committed by the attempt that died\n")
  yield* workspace.commit(tree, { message: "left over" })
  yield* workspace.write(tree, "dirty.txt", "not committed\n")
  fs.writeFileSync(Path.join(directory, run, node, "index.lock"), "")
  process.stdout.write("ready\n")
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(GitWorktree.layer({ repository, directory })))

// Without a timer nothing would keep the process alive.
setInterval(() => undefined, 1000)
await Effect.runPromise(program)
