// The smallest configuration that is valid: tests put behind it, or replace in it, what they are about.
import { Effect, Result } from "effect"
import * as Config from "../../src/Config.ts"

export const smallest = `name = "small"
[source]
repository = "."
[job]
argv = ["run"]
[objective]
metric = "speed"
direction = "maximize"
[parameters.workers]
type = "integer"
values = [1, 2, 4]
baseline = 1
`

export const decode = (text: string) => Effect.runSync(Effect.result(Config.fromString(text)))

export const config = (text: string): Config.Config => Result.getOrThrow(decode(text))

export const problems = (text: string): ReadonlyArray<Config.Problem> => {
  const result = decode(text)
  return Result.isFailure(result) ? result.failure.problems : []
}
