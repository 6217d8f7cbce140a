/** What a status of HTTP means that a program passes on from its provider. */
import type { TurnError } from "../CodingAgent.ts"

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
