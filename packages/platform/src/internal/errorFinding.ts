/**
 * What a reader of error output reports, and which of several reports is the reason. Pure.
 *
 * Programs print many errors and end by one. Which one is told first by how sure it is that a process ended by it, and
 * only then by time: what comes after the end of the first process is mostly the others' complaint about it.
 */

/**
 * How sure it is that the job failed for this:
 *
 * - `ended`: printed by a runtime as it ended the process (an uncaught exception, a panic, a sanitizer's report);
 * - `signalled`: a shell's word for a signal, which says nothing of where and why;
 * - `traced`: an error with its stack, which the program may have survived;
 * - `logged`: the same, under a line of a log: somebody caught it;
 * - `said`: a line that calls itself an error.
 */
export type Sureness = "ended" | "signalled" | "traced" | "logged" | "said"

/** One error that was printed. */
export interface Finding {
  readonly sureness: Sureness
  /** It only tells that another process or thread failed, which has said why itself. */
  readonly derived: boolean
  readonly text: string
  /** The number of the line that it began in. */
  readonly at: number
}

/** Where readers report. An error that is known better now is reported again, with the same `at`. */
export type Report = (finding: Finding) => void

/** Reads lines of one process in order; true when the line belonged to an error that it knows. */
export interface ErrorReader {
  /** `previous`: the line before, whoever it belonged to. */
  line(text: string, at: number, previous: string): boolean
}

const scores: Record<Sureness, number> = { ended: 6, signalled: 5, traced: 4, logged: 2, said: 2 }

const scoreOf = (finding: Finding): number =>
  finding.derived ? Math.min(3, scores[finding.sureness]) : scores[finding.sureness]

/** The findings of one process, the last of each sort. */
export class Findings {
  private readonly kept = new Map<string, Finding>()

  readonly report: Report = (finding) => {
    this.kept.set(`${finding.sureness} ${finding.derived}`, finding)
  }

  /** The reason, with what came before it where it says little itself. */
  best(): (Finding & { readonly score: number }) | undefined {
    const sorted = [...this.kept.values()].sort((a, b) => scoreOf(b) - scoreOf(a) || b.at - a.at)
    const [first] = sorted
    if (first === undefined) return undefined
    const before = first.sureness === "said" || first.sureness === "signalled"
      ? sorted.find((one) => one.sureness === "traced" || one.sureness === "logged")
      : undefined
    const text = before === undefined ? first.text : `${first.text}; before that: ${before.text}`
    return { ...first, text, score: scoreOf(first) }
  }
}

const clip = (text: string, length: number): string => text.length > length ? `${text.slice(0, length)}...` : text

/**
 * "outer, caused by root (at place)"; what is missing or said already is left out. Each part is bounded by itself: a long
 * message must not push the root out of what a person sees.
 */
export const describeError = (
  outer: string,
  root: string | undefined,
  place: string | undefined,
  link = "caused by"
): string => {
  const cause = root === undefined || root === outer ? "" : `, ${link} ${clip(root, 200)}`
  return `${clip(outer, cause === "" ? 400 : 200)}${cause}${place === undefined ? "" : ` (at ${clip(place, 120)})`}`
}

/** Whether a line of a log announces what comes next as an error that somebody caught. */
export const announcesLogged = (line: string): boolean =>
  /(?:^|[\s[(|:])(?:WARN|WARNING|INFO|DEBUG|NOTICE|ERROR|SEVERE)(?:[\s\])|:]|$)/.test(line.slice(0, 120))
