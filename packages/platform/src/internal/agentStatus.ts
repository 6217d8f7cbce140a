/** What the ways mean in which an agent's program says that it has no answer: a status of its provider, or just its end. */
import type { TurnError } from "../CodingAgent.ts"
import type { AgentEnded } from "./agentProcess.ts"
import { meaningOf } from "./httpStatus.ts"

/** The failure that a status stands for. `retryAfterMillis` is null where nobody said how long to wait. */
export const statusFailure = (status: number, detail: string, retryAfterMillis: number | null): TurnError => {
  const meaning = meaningOf(status)
  switch (meaning) {
    case "account-limit":
    case "overloaded":
      return { _tag: "RateLimited", retryAfterMillis, overloaded: meaning === "overloaded", detail }
    case "too-long":
      return { _tag: "Unavailable", reason: "refused", detail: `the prompt is too long for the model: ${detail}` }
    case "none":
      return { _tag: "Unavailable", reason: "failed", detail }
    default:
      return { _tag: "Unavailable", reason: meaning, detail }
  }
}

/** How a program ended that did not say what came of its work. */
export const withoutResult = ({ exitCode, signal, stderr }: AgentEnded): string => {
  const how = exitCode !== null
    ? `with exit code ${exitCode}`
    : signal !== null
    ? `by ${signal}`
    : "together with its supervisor"
  const said = stderr.trim().split("\n").slice(-5).join(" | ").slice(-1000)
  return `its program ended ${how} and no result${said === "" ? "" : `, and said: ${said}`}`
}
