/**
 * The answer to a wrong command line: one message on standard error. Standard output stays empty, for programs read it.
 */
import { Effect } from "effect"
import { type CliError, CliOutput } from "effect/cli"
import { plainLine } from "./Format.ts"

const sentence = (error: CliError.CliError): string => {
  const [what = "", ...rest] = error.message.split("\n\n")
  const suggestions = "suggestions" in error ? (error.suggestions as ReadonlyArray<string>) : []
  const said = suggestions.length === 0
    ? [what, ...rest].join(" ")
    : `${what}. Did you mean ${suggestions.join(" or ")}?`
  return plainLine(/[.?!]$/.test(said) ? said : `${said}.`)
}

/** Shows help and version as usual, and a wrong command line with what is right. */
export const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.sync(() => {
        // A flag that is not known takes the argument behind it along; that it is missing then is not the mistake.
        const [first] = event.errors
        const name = event.commandPath.join(" ")
        process.stderr.write(
          `espalier: ${first === undefined ? "this is no command." : sentence(first)}\n` +
            `Usage: ${event.helpDoc.usage}. More: ${name} --help\n`
        )
      })
      : CliOutput.defaultPresenter.present(event)
}
