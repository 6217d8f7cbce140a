/** What the cases of the workspace suite share: the source they start from, and how they are written down. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { type Edit, type Guard, type Tree, Workspace } from "../Workspace.ts"

/** The user's own checkout, as the suite plays the user. */
export class Checkout extends Context.Service<Checkout, {
  /** Changes or adds a file and commits nothing. */
  write(file: string, content: string): Effect.Effect<void>
  /** Changes a file of an open tree as a program in it would, past the workspace; `undefined` removes it. */
  editTree(tree: Tree, file: string, content: string | undefined): Effect.Effect<void>
  /** A text that differs when anything of the user's does: files, index, HEAD, branches, stash, config. */
  readonly fingerprint: Effect.Effect<string>
}>()("@espalier/platform/testing/WorkspaceSuite/Checkout") {}

/** The workspace under test. */
export interface Subject {
  /** A fresh workspace on a source whose one commit, on branch `main`, holds these files; with this guard. */
  readonly layer: (files: Readonly<Record<string, string>>, guard: Guard) => Layer.Layer<Workspace | Checkout, unknown>
  /**
   * What `HEAD` is: the last commit that the user made (`committed`), beside which a checkout can be unclean, or the
   * source as it is when somebody asks (`as it stands`).
   */
  readonly head: "committed" | "as it stands"
  /** Whether trees are directories of a real disk, where there are links, pipes and modes. */
  readonly onDisk: boolean
}

/** One thing that holds for every workspace. */
export interface Case {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}

/** Ids of runs and nodes that break what takes them for a path, a ref, an option or a line. */
export const hostileIds: ReadonlyArray<string> = [
  "",
  " ",
  "two words",
  "-rf",
  "--force",
  ".",
  "..",
  "../../outside",
  "/etc/passwd",
  "a/b",
  "a",
  "A",
  "a.lock",
  "a..b",
  "a.",
  ".hidden",
  "@",
  "@{-1}",
  "HEAD",
  "x~1^2:y",
  "star*?[",
  "back\\slash",
  "quote'\"`$(touch x)",
  "line\nend",
  "tab\tnul\0",
  "ünïcödé",
  "u\u0308",
  "ü",
  "日本語",
  "🌳",
  "\ud800",
  "x".repeat(300)
]

/** The source of every case. */
export const files = { "src/main.ts": "const workers = 1\nconst batch = 8\n", "README.md": "A pipeline\n" }

/** An edit that applies to `files`, but for the changes. */
export const edit = (changes: Partial<Edit>): Edit => ({
  name: "wider",
  file: "src/main.ts",
  search: "workers = 1",
  replace: "workers = 4",
  ...changes
})

/** The tag of the reason that an operation fails for. */
export const reasonOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(
    Effect.flip(effect),
    (error: { readonly _tag: string; readonly reason?: { readonly _tag: string } }) => error.reason?._tag ?? error._tag
  )

/** Opens a tree at HEAD. */
export const openAt = (workspace: Workspace["Service"], node: string, run = "run") =>
  Effect.flatMap(workspace.resolve("HEAD"), (base) => workspace.open({ run, node, base }))

/** Writes a case down. */
export type Check = (
  name: string,
  body: (workspace: Workspace["Service"], checkout: Checkout["Service"]) => Effect.Effect<void, unknown>,
  guard?: Guard
) => Case

/** Each case gets a workspace of its own, so they may run in any order and at once. */
export const checkWith = (subject: Subject): Check => (name, body, guard = {}) => ({
  name,
  effect: Effect.gen(function*() {
    yield* body(yield* Workspace, yield* Checkout)
  }).pipe(Effect.provide(subject.layer(files, guard)))
})
