// A supervisor that is killed at the very moment at which it would tell of the process that it has started.
import { Effect } from "effect"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/** Loaded before the supervisor. Reports go to descriptor 3; `pids` is written when all that is to be ended is there. */
const mute = `
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
const { writeSync } = fs
const cell = new Int32Array(new SharedArrayBuffer(4))
fs.writeSync = (descriptor, ...rest) => {
  if (descriptor !== 3) return writeSync(descriptor, ...rest)
  while (!fs.statSync("pids", { throwIfNoEntry: false })?.size) Atomics.wait(cell, 0, 0, 5)
  writeSync(fs.openSync("muted", "w"), rest[0])
  process.kill(process.pid, "SIGKILL")
}
syncBuiltinESMExports()
`

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/**
 * Until the scope closes, supervisors that this process starts have that fate: they wait until the program has written
 * `pids` into its directory, write what they would have reported to `muted` beside it, and are killed.
 */
export const muteSupervisors = (home: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.execPath
      const module = join(home, "mute.mjs")
      const program = join(home, "muted-node")
      writeFileSync(module, mute)
      writeFileSync(program, `#!/bin/sh\nexec ${quoted(before)} --import=${quoted(pathToFileURL(module).href)} "$@"\n`)
      chmodSync(program, 0o755)
      process.execPath = program
      return before
    }),
    (before) =>
      Effect.sync(() => {
        process.execPath = before
      })
  )
