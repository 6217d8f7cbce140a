/** What one turn's failure is to the caller of an agent: a typed error whose message says what to do. */
import {
  type AgentError,
  AgentLimitReached,
  AgentRateLimited,
  AgentUnavailable,
  type UnavailableReason
} from "../agent/AgentError.ts"
import type { TurnError } from "../CodingAgent.ts"

const remedies: Record<UnavailableReason, string> = {
  "not-installed": "Install it, or correct the configuration of the agent",
  unauthorized: "Give the agent a key that its provider accepts",
  "out-of-credit": "Pay for more, or use another account",
  refused: "Correct the model or the prompt",
  unreachable: "Look at the network and at the state of the provider, and ask again",
  failed: "Ask again; if it stays, run the agent by hand in the same directory"
}

/** An option of the layer that no call can be made with. */
export const optionRefused = (detail: string): TurnError => ({
  _tag: "Unavailable",
  reason: "refused",
  detail,
  remedy: "Correct the options of the agent"
})

/** The error, for a call that has used this much. */
export const turnFailed = (error: TurnError, call: Pick<AgentError, "phase" | "usage" | "costUsd">): AgentError => {
  switch (error._tag) {
    case "RateLimited": {
      const { overloaded = false, retryAfterMillis } = error
      const wait = retryAfterMillis === null ? "Wait" : `Wait ${Math.ceil(retryAfterMillis / 1000)} s`
      const what = overloaded ? "provider of the agent is overloaded" : "agent is rate limited"
      return new AgentRateLimited({
        ...call,
        retryAfterMillis,
        overloaded,
        message:
          `The ${what} in phase ${call.phase} (${error.detail}). ${wait}, or lower the concurrency of agent calls`
      })
    }
    case "LimitReached":
      return new AgentLimitReached({
        ...call,
        limit: error.limit,
        detail: error.detail,
        message: `The agent's call in phase ${call.phase} was ended at its limit of ${error.limit}: ${error.detail}. ` +
          "Raise the limit, or ask for less"
      })
    case "Unavailable": {
      const { detail, reason = "failed", remedy = remedies[reason] } = error
      return new AgentUnavailable({
        ...call,
        reason,
        detail,
        message: `The agent cannot be used in phase ${call.phase} (${reason}): ${detail}. ${remedy}`
      })
    }
  }
}
