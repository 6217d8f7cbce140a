/**
 * Where everything lies on disk, below the working directory of a run. Only `espalier.toml`, `journal.db`, `jobs/`,
 * `builds/`, `agent/` and the states of plain copies hold anything of their own; the rest are views, and can be made again
 * from the journal.
 */
import * as Path from "node:path"

/** The user's configuration. */
export const configuration = (workdir: string): string => Path.join(workdir, "espalier.toml")

/** The truth. */
export const journal = (workdir: string): string => Path.join(workdir, "journal.db")

/** One folder for each job: its command, output and end. */
export const jobs = (workdir: string): string => Path.join(workdir, "jobs")

/** Working trees of experiments that are under way. */
export const worktrees = (workdir: string): string => Path.join(workdir, "worktrees")

/** The states of a source without source control, where experiments are made in copies of it. */
export const copies = (workdir: string): string => Path.join(worktrees(workdir), ".store")

/** What is told about one node. */
export const node = (workdir: string, id: string): string => Path.join(workdir, "tree", id)

/** The output of a node's build. */
export const buildLog = (workdir: string, id: string): string => Path.join(workdir, "builds", `${id}.log`)

/** What builds made of a commit, kept for the next time that the same is built. */
export const builds = (workdir: string): string => Path.join(workdir, "builds", "cache")

/** What the agent was asked and answered, and what that took: three files for each call. */
export const agent = (workdir: string): string => Path.join(workdir, "agent")

/** Views at the top, by name. */
export const view = (workdir: string, name: string): string => Path.join(workdir, name)
