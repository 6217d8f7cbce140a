/** An analysis in words, for a terminal. */
import type { RunStatus } from "@espalier/engine"
import { FitProgress, SampleProgress, type Summary } from "./kinds.ts"

const bar = (current: number, total: number): string => {
  const done = Math.floor((20 * current) / total)
  return `[${"#".repeat(done)}${".".repeat(20 - done)}]`
}

const running = (work: RunStatus.RunningWork): string => {
  const { progress } = work
  if (work.state !== "running") return `${work.id}: ${work.state}`
  if (progress === undefined) return `${work.id}: begins`
  const fit = FitProgress.read(work)
  if (fit !== undefined) return `${work.id}: ${progress.current} iterations, loss ${fit.loss.toPrecision(5)}`
  const sample = SampleProgress.read(work)
  if (sample === undefined) return `${work.id}: ${progress.current}`
  const { current, stage, total = current } = progress
  return `${work.id}: ${(stage ?? "").padEnd(8)} ${bar(current, total)} ${current}/${total}, loss ${
    sample.loss.toFixed(4)
  }, divergences ${sample.divergences}, step ${sample.stepSize.toFixed(2)}`
}

/** One line for the run, and one for each work that computes. */
export const lines = (status: RunStatus.RunStatus): ReadonlyArray<string> => {
  const { counts } = status
  const waiting = counts.queued + counts.waiting
  const head = `${status.state}: ${counts.succeeded} works done, ${counts.failed} failed, ${waiting} wait`
  return [head, ...status.running.map((work) => `  ${running(work)}`)]
}

/** The same in one line without what changes all the time, for output that is no terminal. */
export const stages = (status: RunStatus.RunStatus): string =>
  status.running.map(({ id, progress }) => progress?.stage === undefined ? id : `${id} ${progress.stage}`).join(", ")

export const table = ({ acceptance, divergences, draws, estimates }: Summary): string => {
  const rows = [
    ["", "mean", "deviation", "5%", "95%", "R-hat", "effective draws"],
    ...estimates.map(({ deviation, effectiveSize, high, low, mean, name, rHat }) => [
      name,
      ...[mean, deviation, low, high].map((value) => value.toFixed(4)),
      rHat.toFixed(3),
      effectiveSize.toFixed(0)
    ])
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return [
    ...rows.map((row) =>
      row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
        .trimEnd()
    ),
    `${draws} draws, ${divergences} divergences, ${(100 * acceptance).toFixed(0)}% accepted`
  ].join("\n")
}
