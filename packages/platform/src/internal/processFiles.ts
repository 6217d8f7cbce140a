/**
 * The files of a local job, and how they are written so that a crash at any moment leaves either the
 * old state or the new one. Shared by the engine and the wrapper, so: `node:` imports only.
 *
 * Every record is written once and never changed, except `system.json`. What each one says is in
 * `processRecords.ts`; in which order they appear is told in `processWrapper.ts`.
 */
import { createHash, randomBytes } from "node:crypto"
import { link, open, rename, stat, unlink } from "node:fs/promises"
import { join } from "node:path"

/** The names of the files in a job's directory. */
export const files = {
  command: "command.json",
  claim: "claim",
  start: "start.json",
  exit: "exit.json",
  cancel: "cancel.json",
  system: "system.json",
  stdout: "stdout.log",
  stderr: "stderr.log",
  metrics: "metrics.jsonl",
  progress: "progress.txt",
  verdict: "verdict.json",
  contenders: "contenders.log",
  wrapper: "wrapper.log"
} as const

/** Names the job's processes in their environment, also when they left its process group. */
export const tokenVariable = "ESPALIER_JOB_TOKEN"
export const directoryVariable = "ESPALIER_JOB_DIR"
/** Where Slurm tells a batch script which job it is. */
export const schedulerVariable = "SLURM_JOB_ID"
/** What the wrapper has to put back into the environment before the job sees it. */
export const restoreVariable = "ESPALIER_WRAPPER_RESTORE"

/**
 * The id of the job of a key, which is also the name of its directory: readable, safe as a file name
 * whatever the key is, and different for different keys.
 */
export const jobId = (key: string): string => {
  const readable = key.replaceAll(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._-]+/, "").slice(0, 48)
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 16)
  return readable === "" ? digest : `${readable}-${digest}`
}

/** Whether this can be the id of a job. Guards the path that is made of it. */
export const isJobId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$/.test(id)

/** The code of a failed system call, as in `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

const writeTemporary = async (directory: string, name: string, content: string, durable: boolean): Promise<string> => {
  const path = join(directory, `.${name}.${process.pid}.${randomBytes(4).toString("hex")}`)
  const file = await open(path, "wx", 0o600)
  try {
    await file.writeFile(content)
    if (durable) await file.sync()
  } finally {
    await file.close()
  }
  return path
}

/** Makes names in a directory durable. */
const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Creates a file with this content unless it exists: true for the one that created it. The name and the
 * content appear together: exclusive creation of the file itself would show others an empty file for a
 * moment, and for ever if its writer died there. So the content gets a hard link, which is exclusive too.
 */
export const createOnce = async (directory: string, name: string, content: string): Promise<boolean> => {
  const temporary = await writeTemporary(directory, name, content, true)
  try {
    await link(temporary, join(directory, name))
    await syncDirectory(directory)
    return true
  } catch (error) {
    // On a network disk an answer may be lost and the request sent again: then it exists, and is ours.
    if (codeOf(error) === "EEXIST") return (await stat(temporary)).nlink > 1
    throw error
  } finally {
    await unlink(temporary)
  }
}

/** Replaces a file at once. `durable`: it is on the disk when this returns. */
export const replace = async (directory: string, name: string, content: string, durable: boolean): Promise<void> => {
  const temporary = await writeTemporary(directory, name, content, durable)
  await rename(temporary, join(directory, name))
  if (durable) await syncDirectory(directory)
}
