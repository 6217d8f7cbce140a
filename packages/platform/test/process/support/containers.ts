/** A fake docker or podman for one test, and trees to build with it. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Path from "node:path"
import type * as ContainerImage from "../../../src/artifacts/ContainerImage.ts"
import { requestIn, temporary } from "./builds.ts"

export interface FakeEngine {
  readonly home: string
  /** What the engine keeps; `calls` in it has every argument vector that it got. */
  readonly store: string
  readonly options: ContainerImage.Options
  readonly calls: () => ReadonlyArray<ReadonlyArray<string>>
}

/** An engine that is an executable of its own. It lives as long as the scope. */
export const fakeEngine = (engine: "docker" | "podman", faults: ReadonlyArray<string> = []) =>
  Effect.map(temporary, (home): FakeEngine => {
    const [bin, store] = [Path.join(home, "bin"), Path.join(home, "store")]
    fs.mkdirSync(bin)
    fs.mkdirSync(store)
    const program = Path.join(bin, engine)
    const quoted = [process.execPath, Path.join(import.meta.dirname, "fakeEngine.mjs"), engine, store].map(
      (text) => `'${text.replaceAll("'", "'\\''")}'`
    )
    fs.writeFileSync(program, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`, { mode: 0o755 })
    return {
      home,
      store,
      options: {
        engine,
        program,
        environment: { FAKE_FAULTS: faults.join(",") },
        grace: "100 millis"
      },
      calls: () => {
        const file = Path.join(store, "calls")
        const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : []
        return lines.map((line) => JSON.parse(line) as ReadonlyArray<string>)
      }
    }
  })

/** A request for a tree with these files; by default an image of one file. */
export const treeWith = (home: string, commit: string, files: Readonly<Record<string, string>> = {}) =>
  Effect.tap(requestIn(home, commit), ({ tree }) =>
    Effect.sync(() => {
      const all = { Dockerfile: "FROM scratch\nCOPY content /content\n", content: commit, ...files }
      for (const [name, text] of Object.entries(all)) {
        fs.mkdirSync(Path.dirname(Path.join(tree, name)), { recursive: true })
        fs.writeFileSync(Path.join(tree, name), text)
      }
    }))
