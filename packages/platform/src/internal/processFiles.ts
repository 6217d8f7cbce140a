/**
 * The files of a local job, and how they are written so that a crash at any moment leaves either the
 * old state or the new one. Shared by the engine and the wrapper, so: `node:` imports only.
 *
 * Every record is written once and never changed, except `system.json`. What each one says is in
 * `processRecords.ts`; in which order they appear is told in `processWrapper.ts`.
 */
import { createHash } from "node:crypto"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { asideOf, replaceFile, syncDirectory, takeName, writeAside } from "./files.ts"

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

/**
 * Creates a file with this content unless it exists: true for the one that created it. It is on the disk when this
 * returns.
 */
export const createOnce = async (directory: string, name: string, content: string): Promise<boolean> => {
  const path = join(directory, name)
  const aside = asideOf(path)
  try {
    await writeAside(aside, content, { mode: 0o600, durable: true })
    return await takeName(aside, path, true)
  } finally {
    // Also where there was no room for it: the wrapper tries again and again.
    await rm(aside, { force: true })
  }
}

/** Replaces a file at once. `durable`: it is on the disk when this returns. */
export const replace = async (directory: string, name: string, content: string, durable: boolean): Promise<void> => {
  await replaceFile(join(directory, name), content, { mode: 0o600, durable })
  if (durable) await syncDirectory(directory)
}
