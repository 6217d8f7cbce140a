/**
 * Who has a tree: a record beside each, so that several engines can work in one directory, and a sweep removes what the
 * dead left, and nothing else.
 *
 * The record of the tree `<run>/<node>` is `<run>/.owner-<node>.json`. It names the process, not only by its id, for
 * ids are used again, and the run and node in their own words. Whoever creates the file has the tree.
 *
 * What the dead had is taken over by whoever creates `<record>.after-<hash of the record>`: a text never comes again, so
 * of each there is one successor. That file is renamed over the record, which is there all the time. Should the successor die
 * before, then its own text has a successor in the same way. Nothing is broken open, or put aside and back.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import * as Path from "node:path"
import type { StandingTree } from "../Workspace.ts"
import { codeOf, entryAt, ifThere, replaceFile, takeName, writeAside } from "./files.ts"
import { isAlive, startTicksOf, thisMachine } from "./processTable.ts"
import { WorkspaceError } from "./workspaceErrors.ts"
import { fileOperation, removeIfEmpty } from "./workspaceFiles.ts"

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
  commit: Schema.optionalKey(Schema.String),
  /** At random, so that no text of a record ever comes again. */
  mark: Schema.optionalKey(Schema.String)
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

/** What `removeWhole` gives a tree before it is removed. */
const isRemains = (name: string): boolean => /^\.removed-[0-9a-f]{12}$/.test(name)

/** Whether somebody took this place for a tree. A record that cannot be read says so too: a machine went down over it. */
const isRecorded = async (root: string): Promise<boolean> => (await entryAt(recordOf(root)))?.isFile() === true

/**
 * Whether something stands where a tree would be that nobody wrote down: it is somebody else's. A record is made before its
 * tree and removed after it, so it is asked for before and after. An empty directory is nothing to lose.
 */
const isForeign = async (root: string): Promise<boolean> => {
  if (await isRecorded(root)) return false
  const entry = await entryAt(root)
  if (entry === undefined || (entry.isDirectory() && (await fs.readdir(root)).length === 0)) return false
  return !(await isRecorded(root))
}

const readText = (file: string): Promise<string | undefined> =>
  ifThere(fs.readFile(file, "utf8")).catch((error: unknown) => {
    if (codeOf(error) === "ENOTDIR") return undefined
    throw error
  })

const decoded = (text: string | undefined): TreeRecord | undefined =>
  text === undefined ? undefined : Option.getOrUndefined(decode(text))

const read = async (root: string): Promise<TreeRecord | undefined> => decoded(await readText(recordOf(root)))

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

/** Beside a file of records, by a name that `tidyRun` knows. */
const asideOf = (file: string): string => `${file}.${randomBytes(6).toString("hex")}`

/** Puts a text in a file that does not exist yet, whole: true for one of those who try at once. */
const createWhole = async (file: string, text: string): Promise<boolean> => {
  const aside = asideOf(file)
  await writeAside(aside, text)
  try {
    return await takeName(aside, file, false)
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw error
    // A file system without hard links.
    return await fs.writeFile(file, text, { flag: "wx" }).then(() => true, (refused: unknown) => {
      if (codeOf(refused) === "EEXIST") return false
      throw refused
    })
  } finally {
    await fs.rm(aside, { force: true })
  }
}

const replaceWhole = (file: string, text: string): Promise<void> => replaceFile(file, text, { aside: asideOf(file) })

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
    ...(commit === undefined ? {} : { commit }),
    mark: randomBytes(8).toString("hex")
  })

/** The file that whoever succeeds the owner of a record creates. `text` is the record's. */
export const successorOf = (file: string, text: string): string =>
  `${file}.after-${createHash("sha256").update(text).digest("hex").slice(0, 16)}`

/** A file that cannot be read may be half written where there are no hard links. After so long its writer is dead. */
const writtenWithinMillis = 60_000

const isLeft = async (file: string, record: TreeRecord | undefined, nowMillis: number): Promise<boolean> =>
  record === undefined
    ? nowMillis - ((await entryAt(file))?.mtimeMs ?? nowMillis) > writtenWithinMillis
    : livenessOf(record) === "left"

/** Puts `text` in the place of the record `before`, whose owner is dead. Says who did, where somebody else was faster. */
const takeOver = async (
  file: string,
  before: string,
  text: string,
  nowMillis: number
): Promise<"taken" | "changed" | { readonly by: TreeRecord | undefined }> => {
  const dead: Array<string> = []
  for (let last = before;;) {
    const successor = successorOf(file, last)
    if (!await createWhole(successor, text)) {
      const found = await readText(successor)
      if (found === undefined) return "changed"
      const by = decoded(found)
      if (!await isLeft(successor, by, nowMillis)) return { by }
      dead.push(successor)
      last = found
      continue
    }
    // From here on nobody else replaces this record. But somebody may have, before.
    try {
      if (await readText(file) === before) {
        await fs.rename(successor, file)
        for (const each of dead) await fs.rm(each, { force: true })
        return "taken"
      }
    } catch (error) {
      await fs.rm(successor, { force: true })
      throw error
    }
    await fs.rm(successor, { force: true })
    return "changed"
  }
}

/** More often nobody is overtaken by others who come and go. */
const attempts = 20

/** Claims the record: what was written down before, or who has it. */
const claimRecord = async (
  root: string,
  address: Address,
  nowMillis: number
): Promise<{ readonly before: TreeRecord | undefined } | { readonly owner: string }> => {
  const file = recordOf(root)
  const named = (record: TreeRecord | undefined) => ({
    owner: record === undefined ? "another process" : `process ${record.pid} on ${record.host}`
  })
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      await fs.mkdir(Path.dirname(file), { recursive: true })
      const text = await readText(file)
      const before = decoded(text)
      if (livenessOf(before) !== "left") return named(before)
      const mine = textOf(address, before?.commit, false)
      if (text === undefined) {
        if (await createWhole(file, mine)) return { before }
        continue // Somebody else wrote it first: it is looked at again.
      }
      const result = await takeOver(file, text, mine, nowMillis)
      if (result === "taken") return { before }
      if (result !== "changed") return named(result.by)
    } catch (error) {
      // Somebody else removed the run's directory because it was empty. Then it is looked at again.
      if (codeOf(error) !== "ENOENT") throw error
    }
  }
  return named(undefined)
}

/**
 * Takes a tree for this process. Fails where it is open, here or in another process that lives; what nobody has any more
 * is taken over. Returns what was written down before.
 *
 * What stands there without a record is not taken (`PlaceTaken`): it would be replaced by the tree. `isOurs` is asked
 * about it where a layer can tell otherwise.
 */
export const claimTree = (
  root: string,
  address: Address,
  isOurs: Effect.Effect<boolean, WorkspaceError> = Effect.succeed(false)
): Effect.Effect<TreeRecord | undefined, WorkspaceError> =>
  Effect.gen(function*() {
    const inUse = (owner?: string) =>
      WorkspaceError.of({ _tag: "TreeInUse", path: root, ...(owner === undefined ? {} : { owner }) })
    // Nothing comes between the question and the answer: this process has one thread.
    if (openHere.has(root)) return yield* inUse()
    openHere.add(root)
    const claim = Effect.gen(function*() {
      if ((yield* fileOperation("look at", root, () => isForeign(root))) && !(yield* isOurs)) {
        return yield* WorkspaceError.of({ _tag: "PlaceTaken", path: root })
      }
      const nowMillis = yield* Clock.currentTimeMillis
      const claimed = yield* fileOperation("claim", root, () => claimRecord(root, address, nowMillis))
      return "owner" in claimed ? yield* inUse(claimed.owner) : claimed.before
    })
    return yield* Effect.onError(claim, () => Effect.sync(() => openHere.delete(root)))
  })

/** Takes a tree to remove it; false where somebody has it. */
export const claimLeft = (
  root: string,
  address: Address,
  isOurs?: Effect.Effect<boolean, WorkspaceError>
): Effect.Effect<boolean, WorkspaceError> =>
  claimTree(root, address, isOurs).pipe(
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

/**
 * What stands below the directory of one run: trees, what is left of them, and records without a tree. What nobody wrote
 * down is not among it.
 */
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
    if (!isRemains(Path.basename(path)) && !(await isRecorded(root))) continue
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
      const [, record, successor, aside] =
        /^(\.owner-.+?\.json)(\.after-[0-9a-f]{16})?(\.[0-9a-f]{12})?$/s.exec(name) ?? []
      const root = record === undefined ? undefined : treeOf(Path.join(run, record))
      if (root === undefined || (successor === undefined && aside === undefined)) continue
      const text = await readText(recordOf(root))
      // A successor counts as long as there is the record that it succeeds.
      if (aside === undefined ? text !== undefined : ownerOf(root, decoded(text)) !== "left") continue
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
