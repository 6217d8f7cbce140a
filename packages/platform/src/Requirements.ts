/**
 * What a layer needs of the machine, and whether it is there: said by name, with what to do, before anything begins.
 *
 * A layer's needs are a list of {@link Requirement}s beside it. Those of the layers here stand in `requirements/*.ts`, one
 * file for each sort of thing (git, containers, Slurm, agents, the machine itself); a layer of your own makes its list of the
 * same parts: {@link program}, {@link answering}, {@link secret}, {@link directory}, or {@link make} for anything else.
 *
 * {@link inspect} looks at all of them at once. It only looks: it changes nothing, reaches no network, and no check can hang it,
 * fail it, or print into it: each has a time limit, and what programs say is cut to one plain line.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import { ask, located, plainLine } from "./internal/requirementProgram.ts"

/** `warning`: it works, or may work, and a person should know. */
export const State = Schema.Literals(["ok", "warning", "missing"])
/** See the schema of the same name. */
export type State = typeof State.Type

/** What a check came to. `remedy` says what to do; null where there is nothing to do. */
export interface Finding {
  readonly state: State
  /** What is there, or what was found instead. One line. */
  readonly found: string
  readonly remedy: string | null
}

/**
 * How much depends on it: without what is `needed` a layer cannot work at all; without what is `useful` it works, and does
 * less; `information` is only told.
 */
export type Level = "needed" | "useful" | "information"

const levels: ReadonlyArray<Level> = ["needed", "useful", "information"]

/**
 * One thing that a layer needs.
 *
 * - `name`: what it is, as a person says it. Two requirements of one name are the same thing, and are checked once.
 * - `check`: looks, and changes nothing.
 */
export interface Requirement {
  readonly name: string
  readonly level: Level
  readonly check: Effect.Effect<Finding>
}

/** Requirements, and who has them: `execution "slurm"`, say. */
export interface Needs {
  readonly by: string
  readonly requirements: ReadonlyArray<Requirement>
  /** False where nothing has been chosen that depends on it: whatever is missing is then only told. Default true. */
  readonly isChosen?: boolean | undefined
}

/** One line of what {@link inspect} tells. */
export const Check = Schema.Struct({
  name: Schema.String,
  state: State,
  /** Whether nothing can begin without it. */
  isNeeded: Schema.Boolean,
  found: Schema.String,
  /** Who needs it. */
  neededBy: Schema.Array(Schema.String),
  remedy: Schema.NullOr(Schema.String)
})
/** See the schema of the same name. */
export type Check = typeof Check.Type

/** It is there. */
export const ok = (found: string): Finding => ({ state: "ok", found, remedy: null })

/** It is there, with something that a person should know. */
export const warning = (found: string, remedy: string | null): Finding => ({ state: "warning", found, remedy })

/** It is not there, or not as it has to be. */
export const missing = (found: string, remedy: string | null): Finding => ({ state: "missing", found, remedy })

/** A requirement with a check of your own. `level` is `needed` unless said. */
export const make = (options: {
  readonly name: string
  readonly level?: Level | undefined
  readonly check: Effect.Effect<Finding>
}): Requirement => ({ name: options.name, level: options.level ?? "needed", check: options.check })

type Argv = readonly [string, ...ReadonlyArray<string>]

/** How a program is asked, and what to do when it is not there. */
export interface ProgramOptions {
  /** The program, and what makes it print its version. */
  readonly argv: Argv
  /** Default: the program. */
  readonly name?: string | undefined
  readonly level?: Level | undefined
  /** Variables beside those of this process. */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** The first version that will do, such as `2.25`. */
  readonly atLeast?: string | undefined
  /** The version that it was tried with: an older one may do, and is a warning. */
  readonly triedWith?: string | undefined
  /** What to do where it is not there, or too old. */
  readonly remedy: string
  /** What to do where it is there and does not answer. Default: to look at what it says. */
  readonly whenSilent?: string | undefined
}

/**
 * A program on the PATH, and its version: the first number with a dot in it that it prints.
 *
 * @example
 * ```ts
 * import { strict as assert } from "node:assert"
 * import { Effect } from "effect"
 * import * as Requirements from "@espalier/platform/Requirements"
 *
 * // What a layer of one's own exports beside itself.
 * const requirements = [
 *   Requirements.program({ argv: [process.execPath, "--version"], name: "node", atLeast: "22.19", remedy: "Install Node 24" }),
 *   Requirements.program({ argv: ["no-such-program", "--version"], remedy: "Install it" }),
 *   Requirements.secret("NO_SUCH_SECRET")
 * ]
 *
 * const checks = await Effect.runPromise(Requirements.inspect([{ by: "execution \"mine\"", requirements }]))
 * assert.deepEqual(checks.map(({ name, state }) => [name, state]), [
 *   ["node", "ok"],
 *   ["no-such-program", "missing"],
 *   ["$NO_SUCH_SECRET", "missing"]
 * ])
 * assert.match(Requirements.describe(checks[1]!), /no-such-program \(execution "mine"\): it is not on the PATH\. Install it/)
 * ```
 */
export const program = (
  { argv, atLeast, environment, level, name = argv[0], remedy, triedWith, whenSilent }: ProgramOptions
): Requirement =>
  make({
    name,
    level,
    check: Effect.gen(function*() {
      const answer = yield* ask(argv, environment)
      const path = yield* located(argv[0])
      if (!answer.isWell) {
        const look = whenSilent ?? `It is there: see what ${JSON.stringify(argv.join(" "))} says`
        return missing(answer.said, path === undefined ? remedy : look)
      }
      const at = path === undefined || path === argv[0] ? "" : `, ${path}`
      const version = versionIn(answer.stdout) ?? versionIn(answer.stderr)
      if (version === undefined) {
        const found = `it says ${JSON.stringify(plainLine(answer.stdout))} and no version${at}`
        return atLeast === undefined ? ok(found) : warning(found, `Version ${atLeast} or newer is needed`)
      }
      if (atLeast !== undefined && isOlder(version, atLeast)) {
        return missing(`${version}${at}; ${atLeast} or newer is needed`, remedy)
      }
      return triedWith !== undefined && isOlder(version, triedWith)
        ? warning(`${version}${at}, older than ${triedWith}, with which it was tried`, remedy)
        : ok(`${version}${at}`)
    })
  })

/**
 * Something behind a program that has to answer: a daemon, a controller. It does when the command ends with exit code 0 and
 * `reads` (default: the first line) makes something of what it printed.
 */
export const answering = (options: {
  readonly name: string
  readonly argv: Argv
  readonly level?: Level | undefined
  /** Variables beside those of this process. */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** What the command printed, put into words; undefined where that is not what it should be. */
  readonly reads?: ((stdout: string) => string | undefined) | undefined
  readonly remedy: string
}): Requirement =>
  make({
    name: options.name,
    level: options.level,
    check: Effect.map(ask(options.argv, options.environment), (answer) => {
      if (!answer.isWell) return missing(answer.said, options.remedy)
      const reads = options.reads ?? plainLine
      const found = reads(answer.stdout)
      return found === undefined
        ? missing(`it says ${JSON.stringify(plainLine(answer.stdout || answer.stderr))}`, options.remedy)
        : ok(found === "" ? "it answers" : plainLine(found))
    })
  })

/** A secret, by the name of the environment variable that holds it. Its value is never told, nor anything about it. */
export const secret = (variable: string): Requirement =>
  make({
    name: `$${variable}`,
    check: Effect.sync(() => {
      const value = process.env[variable] ?? ""
      const remedy = `Set it before espalier is started: export ${variable}=... (espalier.toml holds only its name)`
      if (value.trim() === "") {
        return missing(value === "" ? "it is not set" : "it is set to nothing but blanks", remedy)
      }
      return value === value.trim()
        ? ok("it is set")
        : warning("it is set, with blanks or a line end around it", remedy)
    })
  })

/** A directory that is there and may be read, or also written. */
export const directory = (options: {
  readonly name: string
  readonly path: string
  readonly access: "read" | "write"
  readonly remedy: string
}): Requirement =>
  make({
    name: options.name,
    check: Effect.promise(async () => {
      try {
        if (!(await fs.stat(options.path)).isDirectory()) {
          return missing(`${options.path} is no directory`, options.remedy)
        }
        const { R_OK, W_OK, X_OK } = fs.constants
        await fs.access(options.path, options.access === "read" ? R_OK | X_OK : R_OK | W_OK | X_OK)
        return ok(options.path)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        const what = code === "ENOENT"
          ? "does not exist"
          : code === "EACCES" || code === "EPERM" || code === "EROFS"
          ? `may not be ${options.access === "read" ? "read" : "written"} (${code})`
          : `cannot be looked at (${code ?? String(error)})`
        return missing(`${options.path} ${what}`, options.remedy)
      }
    })
  })

/** The first version in a text: `2.39.2` in `git version 2.39.2`. */
const versionIn = (text: string): string | undefined => /(?<![\w.])v?(\d{1,6}(?:\.\d{1,6}){1,3})/.exec(text)?.[1]

/** Whether a version comes before another one, part by part. */
const isOlder = (version: string, other: string): boolean => {
  const [one, two] = [version, other].map((each) => each.split(".").map(Number))
  for (let i = 0; i < Math.max(one!.length, two!.length); i++) {
    const [a = 0, b = 0] = [one![i], two![i]]
    if (a !== b) return a < b
  }
  return false
}

/**
 * Looks at everything at once, and tells it in the order in which it is needed. A check that takes longer than `timeLimit`
 * (default 15 seconds; programs have 10 seconds of their own) counts as missing, and so does one that fails.
 */
export const inspect = Effect.fn("Requirements.inspect")(function*(
  needs: ReadonlyArray<Needs>,
  options: { readonly timeLimit?: Duration.Input | undefined } = {}
): Effect.fn.Return<ReadonlyArray<Check>> {
  const limit = options.timeLimit ?? "15 seconds"
  const wanted = new Map<
    string,
    { readonly requirement: Requirement; readonly by: Array<string>; isNeeded: boolean; level: Level }
  >()
  for (const { by, isChosen = true, requirements } of needs) {
    for (const requirement of requirements) {
      const isNeeded = isChosen && requirement.level === "needed"
      const before = wanted.get(requirement.name)
      if (before === undefined) {
        wanted.set(requirement.name, { requirement, by: [by], isNeeded, level: requirement.level })
      } else {
        if (!before.by.includes(by)) before.by.push(by)
        if (levels.indexOf(requirement.level) < levels.indexOf(before.level)) before.level = requirement.level
        before.isNeeded ||= isNeeded
      }
    }
  }
  return yield* Effect.forEach(
    wanted.values(),
    ({ by, isNeeded, level, requirement }) =>
      inTime(requirement.check, Duration.fromInputUnsafe(limit)).pipe(
        Effect.catchCause((cause) => Effect.succeed(missing(`its check failed: ${Cause.pretty(cause)}`, null))),
        Effect.map((finding): Check => {
          const { found, remedy, state } = softened(finding, level, isNeeded)
          return { name: requirement.name, state, isNeeded, found: plainLine(found), neededBy: by, remedy }
        })
      ),
    { concurrency: "unbounded" }
  )
})

/**
 * The finding, or after the limit that there was none. A check that is given up is interrupted, so that it ends what it has
 * started; one that heeds no interruption is waited for no longer than two seconds.
 */
const inTime = (check: Effect.Effect<Finding>, limit: Duration.Duration): Effect.Effect<Finding> =>
  Effect.acquireUseRelease(
    Effect.forkDetach(check),
    (fiber) =>
      Effect.timeoutOrElse(Fiber.join(fiber), {
        duration: limit,
        orElse: () => Effect.succeed(missing(`no answer within ${Duration.format(limit)}`, "Look why it hangs"))
      }),
    (fiber) => Effect.asVoid(Effect.timeoutOption(Effect.interruptible(Fiber.interrupt(fiber)), "2 seconds"))
  )

/** What is not there is missing to who needs it, a warning to whom it is only useful, and else no more than told. */
const softened = (finding: Finding, level: Level, isNeeded: boolean): Finding =>
  finding.state !== "missing" || isNeeded || level === "needed"
    ? finding
    : level === "useful"
    ? { ...finding, state: "warning" }
    : ok(`not there, and not needed: ${finding.found}`)

/** What nothing can begin without, and is not there. */
export const lacking = (checks: ReadonlyArray<Check>): ReadonlyArray<Check> =>
  checks.filter(({ isNeeded, state }) => isNeeded && state === "missing")

/** One check in a line: what, for whom, what was found, what to do. */
export const describe = ({ found, name, neededBy, remedy }: Check): string => {
  const what = `${name} (${neededBy.join(", ")}): ${found}`
  return remedy === null ? what : `${what}${/[.?!…]$/.test(found) ? "" : "."} ${remedy}`
}
