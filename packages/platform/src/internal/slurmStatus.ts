/**
 * How a Slurm job stands, from what its wrapper recorded and what the scheduler says: pure decisions, so that every
 * state can be tested.
 *
 * The wrapper's exit record beats the scheduler where the job ended by itself, because it is exact and stays. The
 * scheduler beats the record where something ended the job, because only it knows what and why.
 */
import { constants } from "node:os"
import type { JobStatus, TerminalStatus } from "../Execution.ts"
import type { Cancel, Claim, Exit, Start } from "./processRecords.ts"
import { statusOfExit } from "./processStatus.ts"
import { isOver, standingOf } from "./slurmStates.ts"
import type { ScriptEnd, Word } from "./slurmText.ts"

/** Everything that is known of one job at `now`. All times in milliseconds since the epoch. */
export interface SlurmFacts {
  readonly now: number
  readonly cancel: Cancel | undefined
  readonly claim: Claim | undefined
  readonly start: Start | undefined
  readonly exit: Exit | undefined
  /** When the job was handed to the scheduler; undefined when no engine knows that it was. */
  readonly submittedAt: number | undefined
  /** What the scheduler says of the submissions of this key; undefined when it was not asked. */
  readonly listing: { readonly asOf: number; readonly words: ReadonlyArray<Word> } | undefined
  /** When the wrapper last gave a sign of life. */
  readonly lastSign: number
  /** Whether the wrapper is known to be dead, because its process could be looked for. */
  readonly isOwnerDead: boolean
  /** Processes of the job that still run though their wrapper is dead, where they can be seen. */
  readonly survivors: ReadonlyArray<number>
}

/** How long what a machine wrote may take until all others see it, and how long a silent wrapper is believed. */
export interface Patience {
  readonly fileDelayMillis: number
  readonly silenceMillis: number
}

/**
 * What follows.
 *
 * - `Status`: this, and it is no verdict: it may change, or the wrapper's record says it for ever.
 * - `AskScheduler`: without the scheduler's word nothing can be said.
 * - `AskEnd`: the scheduler says that it is over: with how its script ended (`scriptEnd`) there is a verdict.
 * - `Forgotten`: the scheduler does not know it any more; accounting may. Without: `otherwise`.
 */
export type Decision =
  | { readonly _tag: "Status"; readonly status: JobStatus }
  | { readonly _tag: "AskScheduler" }
  | { readonly _tag: "AskEnd"; readonly word: Word }
  | { readonly _tag: "Forgotten"; readonly otherwise: TerminalStatus }

/**
 * How long a job that was told to end may be about to end, before its wrapper's record counts alone: a controller that was
 * killed may have lost that it ended, and call it running for many minutes. Longer than Slurm's own grace (KillWait).
 */
const endingMillis = 90_000

const signalNames = new Map<number, string>(
  Object.entries(constants.signals).map(([name, number]) => [number, name] as const).reverse()
)

const queued = (facts: SlurmFacts): { readonly queuedAt?: number } =>
  facts.submittedAt === undefined ? {} : { queuedAt: facts.submittedAt }

/** Whether nothing but the job itself, its own time-out or our own cancel ended it: the record alone says all. */
const isPlain = (exit: Exit): boolean =>
  exit.startError !== null || exit.endedFor === "cancel" || exit.endedFor === "timeout" ||
  (exit.endedFor === null && exit.exitCode === 0)

/** Whether the job ended before anybody killed it: whatever the scheduler wanted came too late. */
const isOwnEnd = (exit: Exit): boolean =>
  exit.endedFor !== "termination" && exit.signal !== "SIGTERM" && exit.signal !== "SIGKILL"

const waitReason = (words: ReadonlyArray<Word>): { readonly reason?: string } => {
  const reason = words.find((one) => one.reason !== null)?.reason
  return reason === undefined || reason === null ? {} : { reason }
}

/** The decision. */
export const decideSlurm = (facts: SlurmFacts, patience: Patience): Decision => {
  const { claim, exit, listing, now, start } = facts
  const status = (status: JobStatus): Decision => ({ _tag: "Status", status })
  const running = status(
    start === undefined ? { _tag: "Pending", ...queued(facts) } : {
      _tag: "Running",
      startedAt: start.startedAt,
      ...queued(facts)
    }
  )
  if (exit !== undefined && isPlain(exit)) return status({ ...statusOfExit(exit), ...queued(facts) })
  if (claim === undefined) return unclaimed(facts, patience)
  // A wrapper that lives needs no scheduler: a look at the queue for each job and second would only press it.
  const silent = now - facts.lastSign
  if (exit === undefined && !facts.isOwnerDead && silent <= patience.silenceMillis) return running
  if (listing === undefined) return { _tag: "AskScheduler" }
  const word = listing.words.find((one) => one.id === claim.schedulerId)
  if (exit !== undefined) {
    const recorded: TerminalStatus = { ...statusOfExit(exit), ...queued(facts) }
    if (word === undefined) {
      return listing.asOf - exit.endedAt > patience.fileDelayMillis
        ? { _tag: "Forgotten", otherwise: recorded }
        : running
    }
    if (isOver(standingOf(word.state))) return { _tag: "AskEnd", word }
    // Of one that ended by itself it can only say that memory was short.
    const bound = isOwnEnd(exit) ? patience.fileDelayMillis : endingMillis
    return now - exit.endedAt > bound ? { _tag: "Forgotten", otherwise: recorded } : running
  }
  if (word === undefined) {
    const since = Math.max(claim.claimedAt, facts.lastSign)
    if (listing.asOf - since <= patience.fileDelayMillis) return running
    return {
      _tag: "Forgotten",
      otherwise: lost(
        facts,
        `its wrapper (process ${claim.pid} on ${claim.host}) gave no sign of life for ${
          Math.round((now - since) / 1000)
        } s, did not record how the job ended, and Slurm does not know the job ${claim.schedulerId} any more`
      )
    }
  }
  const standing = standingOf(word.state)
  if (standing === "running" || standing === "ending") {
    // Its wrapper is seen to be dead, and the controller has not heard of it, nor will soon.
    return facts.isOwnerDead && silent > endingMillis
      ? {
        _tag: "Forgotten",
        otherwise: lost(
          facts,
          `its wrapper (process ${claim.pid} on ${claim.host}) is dead and did not record how the job ended, and Slurm ` +
            `has called the job ${word.id} ${word.state} ever since`
        )
      }
      : running
  }
  if (standing === "waiting") {
    // Put back into the queue after it had run: the claim keeps it from running again.
    return listing.asOf - claim.claimedAt > patience.fileDelayMillis
      ? status(lost(facts, `it was put back into Slurm's queue after it had run (${word.state})`))
      : running
  }
  // The wrapper's record may be on its way over the shared disk.
  return now - Math.max(word.endedAt ?? 0, facts.lastSign) <= patience.fileDelayMillis
    ? running
    : { _tag: "AskEnd", word }
}

const unclaimed = (facts: SlurmFacts, patience: Patience): Decision => {
  const { listing, now, submittedAt } = facts
  if (listing === undefined) return { _tag: "AskScheduler" }
  const pending = (reason: { readonly reason?: string }): Decision => ({
    _tag: "Status",
    status: { _tag: "Pending", ...queued(facts), ...reason }
  })
  const cancelled: TerminalStatus = { _tag: "Cancelled", startedAt: null, endedAt: null, ...queued(facts) }
  const alive = listing.words.filter((one) => !isOver(standingOf(one.state)))
  if (alive.length > 0) return pending(waitReason(alive))
  const over = listing.words.at(-1)
  if (over !== undefined) {
    return now - (over.endedAt ?? 0) <= patience.fileDelayMillis && facts.cancel === undefined
      ? pending({})
      : { _tag: "AskEnd", word: over }
  }
  if (facts.cancel !== undefined) return { _tag: "Status", status: cancelled }
  if (submittedAt === undefined || listing.asOf - submittedAt <= patience.fileDelayMillis) return pending({})
  return {
    _tag: "Forgotten",
    otherwise: lost(
      facts,
      "it never started, and Slurm does not know it any more: it was cancelled and forgotten, its wrapper did not come up, or the scheduler lost it in a crash"
    )
  }
}

const lost = (
  facts: SlurmFacts,
  reason: string,
  more: { readonly cause?: "preempted" | "nodeFailed"; readonly endedAt?: number | null } = {}
): TerminalStatus => ({
  _tag: "Lost",
  reason: facts.survivors.length === 0
    ? reason
    : `${reason}; of the job itself ${facts.survivors.length} processes still run: cancel the job to end them`,
  ...(more.cause === undefined ? {} : { cause: more.cause }),
  ...queued(facts),
  ...(facts.start === undefined ? {} : { startedAt: facts.start.startedAt }),
  ...(more.endedAt === undefined || more.endedAt === null ? {} : { endedAt: more.endedAt })
})

/** The end of a job whose script ended in a way that only the scheduler saw. */
const killed = (
  facts: SlurmFacts,
  word: Word,
  end: ScriptEnd | null,
  what: { readonly timedOut?: true; readonly outOfMemory?: true }
): TerminalStatus => {
  const endedAt = facts.exit?.endedAt ?? word.endedAt ?? facts.now
  // 125 is what Slurm itself says of a step without memory: no signal has that number.
  const signal = facts.exit === undefined
    ? (end === null ? null : signalNames.get(end.signal) ?? null)
    : facts.exit.signal
  return {
    _tag: "Exited",
    exitCode: facts.exit?.exitCode ?? null,
    signal: signal ?? (facts.exit === undefined && what.outOfMemory === true ? "SIGKILL" : signal),
    startedAt: facts.start?.startedAt ?? word.startedAt ?? endedAt,
    endedAt,
    ...what,
    ...queued(facts)
  }
}

const hintOf = (said: string | undefined): string =>
  said === undefined ? "" : `; its log ends with ${JSON.stringify(said)}`

/**
 * A verdict without the scheduler's word, with the last line of the job's log: it may hold why the wrapper did not come
 * up ("no such file", of the Node program), which nobody else says.
 */
export const withLog = (verdict: TerminalStatus, said: string | undefined): TerminalStatus =>
  verdict._tag === "Lost" ? { ...verdict, reason: `${verdict.reason}${hintOf(said)}` } : verdict

/** The verdict over a job that the scheduler says is over. `said`: the last line of what Slurm wrote into the job's log. */
export const judge = (
  facts: SlurmFacts,
  word: Word,
  end: ScriptEnd | null,
  said: string | undefined
): TerminalStatus => {
  const { exit } = facts
  const standing = standingOf(word.state)
  const recorded = (): TerminalStatus | undefined =>
    exit === undefined ? undefined : { ...statusOfExit(exit), ...queued(facts) }
  const hint = hintOf(said)
  const words = `${word.state}${word.reason === null ? "" : `, ${word.reason}`}`
  if (facts.cancel !== undefined && (exit === undefined || !isOwnEnd(exit)) && standing !== "nodeFailed") {
    return {
      _tag: "Cancelled",
      startedAt: facts.start?.startedAt ?? null,
      endedAt: exit?.endedAt ?? word.endedAt,
      ...queued(facts)
    }
  }
  if (exit !== undefined && isOwnEnd(exit) && standing !== "outOfMemory") return recorded()!
  switch (standing) {
    case "outOfMemory":
      return killed(facts, word, end, { outOfMemory: true })
    case "timeLimit":
      return facts.claim === undefined
        ? lost(facts, `it never started: its time was over before (${words})`)
        : killed(facts, word, end, { timedOut: true })
    case "preempted":
      return lost(facts, `Slurm took job ${word.id} its machine away for a more urgent one`, {
        cause: "preempted",
        endedAt: word.endedAt
      })
    case "nodeFailed":
      return lost(facts, `Slurm says of job ${word.id}: ${words}; what it started may still run on that machine`, {
        cause: "nodeFailed",
        endedAt: word.endedAt
      })
    case "cancelled":
      return {
        _tag: "Cancelled",
        startedAt: facts.start?.startedAt ?? null,
        endedAt: exit?.endedAt ?? word.endedAt,
        ...queued(facts)
      }
    case "revoked":
      return lost(facts, `another cluster of the federation took job ${word.id} over`, { endedAt: word.endedAt })
    case "ended":
    case "waiting":
    case "running":
    case "ending": {
      if (exit !== undefined) return recorded()!
      if (facts.claim !== undefined) {
        return lost(
          facts,
          `its wrapper ended without recording how the job ended (Slurm says of it: ${words})${hint}`,
          {
            endedAt: word.endedAt
          }
        )
      }
      const at = word.endedAt ?? facts.now
      return {
        _tag: "Exited",
        exitCode: null,
        signal: null,
        startedAt: at,
        endedAt: at,
        startError: `its wrapper did not come up on its machine (Slurm says: ${words})${hint}`,
        ...queued(facts)
      }
    }
  }
}
