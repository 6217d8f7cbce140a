/**
 * What the files of a job, and the processes, say about it: pure decisions, so that each case can be tested.
 */
import type { JobStatus } from "../Execution.ts"
import type { Cancel, Claim, Exit, Start } from "./processRecords.ts"
import type { Machine } from "./processTable.ts"

/** Whether the wrapper that holds the claim still works; when not, why that is known. */
export type Owner = { readonly _tag: "Alive" } | { readonly _tag: "Dead"; readonly reason: string }

/**
 * A wrapper that cannot be seen from here (another host, another container) is believed as long as it
 * gives a sign of life. It gives one every 5 s; this bound forgives slow shared disks and clocks that differ.
 */
export const silenceMillis = 120_000

/** Whether the processes that this claim speaks of can be seen from here. */
export const isVisible = (claim: Machine, here: Machine): boolean =>
  claim.host === here.host && claim.bootId === here.bootId && claim.pidNamespace === here.pidNamespace

/**
 * Judges the owner of a claim. `isAlive` looks at a process of this machine, and is only asked about claims of
 * this machine; `lastSign` is when the wrapper last wrote (milliseconds since the epoch).
 */
export const judgeOwner = (claim: Claim, here: Machine, facts: {
  readonly now: number
  readonly lastSign: number
  readonly isAlive: (pid: number, startTicks: number | null) => boolean
}): Owner => {
  if (isVisible(claim, here)) {
    return facts.isAlive(claim.pid, claim.startTicks)
      ? { _tag: "Alive" }
      : { _tag: "Dead", reason: `its wrapper (process ${claim.pid}) ended without recording how the job ended` }
  }
  if (claim.host === here.host && claim.bootId !== here.bootId) {
    return {
      _tag: "Dead",
      reason: `the machine ${claim.host} was restarted after the job began, and the end of the job was not recorded`
    }
  }
  const silent = facts.now - facts.lastSign
  return silent <= silenceMillis ? { _tag: "Alive" } : {
    _tag: "Dead",
    reason: `it was started on ${claim.host}, whose processes cannot be seen from ${here.host}, ` +
      `and gave no sign of life for ${Math.round(silent / 1000)} s`
  }
}

/** All that is known of a job. `survivors`: processes of the job that still run though its wrapper is dead. */
export interface Facts {
  readonly claim: Claim | undefined
  readonly start: Start | undefined
  readonly exit: Exit | undefined
  readonly cancel: Cancel | undefined
  readonly owner: Owner
  readonly survivors: ReadonlyArray<number>
}

/**
 * The status that follows.
 *
 * The exit record beats all else. Without it, and with the wrapper dead, a job that somebody cancelled is
 * cancelled once nothing of it runs; any other is lost: its exit code went with the wrapper.
 */
export const decideStatus = (facts: Facts): JobStatus =>
  facts.claim === undefined ? decide(facts) : { ...decide(facts), queuedAt: facts.claim.claimedAt }

const decide = (facts: Facts): JobStatus => {
  const { cancel, claim, exit, owner, start, survivors } = facts
  if (exit !== undefined) return statusOfExit(exit)
  if (claim === undefined) {
    // The wrapper looks for a cancel after it has the claim: one that comes later will not run the job either.
    return cancel === undefined ? { _tag: "Pending" } : { _tag: "Cancelled", startedAt: null, endedAt: null }
  }
  if (owner._tag === "Alive") {
    return start === undefined ? { _tag: "Pending" } : { _tag: "Running", startedAt: start.startedAt }
  }
  if (survivors.length > 0) {
    const still = survivors.length === 1
      ? `process ${survivors[0]} still runs`
      : `${survivors.length} processes still run`
    return { _tag: "Lost", reason: `${owner.reason}; of the job itself ${still}: cancel the job to end it` }
  }
  return cancel === undefined
    ? { _tag: "Lost", reason: owner.reason }
    : { _tag: "Cancelled", startedAt: start?.startedAt ?? null, endedAt: null }
}

/** The status that an exit record stands for. */
export const statusOfExit = (
  exit: Exit
): typeof JobStatus.cases.Exited.Type | typeof JobStatus.cases.Cancelled.Type => {
  if (exit.endedFor === "cancel") return { _tag: "Cancelled", startedAt: exit.startedAt, endedAt: exit.endedAt }
  return {
    _tag: "Exited",
    exitCode: exit.exitCode,
    signal: exit.signal,
    startedAt: exit.startedAt ?? exit.endedAt,
    endedAt: exit.endedAt,
    ...(exit.endedFor === "timeout" ? { timedOut: true } : {}),
    ...(exit.endedFor === "termination" ? { terminated: true } : {}),
    ...(exit.outOfMemory ? { outOfMemory: true } : {}),
    ...(exit.startError === null ? {} : { startError: exit.startError.message })
  }
}
