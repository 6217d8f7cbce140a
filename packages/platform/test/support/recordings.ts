// Calls of a scripted agent in a tree of their own, recorded in a directory of their own, for each test anew.
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import * as Recorded from "../../src/agent/Recorded.ts"
import * as Scripted from "../../src/agent/Scripted.ts"
import { CodingAgent, type Write } from "../../src/CodingAgent.ts"

/** Of the test that runs: what holds everything, where recordings are, where the agent works. */
export const place = { root: "", tape: "", tree: "" }

beforeEach(() => {
  place.root = fs.mkdtempSync(join(tmpdir(), "espalier-recorded-"))
  place.tape = join(place.root, "tape")
  place.tree = join(place.root, "tree")
  fs.mkdirSync(place.tree)
})
afterEach(() => fs.rmSync(place.root, { recursive: true, force: true }))

export const Summary = Schema.Struct({ summary: Schema.String })
export const done = "{\"summary\":\"done\"}"

export const naive = (directory: string): Write => (file, content) =>
  Effect.sync(() => {
    fs.mkdirSync(join(directory, file, ".."), { recursive: true })
    fs.writeFileSync(join(directory, file), content)
  })

export interface Ask {
  readonly prompt?: string
  readonly phase?: string
  readonly directory?: string
  readonly write?: boolean
  readonly schema?: Schema.Decoder<{ readonly summary: string }>
}

export const ask = (
  { directory = place.tree, phase = "code_change", prompt = "Make it faster.", schema = Summary, write }: Ask = {}
) =>
  Effect.flatMap(CodingAgent, (agent) =>
    agent.run({
      prompt,
      schema,
      directory,
      phase,
      ...(write === true ? { write: naive(directory) } : {})
    }))

const base = () => ({ directory: place.tape, identity: "a script" })

export const record = (
  script: Scripted.Script,
  options: Partial<Recorded.Options> & { readonly mode?: "record" | "replay-or-record" } = {}
) => Recorded.layer({ ...base(), mode: "record", agent: (hooks) => Scripted.layer(script, hooks), ...options })

export const replay = (options: Partial<Recorded.Options> = {}) =>
  Recorded.layer({ ...base(), ...options, mode: "replay" })

export const files = () => fs.existsSync(place.tape) ? fs.readdirSync(place.tape) : []

/** The one recording that there is. */
export const only = () => {
  assert.strictEqual(files().length, 1, files().join(", "))
  return join(place.tape, files()[0]!)
}
