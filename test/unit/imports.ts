// Reads which modules a TypeScript file imports, from its text: the native compiler has no API for it.
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { root, shown } from "../../scripts/sources.ts"

/** One import or re-export of a module. */
export interface Import {
  readonly specifier: string
  /** True if it is gone when the types are stripped: it pulls nothing in when the program runs. */
  readonly typeOnly: boolean
}

const statement = /^[ \t]*(?:import|export)\s+(type\s+)?(?:[\w$*{}\s,]+?\s+from\s+)?["']([^"'\n]+)["']/gm
const dynamic = /\bimport\(\s*["']([^"'\n]+)["']\s*\)/g
/** A file given to a worker or a process by its URL runs as if it were imported. */
const byUrl = /\bnew URL\(\s*["'](\.[^"'\n]*\.ts)["']\s*,\s*import\.meta\.url\s*\)/g

/** The imports in this text, comments left out. */
export const importsIn = (text: string): ReadonlyArray<Import> => {
  const code = text.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^[ \t]*\/\/.*$/gm, "")
  return [
    ...[...code.matchAll(statement)].map((match) => ({ specifier: match[2] ?? "", typeOnly: match[1] !== undefined })),
    ...[...code.matchAll(dynamic), ...code.matchAll(byUrl)].map((match) => ({
      specifier: match[1] ?? "",
      typeOnly: false
    }))
  ]
}

/** The package of a specifier that is no path: `effect/testing` → `effect`, `@a/b/c` → `@a/b`, `node:fs` → `node:fs`. */
export const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

export const isRelative = (specifier: string): boolean => specifier.startsWith(".")

/** The file that a relative import of `file` means. */
export const target = (file: string, specifier: string): string => resolve(dirname(file), specifier)

/** The imports of every one of these files. */
export const importsOf = (files: ReadonlyArray<string>): ReadonlyMap<string, ReadonlyArray<Import>> =>
  new Map(files.map((file) => [file, importsIn(readFileSync(file, "utf8"))]))

/** The files that run when `entry` is imported: `entry` and all that it imports by path, not as a type only. */
export const reachable = (entry: string): ReadonlySet<string> => {
  const seen = new Set<string>()
  const visit = (file: string) => {
    if (seen.has(file) || !existsSync(file)) return
    seen.add(file)
    for (const { specifier, typeOnly } of importsIn(readFileSync(file, "utf8"))) {
      if (isRelative(specifier) && !typeOnly) visit(target(file, specifier))
    }
  }
  visit(join(root, entry))
  return new Set([...seen].map(shown))
}
