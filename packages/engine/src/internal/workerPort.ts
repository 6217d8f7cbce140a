/**
 * The `CurrentWork` of a handler that runs in a worker: the same service, whose every question and message goes to the
 * real one in the host.
 *
 * Both ends are in this file, because they change together: what crosses when a work is handed over (`PortState`), what
 * may be asked while it runs (`PortCall`), who answers in the host (`perform`) and who asks in the worker (`makeWork`).
 */
import { Effect } from "effect"
import type { CurrentWork, Ended, Message, Port, StopReason } from "../CurrentWork.ts"
import type { Progress } from "../Progress.ts"
import type { Sequenced } from "../RunEvent.ts"
import type { ChildSpec, WorkSpec } from "../WorkSpec.ts"
import { only, type RunError } from "./errors.ts"

type Work = CurrentWork["Service"]

/** What a work knows when it starts. */
export interface PortState {
  readonly runId: string
  readonly attempt: number
  readonly generation: number
  readonly start: number
  /** What `idempotencyKey` puts before a name. */
  readonly keyPrefix: string
  /** Stands for the run as the host has it open: views of it that a worker keeps are good for that long. */
  readonly session: number
  readonly steps: ReadonlyArray<readonly [name: string, result: unknown]>
}

/** What a worker may ask of the host, each answered when what follows is durable. */
export type PortCall =
  | { readonly _tag: "Tell"; readonly message: Message }
  | { readonly _tag: "Acquire"; readonly request: Parameters<Port["acquire"]>[0] }
  | { readonly _tag: "History"; readonly after: number }
  | { readonly _tag: "Enter"; readonly step: string | undefined }
  | { readonly _tag: "Outcome"; readonly id: string }

const sessions = new WeakMap<object, number>()
let lastSession = 0

/** In the host: what to hand over. */
export const stateOf = (work: Work): PortState => {
  const { session, steps } = work.port
  if (!sessions.has(session)) sessions.set(session, ++lastSession)
  return {
    runId: work.runId,
    attempt: work.attempt,
    generation: work.generation,
    start: work.start,
    keyPrefix: work.idempotencyKey(""),
    session: sessions.get(session)!,
    steps: Array.from(steps)
  }
}

/**
 * A worker without a tracer gives its children no trace: then they are below the work's own span, which is the host's.
 */
const traced = (child: ChildSpec, traceparent: string | undefined): ChildSpec =>
  traceparent === undefined || child.spec.traceparent !== undefined
    ? child
    : { ...child, spec: { ...child.spec, traceparent } }

/** In the host: does what the worker asks, and returns the answer. */
export const perform = (
  work: Work,
  call: PortCall,
  traceparent: string | undefined
): Effect.Effect<unknown, RunError> => {
  switch (call._tag) {
    case "Tell": {
      const { message } = call
      return work.port.tell(
        message._tag === "RecordStep"
          ? { ...message, children: message.children.map((child) => traced(child, traceparent)) }
          : message
      )
    }
    case "Acquire":
      return work.port.acquire(call.request)
    case "History":
      return work.history(call.after)
    case "Enter":
      return work.port.enter(call.step)
    case "Outcome":
      return work.port.outcome(call.id)
  }
}

/**
 * In the host: a child that the worker's handler spawned outside of steps. It is told at once, so that it outlives a
 * dead worker.
 */
export const adopt = (work: Work, child: ChildSpec, traceparent: string | undefined): void => {
  work.port.children.push(traced(child, traceparent))
}

/** How a worker reaches the host for one work. */
export interface Line {
  readonly call: (request: PortCall) => Effect.Effect<unknown, RunError>
  readonly report: (progress: Progress | undefined) => void
  readonly spawn: (child: ChildSpec) => void
  readonly stopReason: () => StopReason | undefined
}

/** One object for each session, the latest only: views of the run that handlers keep hang on it. */
let session: { readonly number: number; readonly key: object } | undefined

/** An array that tells what is pushed to it. */
class Told<A> extends Array<A> {
  readonly tell: (item: A) => void
  constructor(tell: (item: A) => void) {
    super()
    this.tell = tell
  }
  static override get [Symbol.species]() {
    return Array
  }
  override push(...items: ReadonlyArray<A>): number {
    for (const item of items) this.tell(item)
    return super.push(...items)
  }
}

/** In the worker: the service that the handler sees, or that the `onCancel` of a cancelled work sees. */
export const makeWork = (
  spec: WorkSpec,
  part: "handler" | "onCancel",
  state: PortState,
  line: Line
): Work => {
  if (session?.number !== state.session) session = { number: state.session, key: {} }
  const children = new Told(line.spawn)
  const port: Port = {
    session: session.key,
    steps: new Map(state.steps),
    used: new Set(),
    get children() {
      if (part === "handler") return children
      throw new Error("onCancel cannot spawn works: nothing of a cancelled work is recorded")
    },
    tell: (message) => Effect.asVoid(line.call({ _tag: "Tell", message })),
    acquire: (request) => Effect.asVoid(line.call({ _tag: "Acquire", request })),
    report: line.report,
    // The host answers with no error; that it cannot be reached any more is one.
    enter: (step) => Effect.orDie(Effect.asVoid(line.call({ _tag: "Enter", step }))),
    outcome: (id) => line.call({ _tag: "Outcome", id }) as Effect.Effect<Ended, RunError>
  }
  return {
    runId: state.runId,
    spec,
    attempt: state.attempt,
    generation: state.generation,
    start: state.start,
    stopReason: Effect.sync(line.stopReason),
    idempotencyKey: (name) => `${state.keyPrefix}${name}`,
    history: (after) =>
      only("JournalError", "RunQuarantined")(
        line.call({ _tag: "History", after }) as Effect.Effect<ReadonlyArray<Sequenced>, RunError>
      ),
    port
  }
}
