/**
 * A failpoint hook that kills its own process: where `CHAOS_KILL` names a point and a count (`append.after:3`), with SIGKILL
 * when that point is reached for that time. `CHAOS_HITS` names a file that is told of it.
 */
import { appendFileSync } from "node:fs"

const [point = "", times = "1"] = (process.env["CHAOS_KILL"] ?? "").split(":")
let left = Number(times)

/** Whether this process is to die at this place. */
export const isAimedAt = (name: string): boolean => point !== "" && (name === point || name.startsWith(`${point} `))

export const hook = (name: string): void => {
  if (!isAimedAt(name)) return
  left -= 1
  if (left > 0) return
  const log = process.env["CHAOS_HITS"]
  if (log !== undefined) appendFileSync(log, `${point}\n`)
  process.kill(process.pid, "SIGKILL")
  // The signal is delivered before the next turn of the event loop, not before the next line.
  for (;;);
}
