/**
 * The live picture of a run in a terminal: what runs, what waits and why, the best so far, and how long it may still
 * take. `lines` is a pure function of status and view; `make` puts them on the screen in place of the last ones.
 */
import { RunStatus } from "@espalier/engine"
import { Experiment, ExperimentTree, type TreeView } from "@espalier/workflow"
import { clipLine, formatDuration, formatValue, plainLine } from "./Format.ts"

/**
 * What the screen shows.
 *
 * - `elapsedMillis`: that engines have been alive. `remainingMillis`: see `Follow.remainingMillis`.
 */
export interface Scene {
  readonly name: string
  readonly status: RunStatus.RunStatus
  readonly view: TreeView.TreeView
  readonly elapsedMillis: number
  readonly remainingMillis: number | undefined
}

const bestLine = ({ tree }: TreeView.TreeView): string => {
  const best = ExperimentTree.best(tree)
  const baseline = ExperimentTree.baseline(tree)
  if (best === undefined || best.value === null) {
    return baseline === undefined || !Experiment.isSettled(baseline.status)
      ? "best      none yet: the baseline is to be measured first"
      : `best      none: the baseline ${baseline.status}`
  }
  const { unit } = tree.objective
  if (best.id === baseline?.id) return `best      ${formatValue(best.value, unit)} by the baseline`
  const crowning = best.confirmations.findLast((made) => made.purpose === "crown" && made.better)
  const against = crowning === undefined ? "" : `, x${crowning.ratio.toFixed(2)} against ${crowning.champion}`
  return `best      ${formatValue(best.value, unit)} by ${best.name}${against}: ${
    Experiment.describeChanges(best.changes)
  }`
}

/** What a step is, in words for somebody who has not read how experiments work. */
const stepInWords = (step: string): string => {
  const [phase, ...rest] = step.split(" ")
  const which = rest.join(" ")
  switch (phase) {
    case "prepare":
      return "prepares its source"
    case "build":
      return `builds${which === "" ? "" : ` the ${which}`}`
    case "launch":
      return `starts job ${which}`
    case "poll":
      return `job ${which} runs`
    case "collect":
      return `reads what job ${which} measured`
    case "analyze":
      return "is analyzed"
    case "decide":
      return "decides what comes next"
    case "compare":
      return "compares"
    default:
      return step
  }
}

const reasonInWords = (reason: RunStatus.WaitReason, now: number): string =>
  reason._tag === "Until"
    ? `its next try, in ${formatDuration(Math.max(0, reason.at - now))}`
    : RunStatus.describe(reason)

/** What a running work is doing, in words. */
const doing = (work: RunStatus.RunningWork, now: number): string => {
  if (work.waitingFor !== undefined) return `waits for ${reasonInWords(work.waitingFor.reason, now)}`
  if (work.state !== "running") return work.state
  const step = work.step === undefined ? "starts" : stepInWords(work.step)
  // What a job printed says nothing about the steps that follow it.
  const message = work.step?.startsWith("poll") === true ? work.progress?.message : undefined
  return message === undefined || message === "" ? step : `${step}: ${message}`
}

/** The lines of the live picture, the most important ones first. */
export const lines = ({ elapsedMillis, name, remainingMillis, status, view }: Scene): ReadonlyArray<string> => {
  const counts = ExperimentTree.counts(view.tree)
  const under = counts.queued + counts.preparing + counts.running + counts.analyzing
  const pools = Object.entries(status.pools).map(([pool, { size, used }]) => `, ${pool} ${used}/${size}`).join("")
  const eta = remainingMillis === undefined ? "" : `, up to ${formatDuration(remainingMillis)} left at this pace`
  const jobs = `${view.tree.jobs} ${view.tree.jobs === 1 ? "job" : "jobs"}`
  const nameOf = (work: RunStatus.RunningWork): string => work.id.replace(/^(?:experiment|confirm)\//, "")
  const width = Math.max(8, ...status.running.map((work) => nameOf(work).length))
  return [
    `${name}  ${status.state}  ${formatDuration(elapsedMillis)}${eta}`,
    bestLine(view),
    `tree      ${counts.completed} completed, ${counts.failed} failed, ${under} under way; ${jobs}; plateau ${view.tree.plateau}`,
    `slots     concurrency ${status.concurrency.used}/${status.concurrency.limit}${pools}`,
    ...(view.tree.stopped === null ? [] : [`stopped   ${view.tree.stopped}`]),
    ...status.backgroundErrors.slice(-1).map((error) => `problem   ${error}`),
    ...status.running.map((work) =>
      `  ${nameOf(work).padEnd(width)} ${formatDuration(work.ageMillis).padStart(12)}  ${doing(work, status.at)}`
    ),
    ...status.waiting.map(({ count, kind, reason }) =>
      `  ${count} ${kind}${count === 1 ? " waits" : "s wait"} for ${reasonInWords(reason, status.at)}`
    )
  ]
}

const escape = "\u001b"
const clearLine = `${escape}[K`
const clearBelow = `${escape}[0J`

/**
 * A drawer for a terminal. Each call replaces what the last one drew; the size is asked anew each time, for terminals are
 * resized, and some say 0 when they do not know. `above` writes a line that stays, over the picture.
 */
export const make = (
  write: (text: string) => void,
  size: () => { readonly columns?: number | undefined; readonly rows?: number | undefined }
) => {
  let height = 0
  let last: ReadonlyArray<string> = []
  // From the first column: a terminal echoes ^C where the cursor is.
  const home = (): string => height === 0 ? "\r" : `\r${escape}[${height}A`
  const picture = (): string => {
    const { columns, rows } = size()
    // One less than there is room for: a line that fills the last column, or the last row, scrolls in some terminals.
    const width = Math.max(20, (columns ?? 0) > 0 ? columns! - 1 : 79)
    const most = Math.max(2, (rows ?? 0) > 0 ? rows! - 1 : 23)
    const shown = last.length <= most ? last : [...last.slice(0, most - 1), `  … ${last.length - most + 1} more`]
    height = shown.length
    return shown.map((line) => `${clipLine(plainLine(line), width)}${clearLine}\n`).join("") + clearBelow
  }
  return {
    draw: (next: ReadonlyArray<string>): void => {
      const start = home()
      last = next
      write(start + picture())
    },
    above: (line: string): void => write(`${home()}${clearBelow}${plainLine(line)}\n${picture()}`),
    erase: (): void => {
      write(home() + clearBelow)
      last = []
      height = 0
    }
  }
}
