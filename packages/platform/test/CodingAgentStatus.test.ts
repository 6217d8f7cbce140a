// A status of HTTP means the same, whether a program tells it or an API answers with it.
import { assert, describe, it } from "@effect/vitest"
import type { TurnError } from "../src/CodingAgent.ts"
import { statusFailure } from "../src/internal/agentStatus.ts"
import { generalMeaning } from "../src/internal/modelHttp.ts"

const ofProgram = (error: TurnError) =>
  error._tag === "RateLimited"
    ? error.overloaded === true ? "overloaded" : "account limit"
    : error._tag === "Unavailable"
    ? error.reason
    : error._tag

const ofApi = (status: number) => {
  const failure = generalMeaning({ status, retryAfterMillis: 7, detail: "x" })
  switch (failure._tag) {
    case "RateLimited":
      assert.strictEqual(failure.retryAfterMillis, 7)
      return failure.overloaded ? "overloaded" : "account limit"
    case "Unauthorized":
      return "unauthorized"
    case "OutOfCredit":
      return "out-of-credit"
    case "Unreachable":
      return "unreachable"
    case "ContextTooLong":
    case "InvalidRequest":
      return "refused"
    default:
      return "failed"
  }
}

describe("a status of a provider", () => {
  const table: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["account limit", [429]],
    ["overloaded", [503, 529]],
    ["unauthorized", [401, 403]],
    ["out-of-credit", [402]],
    ["unreachable", [408, 409, 425, 500, 502, 504, 520, 599]],
    ["refused", [301, 307, 400, 404, 405, 413, 418, 422]],
    ["failed", [0, 100, 200]]
  ]
  for (const [meaning, statuses] of table) {
    for (const status of statuses) {
      it(`${status} means ${meaning}, to programs and to APIs`, () => {
        assert.deepStrictEqual([ofProgram(statusFailure(status, "x", 7)), ofApi(status)], [meaning, meaning])
      })
    }
  }

  it("413 is said to be for the length of the prompt", () => {
    assert.match(statusFailure(413, "x", null).detail, /too long/)
    assert.strictEqual(generalMeaning({ status: 413, retryAfterMillis: null, detail: "x" })._tag, "ContextTooLong")
  })
})
