/**
 * Options of a layer that cannot mean what was meant. A pattern of `denied` that matches nothing protects nothing, and nobody
 * would notice: so it is refused, as is every other that can match no path.
 */
import * as Effect from "effect/Effect"
import type { Guard } from "../Workspace.ts"
import { mistakeIn } from "./glob.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

interface Options extends Guard {
  readonly directory?: string | undefined
  readonly source?: string | undefined
  readonly repository?: string | undefined
  readonly excluded?: ReadonlyArray<string> | undefined
  readonly ignored?: ReadonlyArray<string> | undefined
  readonly maxSourceBytes?: number | undefined
}

/** Why a pattern is refused, and what to write instead; undefined where it can match a path below the tree. */
const whyPattern = (field: "editable" | "denied" | "ignored", pattern: string): string | undefined => {
  if (pattern.trim() === "") return "it is empty. Name a path below the tree, or leave it out"
  if (pattern.includes("\0")) return "it contains a NUL character, which no path does"
  if (pattern.startsWith("!")) {
    const instead = field === "editable" ? "Name what may not be changed in denied" : "Name only what is meant"
    return `it begins with "!", which negates nothing here. ${instead}, or write \\! for a name that begins so`
  }
  if (/\\(?![*?[\]{},!\\^-])/.test(pattern)) {
    return "it contains a backslash, which only takes the meaning from the character behind it. Separate names by /"
  }
  const parts = pattern.split("/").filter((part) => part !== "" && part !== ".")
  if (parts.length === 0 && field !== "editable") return "it names the tree itself. For all that is in it, write **"
  if (/(?:^|[/{,])\.\.(?:$|[/},])/.test(pattern)) {
    return "it contains \"..\", and no path below the tree does. Name it by its plain path"
  }
  return mistakeIn(pattern)
}

/** Why a directory is refused; undefined where there can be one of that name. An empty one would be where the engine was started. */
const whyPath = (path: string): string | undefined =>
  path === ""
    ? "it is empty. Name a directory"
    : path.includes("\0")
    ? "it contains a NUL character, which no path does"
    : undefined

/** Fails where an option can never do what it is there for. */
export const requireOptions = (options: Options): Effect.Effect<void, WorkspaceError> => {
  const refuse = (field: string, value: string, why: string) =>
    Effect.fail(WorkspaceError.of({ _tag: "OptionRefused", field, value, why }))
  for (const field of ["directory", "source", "repository"] as const) {
    const path = options[field]
    const why = path === undefined ? undefined : whyPath(path)
    if (why !== undefined) return refuse(field, JSON.stringify(path), why)
  }
  for (const path of options.excluded ?? []) {
    const why = whyPath(path) ??
      (/^(?:\.\/*)+$/.test(path)
        ? "it names the source itself, of which nothing would be left. Name a place in it"
        : undefined)
    if (why !== undefined) return refuse("excluded", JSON.stringify(path), why)
  }
  for (const field of ["editable", "denied", "ignored"] as const) {
    for (const pattern of options[field] ?? []) {
      const why = whyPattern(field, pattern)
      if (why !== undefined) return refuse(field, JSON.stringify(pattern), why)
    }
  }
  for (const field of ["maxFileBytes", "maxChangeBytes", "maxSourceBytes"] as const) {
    const value = options[field]
    if (value === undefined || value === Infinity || (Number.isSafeInteger(value) && value >= 0)) continue
    return refuse(field, String(value), "it is no number of bytes. Give a whole number from 0, or leave it out")
  }
  return Effect.void
}
