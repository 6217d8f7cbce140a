/**
 * The calls of the coding agent, kept as files: what it was asked, what it answered, and what that took. They are for people,
 * and for whoever adds up costs: nothing reads them again, and a call never fails for want of them.
 *
 * ```
 * <directory>/<time>_<phase>_prompt.md   the prompt; where there was a repair, that one too
 *             <time>_<phase>_output.md   the texts that came back, and why the call failed
 *             <time>_<phase>_usage.json  tokens, turns and costs; written last
 * ```
 */
import type { AgentCall } from "@espalier/platform/CodingAgent"
import { Clock, Effect } from "effect"
import { existsSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as Path from "node:path"

/** When, and what for, in a name that every file system takes. */
const nameOf = (at: number, phase: string): string => {
  const safe = phase.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 60)
  return `${new Date(at).toISOString().replaceAll(":", "-")}_${safe === "" ? "call" : safe}`
}

/** One text is as it is; of several each says which it is. */
const inTurns = (texts: ReadonlyArray<string>): string =>
  texts.length === 1 ? texts[0]! : texts.map((text, i) => `# Turn ${i + 1}\n\n${text}`).join("\n\n")

const filesOf = (call: AgentCall, at: number, asked: boolean): ReadonlyArray<readonly [string, string]> => {
  const { costUsd, defect, directory, error, interrupted, phase, turns, usage } = call
  const answers = inTurns(turns.map(({ text }) => text ?? "(no answer)"))
  const end = interrupted
    ? "The call was given up."
    : error !== null
    ? `The call failed: ${error.message}`
    : defect !== null
    ? `The call broke: ${defect}`
    : ""
  const document = {
    at: new Date(at).toISOString(),
    phase,
    directory,
    asked,
    usage,
    costUsd,
    interrupted,
    defect,
    error: error === null ? null : { kind: error._tag, message: error.message }
  }
  return [
    ["prompt.md", `${inTurns(turns.map(({ prompt }) => prompt))}\n`],
    ["output.md", `${[answers, end].filter((text) => text !== "").join("\n\n")}\n`],
    ["usage.json", `${JSON.stringify(document, null, 2)}\n`]
  ]
}

/**
 * Keeps calls in a directory, which is made with the first. Each file is there whole or not at all.
 *
 * `asked` of a call: whether the agent itself was asked; false where a recording answered, and nothing was paid.
 */
export const keepCalls = (
  directory: string
): (call: AgentCall, options: { readonly asked: boolean }) => Effect.Effect<void> => {
  /** Names that are taken, and have no file yet. */
  const taken = new Set<string>()
  const take = (wanted: string): string => {
    for (let number = 1;; number++) {
      const name = number === 1 ? wanted : `${wanted}-${number}`
      if (taken.has(name) || existsSync(Path.join(directory, `${name}_prompt.md`))) continue
      taken.add(name)
      return name
    }
  }
  return (call, { asked }) =>
    Effect.gen(function*() {
      const at = yield* Clock.currentTimeMillis
      yield* Effect.tryPromise(async () => {
        const name = take(nameOf(at, call.phase))
        try {
          await fs.mkdir(directory, { recursive: true })
          for (const [kind, content] of filesOf(call, at, asked)) {
            const file = Path.join(directory, `${name}_${kind}`)
            const aside = `${file}.${process.pid}.tmp`
            await fs.writeFile(aside, content)
            await fs.rename(aside, file)
          }
        } finally {
          taken.delete(name)
        }
      })
    }).pipe(
      Effect.catch(({ cause }) => Effect.logWarning(`A call of the agent could not be kept in ${directory}: ${cause}`))
    )
}
