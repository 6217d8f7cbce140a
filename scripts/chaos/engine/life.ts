/**
 * One process of the campaign: its start, and how it ends.
 */
import { spawn } from "node:child_process"
import { statSync } from "node:fs"
import { join } from "node:path"

export interface Setting {
  readonly journal: string
  readonly run: string
  readonly notes: string
  readonly works: number
  readonly retain: number | undefined
  /** The file that failpoints tell before they kill. */
  readonly hits: string
}

/** How a process is to die: at a moment of its own choosing, or at a named place. */
export type Death =
  | { readonly _tag: "None" }
  | { readonly _tag: "Point"; readonly point: string; readonly times: number; readonly closeAfter: number | undefined }
  /** So long after its start, or after it has opened the run. */
  | { readonly _tag: "Moment"; readonly from: "start" | "opened"; readonly afterMillis: number }
  /** In the middle of an orderly end, which begins so long after the run is open. */
  | { readonly _tag: "Closing"; readonly afterMillis: number; readonly thenMillis: number }

export type End =
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Completed" | "Suspended"; readonly counts: { readonly [state: string]: number } }
  | { readonly _tag: "Broken"; readonly what: string }

/** A life in which nothing happens any more for so long hangs. */
const patienceMillis = 60_000

export const live = (setting: Setting, death: Death): Promise<End> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [
      "--conditions=espalier-source",
      join(import.meta.dirname, "child.ts"),
      setting.journal,
      setting.run,
      setting.notes,
      String(setting.works),
      ...(setting.retain === undefined ? [] : [String(setting.retain)])
    ], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        CHAOS_HITS: setting.hits,
        CHAOS_KILL: death._tag === "Point" ? `${death.point}:${death.times}` : "",
        CHAOS_CLOSE: death._tag === "Point" ? String(death.closeAfter ?? Infinity) : String(Infinity)
      }
    })
    const timers: Array<NodeJS.Timeout> = []
    const later = (millis: number, what: () => void): void => void timers.push(setTimeout(what, millis))
    const kill = (): void => void child.kill("SIGKILL")
    let output = ""
    let isOpen = false
    let isHanging = false

    if (death._tag === "Moment" && death.from === "start") later(death.afterMillis, kill)
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (isOpen || !output.includes("opened")) return
      isOpen = true
      if (death._tag === "Moment" && death.from === "opened") later(death.afterMillis, kill)
      if (death._tag === "Closing") {
        later(death.afterMillis, () => {
          child.kill("SIGTERM")
          later(death.thenMillis, kill)
        })
      }
    })
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()))

    let size = -1
    const watch = setInterval(() => {
      const now = statSync(setting.notes, { throwIfNoEntry: false })?.size ?? 0
      if (now === size) {
        isHanging = true
        kill()
      }
      size = now
    }, patienceMillis)

    child.once("close", (code, signal) => {
      for (const timer of timers) clearTimeout(timer)
      clearInterval(watch)
      if (isHanging) return resolve({ _tag: "Broken", what: `nothing happened for ${patienceMillis / 1_000} s` })
      if (signal === "SIGKILL") return resolve({ _tag: "Killed" })
      const last = output.trimEnd().split("\n").at(-1) ?? ""
      if (code !== 0 || !last.startsWith("{")) {
        return resolve({
          _tag: "Broken",
          what: `it ended with exit code ${code}, signal ${signal}: ${output.slice(-3_000)}`
        })
      }
      const { counts, end } = JSON.parse(last) as {
        readonly end: string
        readonly counts: { readonly [state: string]: number }
      }
      resolve({ _tag: end === "completed" ? "Completed" : "Suspended", counts })
    })
  })
