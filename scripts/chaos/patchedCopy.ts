/**
 * A copy of the engine with a fault put into it, for tests of the tests: what is to notice a fault has to be seen noticing it.
 *
 * The copy has the engine's sources and the programs that drive them, and resolves `@espalier/engine` to itself. The tree that
 * it was made from is not touched.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

/** A piece of a source file, which has to be there exactly once, and what takes its place. */
export interface Patch {
  readonly file: string
  readonly find: string
  readonly replace: string
}

const copied = [
  "package.json",
  "packages/engine/package.json",
  "packages/engine/src",
  "packages/engine/test/real",
  "scripts/chaos"
]

export interface PatchedCopy {
  /** Where a file of the repository lies in the copy. */
  readonly path: (file: string) => string
  readonly remove: () => void
}

/** Throws where a patch does not fit: the source has changed, and the patch has to follow it. */
export const patchedCopy = (patches: ReadonlyArray<Patch>): PatchedCopy => {
  const directory = mkdtempSync(join(tmpdir(), "espalier-patched-"))
  const path = (file: string): string => join(directory, file)
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    for (const each of copied) cpSync(join(root, each), path(each), { recursive: true })
    mkdirSync(path("node_modules/@espalier"), { recursive: true })
    symlinkSync(path("packages/engine"), path("node_modules/@espalier/engine"), "junction")
    symlinkSync(join(root, "node_modules/effect"), path("node_modules/effect"), "junction")
    for (const patch of patches) apply(path(patch.file), patch)
  } catch (error) {
    remove()
    throw error
  }
  return { path, remove }
}

const apply = (target: string, { file, find, replace }: Patch): void => {
  const source = readFileSync(target, "utf8")
  const count = source.split(find).length - 1
  if (count !== 1) {
    throw new Error(`a patch of ${file} fits ${count} times, and has to fit once: look for\n${find}`)
  }
  // A function, so that a "$" in the replacement is a dollar.
  writeFileSync(target, source.replace(find, () => replace))
}
