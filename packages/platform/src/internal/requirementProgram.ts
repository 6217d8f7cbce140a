/**
 * Asking a program something that it answers at once. Nothing that it does can do harm: it may hang, print for ever, print
 * what steers a terminal, or not be a program at all.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { stripVTControlCharacters } from "node:util"
import { type CommandNotStarted, type CommandTooLoud, type CommandTooSlow, runCommand } from "./command.ts"

/** Programs that start on Node take seconds on a busy machine. */
const timeLimitMillis = 10_000
const outputLimitBytes = 64 * 1024

/** What a program answered. `said` tells in words why it `isWell` not. */
export type Answer =
  | { readonly isWell: true; readonly stdout: string; readonly stderr: string }
  | { readonly isWell: false; readonly said: string }

/** The first line of a text that is not blank, without what would steer a terminal, at most 300 characters of it. */
export const plainLine = (text: string): string => {
  const lines = stripVTControlCharacters(text.slice(0, 16 * 1024)).split(/[\r\n\u2028\u2029]+/).map((each) =>
    each.replace(/[\s\p{Cc}\p{Cf}\p{Co}\p{Cs}]+/gu, " ").trim()
  )
  const characters = Array.from(lines.find((each) => each !== "") ?? "")
  return characters.length > 300 ? `${characters.slice(0, 299).join("")}…` : characters.join("")
}

const notAnswered = (
  command: string,
  error: CommandNotStarted | CommandTooLoud | CommandTooSlow
): string => {
  switch (error._tag) {
    case "CommandTooLoud":
      return `${command} printed more than ${error.limitBytes / 1024} KiB, and was ended`
    case "CommandTooSlow":
      return `${command} did not answer within ${error.limitMillis / 1000} s, and was ended`
    case "CommandNotStarted":
      return error.code === "ENOENT"
        ? "it is not on the PATH"
        : error.code === "EACCES"
        ? "it may not be run (permission denied)"
        : `it cannot be run: ${error.detail}`
  }
}

/** Runs a command that answers at once. */
export const ask = (
  argv: readonly [string, ...ReadonlyArray<string>],
  environment: Readonly<Record<string, string>> = {}
): Effect.Effect<Answer> => {
  const command = plainLine(argv.join(" "))
  return runCommand({
    argv,
    directory: tmpdir(),
    environment: { ...process.env, ...environment, LC_ALL: "C" },
    outputLimitBytes,
    timeLimitMillis,
    graceMillis: 500
  }).pipe(
    Effect.map(({ exitCode, signal, stderr, stdout }): Answer => {
      if (exitCode === 0) return { isWell: true, stdout, stderr }
      const how = exitCode === null ? `was ended by ${signal}` : `ended with exit code ${exitCode}`
      const what = plainLine(stderr) || plainLine(stdout)
      return { isWell: false, said: `${command} ${how}${what === "" ? "" : `: ${what}`}` }
    }),
    Effect.catch((error) =>
      Effect.succeed<Answer>({
        isWell: false,
        said: error._tag === "CommandNotStarted" && argv[0].includes(Path.sep) && error.code === "ENOENT"
          ? `there is no ${plainLine(argv[0])}`
          : notAnswered(command, error)
      })
    )
  )
}

/** The file that is run for a program's name, as the system looks for it; undefined where there is none. */
export const located = (program: string, path = process.env["PATH"] ?? ""): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    const candidates = program.includes(Path.sep)
      ? [program]
      : path.split(Path.delimiter).map((directory) => Path.join(directory === "" ? "." : directory, program))
    for (const candidate of candidates) {
      try {
        await fs.access(candidate, fs.constants.X_OK)
        if ((await fs.stat(candidate)).isFile()) return candidate
      } catch {
        // Not this one.
      }
    }
    return undefined
  })
