/**
 * Places where a process may be made to die, so that crash tests can hit the moments that chance seldom finds.
 *
 * The engine calls the hook at each of them, in the order in which things happen; by default it does nothing. A crash test
 * provides one that kills the process. Names:
 *
 * - `append.before`: decided, not yet durable. `append.after`: durable, not yet acted on.
 * - `step.done <step>`: a step's effect has happened, its record is not yet asked for. `step.recorded <step>`: its record is durable.
 * - `recover.read`: a run's journal was read, nothing was written. `recover.opened`: the resume is recorded, nothing runs yet.
 */
import { Context } from "effect"

/** The hook. */
export const Failpoint = Context.Reference<(name: string) => void>("@espalier/engine/Failpoint", {
  defaultValue: () => (_name) => undefined
})
