/**
 * Runs git under control: a fixed environment, no hooks, no signing, no prompts, no background
 * maintenance, and another try where a second process holds a lock.
 *
 * What the user configured otherwise stays in force on purpose (system, global and repository
 * config): filters such as LFS, line ends, ignore files and `safe.directory` decide what a checkout
 * holds and whether it is clean, and must decide the same here as in the user's own shell. What
 * could run a program, ask a question or write to the user's checkout is overridden on the command
 * line, which beats every file.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Identity } from "../Workspace.ts"
import {
  type CommandNotStarted,
  type CommandTooLoud,
  type CommandTooSlow,
  type Finished,
  runCommand
} from "./command.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

/** Which repository a command works on; without `gitDir`, git looks for it from `directory` upwards. */
export interface GitPlace {
  readonly directory: string
  readonly gitDir?: string | undefined
  readonly workTree?: string | undefined
  readonly indexFile?: string | undefined
}

export interface GitOptions {
  readonly stdin?: string | undefined
  readonly author?: Identity | undefined
  readonly committer?: Identity | undefined
  /** Instant of a commit, in milliseconds since the epoch. */
  readonly atMillis?: number | undefined
  /** Take pathspecs as they are written, without wildcards and magic. */
  readonly literalPaths?: boolean | undefined
}

export interface Git {
  /** Runs to the end; any exit code is a result. */
  readonly attempt: (
    place: GitPlace,
    args: ReadonlyArray<string>,
    options?: GitOptions
  ) => Effect.Effect<Finished, WorkspaceError>
  /** Runs and returns standard output; an exit code other than 0 is `GitFailed`. */
  readonly run: (
    place: GitPlace,
    args: ReadonlyArray<string>,
    options?: GitOptions
  ) => Effect.Effect<string, WorkspaceError>
}

const overrides = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.splitIndex=false",
  "core.pager=cat",
  "core.editor=false",
  "core.quotePath=false",
  "core.askPass=",
  "credential.interactive=false",
  "commit.gpgSign=false",
  "tag.gpgSign=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "color.ui=false",
  "submodule.recurse=false",
  "diff.noprefix=false",
  "diff.mnemonicPrefix=false",
  "worktree.useRelativePaths=false",
  "branch.autoSetupMerge=false",
  "i18n.commitEncoding=UTF-8",
  "advice.addEmbeddedRepo=false",
  "advice.detachedHead=false"
].flatMap((setting) => ["-c", setting])

/**
 * The variables that git gets. Those that would point it at another repository are dropped: they are
 * set when this process was itself started by git, by a hook for example.
 */
const environment = (place: GitPlace, options: GitOptions): NodeJS.ProcessEnv => {
  const kept = Object.entries(process.env).filter(([name]) =>
    !/^GIT_/i.test(name) ||
    (/^GIT_CONFIG_/i.test(name) && !/^GIT_CONFIG_PARAMETERS$/i.test(name)) ||
    // How git finds its parts, where it stops looking for a repository, how it reaches a server for
    // objects that a partial clone left there.
    /^GIT_(?:EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|(?:SSH|SSL|HTTP|PROXY)(?:_\w+)?)$/i.test(name)
  )
  const date = options.atMillis === undefined ? undefined : `@${Math.floor(options.atMillis / 1000)} +0000`
  const set: Record<string, string | undefined> = {
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_DIR: place.gitDir,
    GIT_WORK_TREE: place.workTree,
    GIT_INDEX_FILE: place.indexFile,
    GIT_LITERAL_PATHSPECS: options.literalPaths === true ? "1" : undefined,
    GIT_AUTHOR_NAME: options.author?.name,
    GIT_AUTHOR_EMAIL: options.author?.email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: options.committer?.name,
    GIT_COMMITTER_EMAIL: options.committer?.email,
    GIT_COMMITTER_DATE: date
  }
  return Object.fromEntries([...kept, ...Object.entries(set).filter(([, value]) => value !== undefined)])
}

/**
 * Git has one exit code for everything, so a lock that somebody else holds is known only by what git
 * says. `LC_ALL=C` keeps it English. A compare-and-swap that lost ("but expected") is not among these.
 * Reading the list of worktrees takes no lock at all: it fails on an entry that another git has
 * created and not filled yet.
 */
const isContention = (finished: Finished): boolean =>
  finished.exitCode !== 0 &&
  (/(?:\.lock'?|could not lock config file [^\n]*): File exists/.test(finished.stderr) || isTornEntry(finished.stderr))

/** Whether git failed on an unfinished entry of its list of worktrees. */
export const isTornEntry = (stderr: string): boolean => /failed to read [^\n]*\/worktrees\/[^\n]*/.test(stderr)

/**
 * A runner for one git executable. A lock is waited for as long as `lockWait`, by tries that are 20 ms
 * apart at first and 500 ms at last; one that lives longer was most likely left by a crash. A command may run as
 * long as `timeLimit`: what hangs (a filter that waits for a network or for an answer) would stop the engine for ever.
 */
export const makeGit = (executable: string, lockWait: Duration.Input, timeLimit: Duration.Input): Git => {
  const timeLimitMillis = Duration.toMillis(Duration.fromInputUnsafe(timeLimit))
  const lockRetries = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("500 millis")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ duration: lockWait })
  )
  const attempt: Git["attempt"] = (place, args, options = {}) =>
    runCommand({
      argv: [executable, ...overrides, ...args],
      directory: place.directory,
      environment: environment(place, options),
      stdin: options.stdin,
      timeLimitMillis
    }).pipe(
      Effect.mapError((error) => notRun(executable, args, error)),
      Effect.filterOrFail((finished) => !isContention(finished), (finished) => new Locked(finished)),
      Effect.retry({ schedule: lockRetries, while: (error) => error instanceof Locked }),
      // After the last try the lock is an ordinary failure, whose message names the lock file.
      Effect.catchIf((error) => error instanceof Locked, (error) => Effect.succeed(error.finished))
    )
  const run: Git["run"] = (place, args, options) =>
    Effect.flatMap(attempt(place, args, options), (finished) =>
      finished.exitCode === 0
        ? Effect.succeed(finished.stdout)
        : Effect.fail(gitFailed(args, finished)))
  return { attempt, run }
}

class Locked {
  readonly finished: Finished
  constructor(finished: Finished) {
    this.finished = finished
  }
}

/** The failure of a command, without the settings that every command gets. */
export const gitFailed = (args: ReadonlyArray<string>, finished: Finished): WorkspaceError =>
  WorkspaceError.of({
    _tag: "GitFailed",
    argv: ["git", ...args],
    exitCode: finished.exitCode,
    signal: finished.signal,
    stderr: finished.stderr
  })

const notRun = (
  executable: string,
  args: ReadonlyArray<string>,
  error: CommandNotStarted | CommandTooLoud | CommandTooSlow
): WorkspaceError => {
  switch (error._tag) {
    case "CommandTooLoud":
      return WorkspaceError.of({
        _tag: "GitFailed",
        argv: ["git", ...args],
        exitCode: null,
        signal: null,
        stderr: `it printed more than ${error.limitBytes} bytes and was ended`
      })
    case "CommandTooSlow":
      return WorkspaceError.of({
        _tag: "GitFailed",
        argv: ["git", ...args],
        exitCode: null,
        signal: null,
        stderr: `it did not end within ${Duration.format(Duration.millis(error.limitMillis))} and was ended. ` +
          `Mostly a filter (LFS) waits for a network or a disk that does not answer. Run it by hand to see; ` +
          `a checkout that takes so long needs a longer time limit` +
          (error.stderr.trim() === "" ? "" : `. It had said: ${error.stderr.trim()}`)
      })
    case "CommandNotStarted":
      return error.directoryMissing
        ? WorkspaceError.of({ _tag: "FileFailed", file: "git", operation: "run", detail: error.detail })
        : WorkspaceError.of({ _tag: "GitMissing", executable, detail: error.detail })
  }
}

/** Whose the commits are where nobody said. */
export const nobody: Identity = { name: "Espalier", email: "espalier@localhost" }

/** An identity that git accepts: what would break the header of a commit is dropped, and nothing is left empty. */
export const cleanIdentity = (identity: Identity, fallback: Identity): Identity => {
  const clean = (text: string) => text.replaceAll(/[<>\p{Cc}]+/gu, " ").trim()
  const name = clean(identity.name)
  const email = clean(identity.email)
  // Git also refuses a name of nothing but punctuation.
  return { name: /[\p{L}\p{N}]/u.test(name) ? name : fallback.name, email: email === "" ? fallback.email : email }
}
