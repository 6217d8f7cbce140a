/** What git worktrees need: git itself. */
import * as Requirements from "../Requirements.ts"

/** git, by the name or path that the layer runs. */
export const git = (program = "git"): Requirements.Requirement =>
  Requirements.program({
    argv: [program, "--version"],
    name: "git",
    atLeast: "2.25",
    remedy: "Install git 2.25 or newer: apt install git, dnf install git, brew install git"
  })

/** The directory of the program that is studied. Whether it is a repository with a commit is told when a run begins. */
export const source = (path: string): Requirements.Requirement =>
  Requirements.directory({
    name: "source directory",
    path,
    access: "read",
    remedy: "Correct source.repository, or create the source there"
  })
