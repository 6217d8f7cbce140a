/** What workspaces need: the source, and git itself where the source is in a git repository. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Path from "node:path"
import { makeGit } from "../internal/git.ts"
import { locateRepository } from "../internal/gitRepository.ts"
import * as Requirements from "../Requirements.ts"
import { detect } from "../workspace/Detected.ts"

const install = "Install git 2.25 or newer: apt install git, dnf install git, brew install git"

/** git, by the name or path that the layer runs. */
export const git = (program = "git"): Requirements.Requirement =>
  Requirements.program({ argv: [program, "--version"], name: "git", atLeast: "2.25", remedy: install })

/** git where nothing is known of the source yet: a directory without source control does without it. */
export const optional: Requirements.Requirement = { ...git(), level: "useful" }

/** Which workspace fits the source; and git, when it is the one that needs it. */
export const detected = (source: string): Requirements.Requirement =>
  Requirements.make({
    name: "git",
    check: Effect.gen(function*() {
      const [detection, program] = yield* Effect.all([
        Effect.result(detect({ source, timeLimit: "8 seconds" })),
        git().check
      ], { concurrency: 2 })
      if (Result.isSuccess(detection)) {
        const { kind, why } = detection.success
        return kind === "copy" ? Requirements.ok(`not needed: ${why}`) : program
      }
      const { message, reason } = detection.failure
      // That the source is missing is told by a requirement of its own.
      if (reason._tag === "NotARepository") return Requirements.ok("not needed as long as there is no source")
      return program.state === "ok" ? Requirements.missing(message, null) : program
    })
  })

/** git, and a source in a repository of it: for a workspace that cannot fall back on copies. */
export const repository = (source: string): Requirements.Requirement =>
  Requirements.make({
    name: "git",
    check: Effect.gen(function*() {
      const path = Path.resolve(source)
      const [located, program] = yield* Effect.all([
        Effect.result(locateRepository(makeGit("git", "10 seconds", "8 seconds"), path)),
        git().check
      ], { concurrency: 2 })
      if (Result.isSuccess(located) || program.state !== "ok") return program
      const { message, reason } = located.failure
      if (reason._tag !== "NotARepository") return Requirements.missing(message, null)
      // That the source is missing is told by a requirement of its own.
      return reason.exists
        ? Requirements.missing(
          `${path} is in no git repository`,
          "Make it one (git init, git add, git commit), or choose workspace.kind = \"copy\" or \"detect\""
        )
        : program
    })
  })

/** The directory of the program that is studied. Whether it has what a run can start from is told when one begins. */
export const source = (path: string): Requirements.Requirement =>
  Requirements.directory({
    name: "source directory",
    path,
    access: "read",
    remedy: "Correct source.repository, or create the source there"
  })
