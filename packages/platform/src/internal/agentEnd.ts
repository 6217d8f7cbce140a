/** In which of its ways a call of an agent ended that did not succeed, for its record. */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { AgentError } from "../agent/AgentError.ts"

/** As in `AgentCall`. A call that is interrupted and dies of it has died: that is what somebody has to mend. */
export interface CallEnd {
  readonly error: AgentError | null
  readonly interrupted: boolean
  readonly defect: string | null
}

/** The end of a call that succeeded. */
export const succeeded: CallEnd = { error: null, interrupted: false, defect: null }

/** `redact` takes secrets out of the words of a defect; those of an error are without them already. */
export const endOf = (cause: Cause.Cause<AgentError>, redact: (text: string) => string): CallEnd => {
  const error = Option.getOrNull(Cause.findErrorOption(cause))
  const died = Cause.findDefect(cause)
  return {
    error,
    interrupted: error === null && Cause.hasInterrupts(cause),
    defect: error === null && Result.isSuccess(died) ? redact(wordsOf(died.success)) : null
  }
}

const wordsOf = (defect: unknown): string =>
  defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)
