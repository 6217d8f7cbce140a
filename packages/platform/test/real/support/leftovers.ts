// Which processes are there that have something to do with a directory: by what they were called with, by where they are,
// by what they have in their environment.
import { Effect } from "effect"
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const read = (file: string): string => {
  try {
    return readFileSync(file, "latin1")
  } catch {
    return "" // it has gone
  }
}

const workingDirectory = (pid: string): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ""
  }
}

/** Command lines of living processes that know this text, this process apart. */
export const processesOf = (text: string): ReadonlyArray<string> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((pid) => {
    if (/\) [ZX] /.test(read(`/proc/${pid}/stat`))) return []
    const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")
    const knows = command.includes(text) || read(`/proc/${pid}/environ`).includes(text) ||
      workingDirectory(pid).startsWith(text)
    return knows ? [command] : []
  })

/** A directory for one test. */
export const temporary = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "espalier agent ")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Gives this test file temporary files of its own, so that `homes` are those of its own calls. */
export const ownTemporary = (): { readonly homes: () => ReadonlyArray<string>; readonly remove: () => void } => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "espalier-test-")))
  process.env["TMPDIR"] = directory
  return {
    homes: () => readdirSync(directory).filter((name) => name.startsWith("espalier-agent-")),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}
