/** Claims one tree after the other, each at a moment that others were told too; then says what came of it, and lives on. */
import { Effect } from "effect"
import * as Path from "node:path"
import { claimTree } from "../../../src/internal/workspaceOwners.ts"

const [directory, rounds, beginMillis, everyMillis] = process.argv.slice(2) as [string, string, string, string]

const results: Array<string> = []
for (let round = 0; round < Number(rounds); round++) {
  while (Date.now() < Number(beginMillis) + round * Number(everyMillis)) {
    // Busy, so that all begin in the same moment.
  }
  const node = `node-${round}`
  const claim = claimTree(Path.join(directory, "run", node), { run: "run", node })
  results.push(
    await Effect.runPromise(Effect.match(claim, { onSuccess: () => "taken", onFailure: ({ reason }) => reason._tag }))
  )
}
process.stdout.write(`${JSON.stringify(results)}\n`)
// Until nobody reads any more: a claim is worth what its process is.
process.stdin.resume()
process.stdin.on("end", () => process.exit(0))
