/**
 * The states of a work and of a run, in the words of the tables of `docs/life-of-a-work.md`.
 */
import { type Job, type Naive, unsettled } from "./simulatorModel.ts"

/** What a work that waits waits for; when for several things, the first of these. */
const waitingFor = (it: Job): string => {
  if (it.isPaused) return "paused"
  if (it.waitsFor.length > 0 || it.doomed !== undefined) return "dependent"
  return it.hasBegun ? "retrying" : "delayed"
}

export const stateOf = (it: Job | undefined): string => {
  switch (it?.status) {
    case undefined:
      return "absent"
    case "running":
      return it.requests.length > 0 ? "asking" : it.isPaused ? "pausing" : "running"
    case "queued":
      return it.isResumed ? "resumed" : "queued"
    case "waiting":
      return waitingFor(it)
    default:
      return it!.status
  }
}

/** A run that is running, paused or suspended is `busy` when something is not settled, else `idle`. */
export const runStateOf = (naive: Naive): string =>
  naive.run === "running" || naive.run === "paused" || naive.run === "suspended"
    ? `${naive.run} (${unsettled(naive) > 0 ? "busy" : "idle"})`
    : naive.run
