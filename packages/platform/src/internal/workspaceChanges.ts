/**
 * Changes of a tree as data: what may be asked for, what came of it, and why one was refused. What a caller needs of
 * it is exported by `Workspace`.
 */
import * as Schema from "effect/Schema"

/** A change of one place in one file: `search` is literal text that must occur exactly once. */
export interface Edit {
  /** Name for messages and records. */
  readonly name: string
  /** Path below the tree, with forward slashes. */
  readonly file: string
  readonly search: string
  readonly replace: string
}

/**
 * A change in one of the three forms in which people and agents write them. A schema, because most of them come out of
 * an agent's answer.
 *
 * - `Replace`: the one place where `search` stands in `file` becomes `replace`; no place or two is a refusal.
 * - `File`: `file` gets this content, whether it exists or not.
 * - `Patch`: a unified diff of any number of files. Every line of context and every removed line must be in the file as
 *   the patch has it. Line numbers and counts of hunks may be wrong, as those of agents are: then the context must occur
 *   once. It creates, deletes, renames and copies files and sets the executable bit; links, repositories and
 *   binary content are refused.
 */
export const Change = Schema.Union([
  Schema.TaggedStruct("Replace", {
    name: Schema.String,
    file: Schema.String,
    search: Schema.String,
    replace: Schema.String
  }),
  Schema.TaggedStruct("File", { name: Schema.String, file: Schema.String, content: Schema.String }),
  Schema.TaggedStruct("Patch", { name: Schema.String, patch: Schema.String })
])
/** See the schema of the same name. */
export type Change = typeof Change.Type

/** A file that differs from the base of its tree. */
export interface ChangedFile {
  /**
   * Path below the tree, with forward slashes. It begins with `../` where the tree is a directory of a repository and the
   * file lies beside it.
   */
  readonly file: string
  readonly change: "added" | "changed" | "deleted"
}

/** What a change did to one file. */
export interface AppliedFile {
  readonly file: string
  readonly change: "added" | "changed" | "deleted" | "renamed"
  /** Where the content was before, for one that was renamed. */
  readonly from?: string | undefined
  /** The executable bit, where the change set it or took it away. */
  readonly executable?: boolean | undefined
}

/** Why a patch was refused. */
export const PatchProblem = Schema.Literals([
  /** It is no unified diff, or contradicts itself. */
  "malformed",
  /** It holds nothing to apply. */
  "empty",
  /** It changes a binary file. */
  "binary",
  /** It makes something that is no plain file: a symbolic link, a submodule. */
  "mode",
  /** A file that it changes is not there. */
  "missing",
  /** A file that it creates is there already. */
  "exists",
  /** The file does not hold the lines that it names. */
  "context",
  /** The file holds the lines that it names more than once, and not where it says. */
  "ambiguous",
  /** It is too long to be read at once, or to look for the places of all its hunks would take too long. */
  "too much"
])
/** See the schema of the same name. */
export type PatchProblem = typeof PatchProblem.Type

/** An edit does not fit the file as it is: its search text must occur exactly once. */
export class EditRejected extends Schema.TaggedError<EditRejected>()("EditRejected", {
  edit: Schema.String,
  file: Schema.String,
  /** How often the search text occurs, overlapping occurrences included; 0 where there is no such file. */
  matches: Schema.Int,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static because(edit: Edit, matches: number, why: string): EditRejected {
    return new EditRejected({
      edit: edit.name,
      file: edit.file,
      matches,
      message: `The edit ${JSON.stringify(edit.name)} does not apply to ${edit.file}: ${why}`
    })
  }
}

/** A patch cannot be applied as it is. Nothing of it, and of the changes that came with it, was applied. */
export class PatchRejected extends Schema.TaggedError<PatchRejected>()("PatchRejected", {
  /** Name of the change. */
  patch: Schema.String,
  /** The file that it failed on; null where it is the patch as a whole. */
  file: Schema.NullOr(Schema.String),
  /** The hunk of that file that it failed on, from 1; null where it is none. */
  hunk: Schema.NullOr(Schema.Int),
  problem: PatchProblem,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static because(
    patch: string,
    problem: PatchProblem,
    why: string,
    at: { readonly file?: string | undefined; readonly hunk?: number | undefined } = {}
  ): PatchRejected {
    const place = at.file === undefined
      ? ""
      : ` to ${JSON.stringify(at.file)}${at.hunk === undefined ? "" : `, hunk ${at.hunk}`}`
    return new PatchRejected({
      patch,
      file: at.file ?? null,
      hunk: at.hunk ?? null,
      problem,
      message: `The patch ${JSON.stringify(patch)} does not apply${place}: ${why}`
    })
  }
}

/** One thing in a tree that the guard does not let pass. */
export const Violation = Schema.Struct({
  /** Path as `changed` has it; null where it is the change as a whole. */
  file: Schema.NullOr(Schema.String),
  problem: Schema.Literals([
    /** Changed, and outside of what may be changed. */
    "outside",
    /** Changed, and among what is denied. */
    "denied",
    /** Larger than one file may be, or the sum of all that was changed is. */
    "too large",
    /** A symbolic link that leads out of the tree, into metadata, or is absolute. */
    "link",
    /** A file that has a second name, which may lie outside of the tree. */
    "hard link",
    /** A pipe, a socket or a device. */
    "special",
    /** A repository of its own, whose files a commit would leave out. */
    "repository",
    /** A name that no path of a change may have. */
    "name",
    /** A file that git was told not to look at, so that a change of it would not be seen. */
    "hidden"
  ]),
  detail: Schema.String
})
/** See the schema of the same name. */
export type Violation = typeof Violation.Type

const shown = 20
const kept = 1000

/**
 * What was changed in a tree, by whomever, goes beyond what the guard allows. `violations` names each (the first 1000),
 * `total` says how many there are.
 */
export class ChangeRefused extends Schema.TaggedError<ChangeRefused>()("ChangeRefused", {
  tree: Schema.String,
  violations: Schema.Array(Violation),
  total: Schema.Int,
  message: Schema.String
}) {
  /** The error with its standard message. */
  static of(tree: string, violations: ReadonlyArray<Violation>): ChangeRefused {
    const lines = violations.slice(0, shown).map(({ detail, file, problem }) =>
      `${file === null ? "the change" : JSON.stringify(file)}: ${problem}, ${detail}`
    )
    const more = violations.length - lines.length
    return new ChangeRefused({
      tree,
      violations: violations.slice(0, kept),
      total: violations.length,
      message: `What was changed in ${tree} is refused: ${lines.join("; ")}${more > 0 ? `; and ${more} more` : ""}. ` +
        `Undo these changes, or allow them`
    })
  }
}
