/** Whatever somebody writes into the file, it is accepted or answered with problems. */
import { describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import assert from "node:assert"
import { stringify, type TomlTable } from "smol-toml"
import * as Config from "../src/Config.ts"
import { ConfigFile } from "../src/internal/configSchema.ts"
import { decode } from "./support/smallestConfig.ts"

describe("Whatever is written,", () => {
  const anything = fc.dictionary(
    fc.oneof(fc.constantFrom(...Object.keys(ConfigFile.fields)), fc.string({ maxLength: 6 })),
    fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.string(),
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(
          fc.oneof(fc.constantFrom("name", "type", "argv", "values", "metric"), fc.string()),
          tie("value"),
          {
            maxKeys: 4
          }
        )
      )
    })).value
  )

  it("a table is accepted or answered with problems, and never a crash", () => {
    fc.assert(
      fc.property(anything, (table) => {
        const result = decode(stringify(table as TomlTable))
        assert(Result.isSuccess(result) || result.failure.problems.length > 0)
        if (Result.isFailure(result)) assert(result.failure.message.length > 0)
      }),
      { numRuns: 150, seed: 11 }
    )
  })

  it("a valid file that lost some lines is accepted or answered with problems", () => {
    const lines = Config.example.split("\n")
    fc.assert(
      fc.property(fc.subarray(lines), (kept) => {
        const result = decode(kept.join("\n"))
        assert(Result.isSuccess(result) || result.failure.problems.length > 0)
      }),
      { numRuns: 150, seed: 12 }
    )
  })
})
