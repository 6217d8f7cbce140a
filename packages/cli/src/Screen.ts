/**
 * The live picture of a run in a terminal: what runs, what waits and why, the best so far, and how long it may still
 * take. A pure function from status and view to lines; `draw` puts them on the screen in place of the last ones.
 */
import { RunStatus } from "@espalier/engine"
import { Experiment, ExperimentTree, type TreeView } from "@espalier/workflow"
import { formatDuration, formatValue } from "./Format.ts"

/** What the screen shows, besides the status. */
export interface Scene {
  readonly name: string
  readonly status: RunStatus.RunStatus
  readonly view: TreeView.TreeView
  readonly remainingMillis: number | undefined
}

const bestLine = ({ tree }: TreeView.TreeView): string => {
  const best = ExperimentTree.best(tree)
  const baseline = ExperimentTree.baseline(tree)
  if (best === undefined || best.value === null) return "best      none yet: the baseline is being measured"
  const { unit } = tree.objective
  if (best.id === baseline?.id) return `best      ${formatValue(best.value, unit)} by the baseline`
  const crowning = best.confirmations.findLast((made) => made.purpose === "crown" && made.better)
  const against = crowning === undefined ? "" : `, x${crowning.ratio.toFixed(2)} against ${crowning.champion}`
  return `best      ${formatValue(best.value, unit)} by ${best.name}${against}: ${Experiment.describeChanges(best.changes)}`
}

/** What a running work is doing, in words. */
const doing = (work: RunStatus.RunningWork): string => {
  if (work.waitingFor !== undefined) return `waits for ${RunStatus.describe(work.waitingFor.reason)}`
  const message = work.progress?.message
  return `${work.state === "running" ? work.step ?? "starts" : work.state}${message === undefined ? "" : `: ${message}`}`
}

/** The lines of the live picture. */
export const lines = ({ name, remainingMillis, status, view }: Scene): ReadonlyArray<string> => {
  const counts = ExperimentTree.counts(view.tree)
  const under = counts.queued + counts.preparing + counts.running + counts.analyzing
  const machine = Object.entries(status.pools).map(([pool, { size, used }]) => `${pool} ${used}/${size}`).join(", ")
  const eta = remainingMillis === undefined ? "" : `, at most ${formatDuration(remainingMillis)} left`
  return [
    `${name}  ${status.state}  ${formatDuration(view.livedMillis)}${eta}`,
    bestLine(view),
    `tree      ${counts.completed} completed, ${counts.failed} failed, ${under} under way; ${view.tree.jobs} jobs; plateau ${view.tree.plateau}`,
    `slots     concurrency ${status.concurrency.used}/${status.concurrency.limit}${machine === "" ? "" : `, ${machine}`}`,
    ...status.running.map((work) =>
      `  ${work.id.replace(/^experiment\//, "").padEnd(14)} ${formatDuration(work.ageMillis).padStart(9)}  ${doing(work)}`
    ),
    ...status.waiting.map((group) =>
      `  ${group.count} ${group.kind} waiting: ${RunStatus.describe(group.reason)}`
    ),
    ...(view.tree.stopped === null ? [] : [`stopped   ${view.tree.stopped}`]),
    ...status.backgroundErrors.slice(-1).map((error) => `problem   ${error}`)
  ]
}

const escape = "\u001b"

/** Control characters out of a job's own text, so that it cannot move the cursor. */
const plain = (line: string): string => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ")

/**
 * A drawer for a terminal. Each call replaces what the last one drew; `columns` is asked anew each time, for terminals are
 * resized. `above` writes lines that stay, over the picture.
 */
export const make = (write: (text: string) => void, columns: () => number) => {
  let height = 0
  const clear = (): string => height === 0 ? "" : `${escape}[${height}A${escape}[0J`
  let last: ReadonlyArray<string> = []
  const picture = (): string => last.map((line) => `${plain(line).slice(0, Math.max(20, columns() - 1))}\n`).join("")
  return {
    draw: (next: ReadonlyArray<string>): void => {
      const before = clear()
      last = next
      height = next.length
      write(before + picture())
    },
    above: (line: string): void => write(`${clear()}${plain(line)}\n${picture()}`),
    erase: (): void => {
      write(clear())
      last = []
      height = 0
    }
  }
}
