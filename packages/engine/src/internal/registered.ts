/**
 * A kind with the handler that this process has for it, made ready for the hot path.
 */
import { Duration } from "effect"
import type { Any, HandlerService } from "../WorkKind.ts"
import { type Codec, codecOf } from "./codec.ts"

export interface Registered {
  readonly kind: Any
  readonly handler: HandlerService
  readonly payload: Codec
  readonly success: Codec
  readonly error: Codec
  readonly timeoutMillis: number | undefined
  readonly stallMillis: number | undefined
  readonly graceMillis: number
  readonly keepsSlots: boolean
}

const defaultGraceMillis = 30_000

const millis = (duration: Duration.Input | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)

export const register = (kind: Any, handler: HandlerService): Registered => ({
  kind,
  handler,
  payload: codecOf(kind.payload),
  success: codecOf(kind.success),
  error: codecOf(kind.error),
  timeoutMillis: millis(kind.policies.timeout),
  stallMillis: millis(kind.policies.stallAfter),
  graceMillis: millis(kind.policies.grace) ?? defaultGraceMillis,
  keepsSlots: kind.policies.keepSlotsWhenStuck === true
})
