/** What the ways mean in which an agent's program says that it has no answer: a status of its provider, or just its end. */
import type { TurnError } from "../CodingAgent.ts"
import type { AgentEnded } from "./agentProcess.ts"

/** The failure that a status stands for. `retryAfterMillis` is null where nobody said how long to wait. */
export const statusFailure = (status: number, detail: string, retryAfterMillis: number | null): TurnError => {
  if (status === 429) return { _tag: "RateLimited", retryAfterMillis, overloaded: false, detail }
  if (status === 529 || status === 503) return { _tag: "RateLimited", retryAfterMillis, overloaded: true, detail }
  if (status === 401 || status === 403) return { _tag: "Unavailable", reason: "unauthorized", detail }
  if (status === 402) return { _tag: "Unavailable", reason: "out-of-credit", detail }
  if (status === 408 || status >= 500) return { _tag: "Unavailable", reason: "unreachable", detail }
  if (status >= 400) return { _tag: "Unavailable", reason: "refused", detail }
  return { _tag: "Unavailable", reason: "failed", detail }
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
