/**
 * The trace context of whoever asked for a work, as W3C Trace Context writes it
 * (https://www.w3.org/TR/trace-context/#traceparent-header), so that it survives in a spec.
 */
import { Context, Effect, Option, Tracer } from "effect"

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The span that a `traceparent` names; undefined for text that is none. */
export const fromTraceparent = (text: string): Tracer.AnySpan | undefined => {
  const match = pattern.exec(text)
  // All zeros is no id.
  return match === null || /^0+$/.test(match[1]!) || /^0+$/.test(match[2]!) ? undefined : Tracer.externalSpan({
    traceId: match[1]!,
    spanId: match[2]!,
    sampled: (Number.parseInt(match[3]!, 16) & 1) === 1
  })
}

const toTraceparent = ({ sampled, spanId, traceId }: Tracer.AnySpan): string | undefined => {
  const text = `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`
  return pattern.test(text) ? text : undefined
}

const unobserved = Context.get(Context.empty(), Tracer.Tracer)

/** Whether anybody collects spans. Effect makes them all the same, and nobody would ever see them. */
export const isTraced = (context: Context.Context<never>): boolean => Context.get(context, Tracer.Tracer) !== unobserved

/** The `traceparent` of the span around, if there is one that somebody collects. */
export const currentTraceparent: Effect.Effect<string | undefined> = Effect.contextWith((context) =>
  Effect.succeed(isTraced(context) ? traceparentOf(context) : undefined)
)

const traceparentOf = (context: Context.Context<never>): string | undefined => {
  const span = Context.getOption(context, Tracer.ParentSpan)
  return Option.isNone(span) ? undefined : toTraceparent(span.value)
}
