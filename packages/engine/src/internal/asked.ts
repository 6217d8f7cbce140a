/**
 * Who asks for a control and why, in the form that is recorded.
 */
import type { Asked } from "./command.ts"

/** In characters. A longer text is cut, and says so: a control is not refused for its reason. */
const longest = 8_000

const text = (value: unknown, otherwise: string): string => {
  if (value === undefined || value === null) return otherwise
  const all = typeof value === "string" ? value : JSON.stringify(value) ?? String(value)
  return all.length <= longest ? all : `${all.slice(0, longest)}… (${all.length} characters)`
}

export const askedOf = (
  by: { readonly actor?: string; readonly reason?: string } | undefined,
  reason = "asked"
): Asked => ({ actor: text(by?.actor, "user"), reason: text(by?.reason, reason) })
