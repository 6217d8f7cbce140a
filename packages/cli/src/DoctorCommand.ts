/**
 * `doctor`: what the machine lacks, by name, at once. Without a directory: all that Espalier could use, as information.
 */
import * as Requirements from "@espalier/platform/Requirements"
import { Layers } from "@espalier/workflow"
import { Console, Effect, Option } from "effect"
import { plainLine, shellWord } from "./Format.ts"
import * as OwnLayers from "./OwnLayers.ts"
import { CommandFailed, load, say } from "./Project.ts"

/** The checks as lines: what is missing says what to do about it. */
export const lines = (checks: ReadonlyArray<Requirements.Check>): ReadonlyArray<string> => {
  const width = Math.max(...checks.map(({ name }) => name.length))
  return checks.flatMap(({ found, isNeeded, name, neededBy, remedy, state }) => {
    const who = state === "ok" ? "" : `  [${isNeeded ? "needed by" : "for"} ${neededBy.join(", ")}]`
    return [
      plainLine(`${state.padEnd(8)} ${name.padEnd(width)}  ${found}${who}`),
      ...(state === "ok" || remedy === null ? [] : [plainLine(`${" ".repeat(9 + width)}  ${remedy}`)])
    ]
  })
}

/** `One thing that X needs is missing`. */
const isMissing = (checks: ReadonlyArray<unknown>, whose: string): string =>
  checks.length === 1
    ? `One thing that ${whose} needs is missing`
    : `${checks.length} things that ${whose} needs are missing`

/** Looks at the machine and tells what it found; fails when something is missing that the project needs. */
export const execute = Effect.fnUntraced(function*(given: Option.Option<string>, asJson: boolean) {
  const project = Option.isNone(given) ? undefined : yield* load(given.value)
  const needs = project === undefined
    ? Layers.everything(process.cwd())
    : Layers.requirements(project, yield* OwnLayers.forProject(project))
  const checks = yield* Requirements.inspect(needs)
  const lacking = Requirements.lacking(checks)
  if (asJson) {
    const document = {
      workdir: project?.workdir ?? null,
      name: project?.config.name ?? null,
      isReady: lacking.length === 0,
      missing: lacking.map(({ name }) => name),
      checks
    }
    yield* Console.log(JSON.stringify(document, null, 2))
  } else {
    yield* Console.log(lines(checks).join("\n"))
  }
  if (lacking.length > 0) {
    const names = lacking.map(({ name }) => name).join(", ")
    const whose = project === undefined ? "every run" : project.workdir
    return yield* new CommandFailed({ message: `${isMissing(lacking, whose)}: ${names}.` })
  }
  if (!asJson && project === undefined) {
    yield* say(
      "Nothing has been chosen yet: what is missing is needed only by the layers that are named with it. " +
        "For a project: espalier doctor <directory>"
    )
  }
})

/** Before a run begins: fails when something is missing without which it cannot, in one message. */
export const preflight = Effect.fnUntraced(function*(needs: ReadonlyArray<Requirements.Needs>, given: string) {
  const needed = needs.map((each) => ({
    ...each,
    requirements: each.requirements.filter(({ level }) => level === "needed")
  }))
  const lacking = Requirements.lacking(yield* Requirements.inspect(needed))
  if (lacking.length === 0) return
  return yield* new CommandFailed({
    message: [
      `${isMissing(lacking, "this run")}. Nothing was started.`,
      ...lacking.map((check) => `  ${Requirements.describe(check)}`),
      `All that was looked at: espalier doctor ${shellWord(given)}`
    ].join("\n")
  })
})
