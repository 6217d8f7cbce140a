/**
 * Steering a run from the keyboard of a terminal.
 */
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Queue, type Terminal } from "effect"
import type { PlanRun } from "./acquisition.ts"

const by = { actor: "keyboard" }

/** What a key asks of the run; undefined for other keys. */
export const controlOf = (run: PlanRun, { ctrl, name }: Pick<Terminal.Key, "ctrl" | "name">) => {
  if (ctrl) {
    // A terminal that hands over every key makes no signal of this one.
    return name === "c" ? Effect.sync(() => void process.kill(process.pid, "SIGINT")) : undefined
  }
  switch (name) {
    case "p":
      return run.pause({ ...by, reason: "p was pressed" })
    case "r":
      return run.resume({ ...by, reason: "r was pressed" })
    case "c":
      return run.cancel({ ...by, reason: "c was pressed" })
    case "q":
      return run.suspend({ ...by, reason: "q was pressed" })
    default:
      return undefined
  }
}

/** Obeys the keyboard, for ever; `say` is told what the run did not take. The terminal is itself again afterwards. */
export const obey = (run: PlanRun, say: (text: string) => void): Effect.Effect<never> =>
  Effect.gen(function*() {
    const terminal = yield* NodeTerminal.make(() => false)
    const keys = yield* terminal.readInput
    while (true) {
      const { key } = yield* Queue.take(keys)
      say("")
      const control = controlOf(run, key)
      if (control !== undefined) yield* Effect.catch(control, (error) => Effect.sync(() => say(error.message)))
    }
  }).pipe(
    // The terminal was closed: nobody steers any more, and the plan goes on.
    Effect.catchTag("Done", () => Effect.never),
    Effect.scoped
  )
