// What the scripted agent answers to play what a case of the suite asks for.
import { Effect } from "effect"
import type * as Scripted from "../../src/agent/Scripted.ts"
import type * as CodingAgentSuite from "../../src/testing/CodingAgentSuite.ts"

export const scripted = (play: CodingAgentSuite.Play): Scripted.Answer | Effect.Effect<Scripted.Answer> => {
  switch (play._tag) {
    case "Text":
      return { text: play.text, usage: play, costUsd: play.costUsd }
    case "RateLimited":
      return { _tag: "RateLimited", retryAfterMillis: play.retryAfterMillis, detail: "429" }
    case "Overloaded":
      return { _tag: "RateLimited", retryAfterMillis: null, overloaded: true, detail: "529" }
    case "Unauthorized":
      return { _tag: "Unavailable", reason: "unauthorized", detail: "401" }
    case "Unavailable":
      return { _tag: "Unavailable", detail: "it is down" }
    case "Hang":
      return Effect.never
  }
}
