import { Cause, Effect, Schema } from "effect"
import { CliError } from "effect/cli"
import { describe, expect, it } from "vitest"
import { explain } from "../src/Report.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

const causeOf = <E>(effect: Effect.Effect<never, E>): Cause.Cause<E> =>
  Effect.runSync(Effect.sandbox(effect).pipe(Effect.flip))

describe("why a command failed", () => {
  it("is the message of an expected error, without a stack, and without what would steer the terminal", () => {
    expect(explain(Cause.fail(new Refused({ message: "There is no \u001b[2Jfile.\nCreate it." })))).toBe(
      "espalier: There is no file.\nCreate it."
    )
  })

  it("is a fault with its stack when nobody expected it", () => {
    const text = explain(Cause.die(new Error("the index is -1")))
    expect(text).toMatch(/^espalier: this is a fault in espalier itself, please report it\.\n.*the index is -1[^]*at /)
  })

  it("names all that failed", () => {
    const both = Cause.combine(
      Cause.fail(new Refused({ message: "One." })),
      Cause.fail(new Refused({ message: "Two." }))
    )
    expect(explain(both)).toBe("espalier: One.\nespalier: Two.")
  })

  it("is nothing when it was interrupted, or when the command line has said it already", () => {
    expect(explain(causeOf(Effect.interrupt))).toBe("")
    expect(explain(Cause.fail(new CliError.ShowHelp({ commandPath: ["espalier"], errors: [] })))).toBe("")
  })
})
