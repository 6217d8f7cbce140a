/**
 * Who has a tree: a record beside each, so that several engines can work in one directory, and a sweep removes what the
 * dead left, and nothing else.
 *
 * The record of the tree `<run>/<node>` is `<run>/.owner-<node>.json`. It names the process, not only by its id, for
 * ids are used again, and the run and node in their own words. Whoever creates the file has the tree.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import type { StandingTree } from "../Workspace.ts"
import { codeOf, entryAt, fileOperation, removeIfEmpty } from "./guardFiles.ts"
import { isAlive, startTicksOf, thisMachine } from "./processTable.ts"
import { WorkspaceError } from "./workspaceErrors.ts"

/** What is written down of a tree. */
export const TreeRecord = Schema.Struct({
  run: Schema.String,
  node: Schema.String,
  /** Null once the tree was closed and stays on purpose. */
  pid: Schema.NullOr(Schema.Int),
  startTicks: Schema.NullOr(Schema.Int),
  host: Schema.String,
  bootId: Schema.NullOr(Schema.String),
  pidNamespace: Schema.NullOr(Schema.String),
  /** Of layers whose trees do not tell it themselves: the commit that the tree stands at, once it is whole. */
  commit: Schema.optionalKey(Schema.String)
})
/** See the schema of the same name. */
export type TreeRecord = typeof TreeRecord.Type

const codec = Schema.fromJsonString(TreeRecord)
const decode = Schema.decodeUnknownOption(codec)
const encode = Schema.encodeSync(codec)

/** Where the record of a tree is. */
export const recordOf = (root: string): string => Path.join(Path.dirname(root), `.owner-${Path.basename(root)}.json`)

/** The tree that a record is of; undefined for any other file. */
const treeOf = (record: string): string | undefined => {
  const name = /^\.owner-(.+)\.json$/s.exec(Path.basename(record))?.[1]
  return name === undefined ? undefined : Path.join(Path.dirname(record), name)
}

const read = async (root: string): Promise<TreeRecord | undefined> => {
  try {
    return Option.getOrUndefined(decode(await fs.readFile(recordOf(root), "utf8")))
  } catch (error) {
    const code = codeOf(error)
    if (code === "ENOENT" || code === "ENOTDIR") return undefined
    throw error
  }
}

/** The record of a tree; undefined where there is none, or none that can be read. */
export const readRecord = (root: string): Effect.Effect<TreeRecord | undefined, WorkspaceError> =>
  fileOperation("read", recordOf(root), () => read(root))

/** The trees that this process has open, in whichever workspace. */
const openHere = new Set<string>()

/** Whether whoever a record names still lives. Where there is no record, nobody asks for the tree. */
const livenessOf = (record: TreeRecord | undefined): "elsewhere" | "left" | "unknown" => {
  if (record === undefined || record.pid === null) return "left"
  const here = thisMachine()
  if (record.host !== here.host) return "unknown"
  if (record.bootId !== here.bootId) return "left"
  // A process of another container on this machine cannot be seen from here.
  if (record.pidNamespace !== here.pidNamespace) return "unknown"
  // This process would know it as open.
  if (record.pid === process.pid) return "left"
  return isAlive(record.pid, record.startTicks) ? "elsewhere" : "left"
}

const ownerOf = (root: string, record: TreeRecord | undefined): StandingTree["owner"] =>
  openHere.has(root) ? "open" : livenessOf(record)

/** Puts a text in a file that does not exist yet: whole, and for one of those who try at once. */
const createWhole = async (file: string, text: string): Promise<void> => {
  const aside = `${file}.${randomBytes(6).toString("hex")}`
  await fs.writeFile(aside, text, { flag: "wx" })
  try {
    await fs.link(aside, file)
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw error
    // A file system without hard links.
    await fs.writeFile(file, text, { flag: "wx" })
  } finally {
    await fs.rm(aside, { force: true })
  }
}

const replaceWhole = async (file: string, text: string): Promise<void> => {
  const aside = `${file}.${randomBytes(6).toString("hex")}`
  await fs.writeFile(aside, text, { flag: "wx" })
  await fs.rename(aside, file)
}

/** Which tree: run and node in their own words. */
export interface Address {
  readonly run: string
  readonly node: string
}

/** The text of a record in this process's name, or in nobody's. */
const textOf = (address: Address, commit: string | undefined, kept: boolean) =>
  encode({
    run: address.run,
    node: address.node,
    pid: kept ? null : process.pid,
    startTicks: kept ? null : startTicksOf(process.pid),
    ...thisMachine(),
    ...(commit === undefined ? {} : { commit })
  })

/**
 * Takes a tree for this process. Fails where it is open, here or in another process that lives; what nobody has any more
 * is taken over. Returns what was written down before.
 */
export const claimTree = (root: string, address: Address): Effect.Effect<TreeRecord | undefined, WorkspaceError> =>
  Effect.gen(function*() {
    const inUse = (owner?: string) =>
      WorkspaceError.of({ _tag: "TreeInUse", path: root, ...(owner === undefined ? {} : { owner }) })
    const file = recordOf(root)
    // Nothing comes between the question and the answer: this process has one thread.
    if (openHere.has(root)) return yield* inUse()
    openHere.add(root)
    const claim = Effect.gen(function*() {
      const before = yield* readRecord(root)
      const owner = livenessOf(before)
      if (owner === "elsewhere" || owner === "unknown") {
        return yield* inUse(`process ${before!.pid} on ${before!.host}`)
      }
      const taken = yield* fileOperation("create", file, async () => {
        await fs.mkdir(Path.dirname(file), { recursive: true })
        const aside = `${file}.${randomBytes(6).toString("hex")}`
        try {
          await fs.rename(file, aside)
          const found = await fs.readFile(aside, "utf8")
          await fs.rm(aside, { force: true })
          // Somebody else was faster in taking it over: it is theirs.
          const now = Option.getOrUndefined(decode(found))
          if (now?.pid !== before?.pid || now?.startTicks !== before?.startTicks) {
            await createWhole(file, found)
            return false
          }
        } catch (error) {
          if (codeOf(error) !== "ENOENT") throw error
        }
        try {
          await createWhole(file, textOf(address, before?.commit, false))
        } catch (error) {
          if (codeOf(error) === "EEXIST") return false
          throw error
        }
        return true
      })
      if (!taken) return yield* inUse("another process")
      return before
    })
    return yield* Effect.onError(claim, () => Effect.sync(() => openHere.delete(root)))
  })

/** Takes a tree to remove it; false where somebody has it. */
export const claimLeft = (root: string, address: Address): Effect.Effect<boolean, WorkspaceError> =>
  claimTree(root, address).pipe(
    Effect.as(true),
    Effect.catchReason("WorkspaceError", "TreeInUse", () => Effect.succeed(false))
  )

/** Writes down of a tree that is open what is known of it now. */
export const noteTree = (
  root: string,
  address: Address,
  commit: string | undefined
): Effect.Effect<void, WorkspaceError> =>
  fileOperation("write", recordOf(root), () => replaceWhole(recordOf(root), textOf(address, commit, false)))

/** Gives a tree back that stays on disk. */
export const leaveTree = (
  root: string,
  address: Address,
  commit: string | undefined
): Effect.Effect<void, WorkspaceError> =>
  fileOperation("write", recordOf(root), () => replaceWhole(recordOf(root), textOf(address, commit, true))).pipe(
    Effect.ensuring(Effect.sync(() => openHere.delete(root)))
  )

/** Forgets a tree that is gone. */
export const forgetTree = (root: string): Effect.Effect<void, WorkspaceError> =>
  fileOperation("remove", recordOf(root), () => fs.rm(recordOf(root), { force: true })).pipe(
    Effect.ensuring(Effect.sync(() => openHere.delete(root)))
  )

/** What stands below the directory of one run: trees, what is left of them, and records without a tree. */
const standingIn = async (run: string): Promise<ReadonlyArray<StandingTree>> => {
  // A link in the place of the run's directory is none of ours.
  if (!(await entryAt(run))?.isDirectory()) return []
  const entries = await fs.readdir(run, { withFileTypes: true })
  const directories = entries.filter((entry) => entry.isDirectory()).map((entry) => Path.join(run, entry.name))
  const recorded = entries.flatMap((entry) => entry.isFile() ? treeOf(Path.join(run, entry.name)) ?? [] : [])
  const found: Array<StandingTree> = []
  for (const path of [...new Set([...directories, ...recorded])].sort()) {
    // What is being made beside a tree belongs to whoever has the tree.
    const root = Path.join(run, Path.basename(path).replace(/^\.making-/, ""))
    const record = await read(root)
    found.push({ path, run: record?.run, node: record?.node, owner: ownerOf(root, record) })
  }
  return found
}

/** Removes what writers of records left that died in the middle, where nobody has the tree; then the run's directory, if empty. */
export const tidyRun = (run: string): Effect.Effect<void, WorkspaceError> =>
  fileOperation("tidy", run, async () => {
    if (!(await entryAt(run))?.isDirectory()) return
    for (const name of await fs.readdir(run)) {
      const record = /^(\.owner-.+\.json)\.[0-9a-f]{12}$/s.exec(name)?.[1]
      const root = record === undefined ? undefined : treeOf(Path.join(run, record))
      if (root === undefined || ownerOf(root, await read(root)) !== "left") continue
      await fs.rm(Path.join(run, name), { force: true })
    }
    await removeIfEmpty(run)
  })

/** The trees of one run, by the directory that they are in. */
export const treesOfRun = (run: string): Effect.Effect<ReadonlyArray<StandingTree>, WorkspaceError> =>
  fileOperation("list", run, () => standingIn(run))

/** The trees of all runs below the directory of a layer. */
export const treesBelow = (directory: string): Effect.Effect<ReadonlyArray<StandingTree>, WorkspaceError> =>
  fileOperation("list", directory, async () => {
    const names = (await entryAt(directory))?.isDirectory() === true ? await fs.readdir(directory) : []
    const found: Array<StandingTree> = []
    // No name of a run begins with a dot: what does is the layer's own.
    for (const name of names.filter((each) => !each.startsWith(".")).sort()) {
      found.push(...await standingIn(Path.join(directory, name)))
    }
    return found
  })
