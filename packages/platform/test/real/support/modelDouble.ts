// A model behind a provider's API that makes prepared moves: what is the same in every protocol.
import { httpDouble, sendEvents } from "./httpDouble.ts"

/** Ends the turn with these words. */
export interface Says {
  readonly _tag: "Says"
  readonly text: string
  readonly inputTokens?: number
  readonly outputTokens?: number
}

/** Answers with a failure. */
export interface Fails {
  readonly _tag: "Fails"
  readonly status: number
  /** By which the protocol tells failures apart. */
  readonly code: string
  readonly message?: string
  readonly headers?: Record<string, string>
}

/** What only the protocol at hand has: the model uses a tool. */
interface AnyAct {
  readonly _tag: "Acts"
}

/** What the model does when it is asked. */
export type Move<Act extends AnyAct> = Act | Says | Fails | { readonly _tag: "Hangs" }

export const says = (text: string): Says => ({ _tag: "Says", text })
export const fails = (status: number, code: string, more: Pick<Fails, "message" | "headers"> = {}): Fails => ({
  _tag: "Fails",
  status,
  code,
  ...more
})
export const hangs = { _tag: "Hangs" } as const

/** One provider's protocol. */
export interface Protocol<Body, Act extends AnyAct> {
  readonly path: string
  readonly failure: (code: string, message: string) => unknown
  readonly events: (body: Body, index: number, move: Act | Says) => ReadonlyArray<{ readonly type: string }>
}

/** Makes models of a protocol. Each makes its moves in order; the last one again when it is asked more. */
export const modelDouble =
  <Body, Act extends AnyAct>({ events, failure, path }: Protocol<Body, Act>) => (moves: ReadonlyArray<Move<Act>>) =>
    httpDouble<Body>({
      path,
      answer: (response, body, index) => {
        const move = moves[Math.min(index, moves.length - 1)]!
        if (move._tag === "Hangs") return
        if (move._tag === "Fails") {
          response.writeHead(move.status, { "content-type": "application/json", ...move.headers })
          response.end(JSON.stringify(failure(move.code, move.message ?? `the double says ${move.code}`)))
          return
        }
        sendEvents(response, events(body, index, move))
      }
    })
