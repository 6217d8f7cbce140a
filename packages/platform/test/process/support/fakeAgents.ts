// Programs that print what Claude's and Codex' programs print, for shapes that the real ones cannot be made to give, and to
// hold their layers to the suite without installing them. What each prints is what the real one printed in test/real.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Play } from "../../../src/testing/CodingAgentSuite.ts"

/** Writes a program: a script for this Node, whatever Node may be on the PATH. */
export const programOf = (directory: string, script: string): string => {
  mkdirSync(directory, { recursive: true })
  const file = join(directory, "agent")
  // By the shell, for the path of this Node may hold blanks, which a first line of a script cannot.
  writeFileSync(`${file}.cjs`, script)
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' "$0.cjs" "$@"\n`)
  chmodSync(file, 0o755)
  return file
}

/** Takes the next of the plays, and writes lines. */
const beginning = (plays: ReadonlyArray<Play>) => `
const { appendFileSync, readFileSync, writeSync } = require("node:fs")
const plays = ${
  JSON.stringify(plays.map((play) =>
    play._tag === "Text" && play.text.length > 1e6
      ? { ...play, text: { repeat: play.text[0], times: play.text.length } }
      : play
  ))
}
const prompt = readFileSync(0, "utf8")
appendFileSync(__dirname + "/asked", "x")
const play = plays[readFileSync(__dirname + "/asked").length - 1]
if (play.text?.times !== undefined) play.text = play.text.repeat.repeat(play.text.times)
const print = (event) => {
  let bytes = Buffer.from(JSON.stringify(event) + "\\n")
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes))
    } catch (error) {
      if (error.code !== "EAGAIN") throw error
    }
  }
}
`

/** A program that speaks like Claude's. */
export const fakeClaude = (directory: string, plays: ReadonlyArray<Play>): string =>
  programOf(
    directory,
    `${beginning(plays)}
const result = (fields) => print({
  type: "result", subtype: "success", is_error: false, api_error_status: null, total_cost_usd: 0, num_turns: 1,
  modelUsage: {}, ...fields
})
const fails = (status, type, error) => {
  print({ type: "assistant", message: { model: "<synthetic>" }, error, api_error_status: status, api_error_type: type })
  result({ is_error: true, api_error_status: status, api_error_type: type, result: "API Error: " + status })
  process.exitCode = 1
}
print({ type: "system", subtype: "init", tools: ["Read"] })
switch (play._tag) {
  case "Text":
    const { text, inputTokens, outputTokens, costUsd } = play
    const usage = { input_tokens: inputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 1 }
    print({ type: "stream_event", event: { type: "message_start", message: { usage } } })
    print({ type: "stream_event", event: { type: "message_delta", delta: {}, usage: { output_tokens: outputTokens } } })
    print({ type: "assistant", message: { content: [{ type: "text", text }] } })
    result({
      result: text,
      total_cost_usd: costUsd,
      modelUsage: { m: { inputTokens, outputTokens, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 } }
    })
    break
  case "RateLimited":
    print({ type: "system", subtype: "api_retry", attempt: 1, max_retries: 2, retry_delay_ms: play.retryAfterMillis,
      error_status: 429, error: "rate_limit" })
    setTimeout(() => fails(429, "rate_limit_error", "rate_limit"), play.retryAfterMillis)
    break
  case "Overloaded":
    fails(529, "overloaded_error", "overloaded")
    break
  case "Unauthorized":
    fails(401, "authentication_error", "authentication_failed")
    break
  case "Unavailable":
    fails(500, "api_error", "server_error")
    break
  case "Hang":
    setInterval(() => {}, 1000)
}
`
  )

/** A program that speaks like Codex'. */
export const fakeCodex = (directory: string, plays: ReadonlyArray<Play>): string =>
  programOf(
    directory,
    `${beginning(plays)}
const fails = (message) => {
  print({ type: "error", message })
  print({ type: "turn.failed", error: { message } })
  process.exitCode = 1
}
print({ type: "thread.started", thread_id: "t" })
print({ type: "turn.started" })
switch (play._tag) {
  case "Text":
    print({ type: "item.completed", item: { id: "item_1", type: "agent_message", text: play.text } })
    print({ type: "turn.completed", usage: {
      input_tokens: play.inputTokens, cached_input_tokens: 0, cache_write_input_tokens: 0, output_tokens: play.outputTokens
    } })
    break
  case "RateLimited":
    fails("exceeded retry limit, last status: 429 Too Many Requests")
    break
  case "Overloaded":
    fails("unexpected status 503 Service Unavailable: over, url: http://127.0.0.1/v1/responses")
    break
  case "Unauthorized":
    fails("unexpected status 401 Unauthorized: no, url: http://127.0.0.1/v1/responses")
    break
  case "Unavailable":
    fails("We\\u2019re currently experiencing high demand, which may cause temporary errors.")
    break
  case "Hang":
    setInterval(() => {}, 1000)
}
`
  )
