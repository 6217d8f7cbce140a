/**
 * Reads the tables of `docs/life-of-a-work.md` and does what they say: a row is brought about by real commands, and the
 * events and the state that follow are compared with it.
 */
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { RunEvent } from "../src/RunEvent.ts"
import { by, type Driver } from "./support/driver.ts"
import { runCommands, runIn, runStateIn, runStates } from "./support/lifeOfARun.ts"
import {
  type Act,
  id,
  inOtherWays,
  inState,
  statusOf,
  workCommands,
  workStateOf,
  workStates
} from "./support/lifeOfAWork.ts"
import { projection } from "./support/projection.ts"

const page = readFileSync(new URL("../../../docs/life-of-a-work.md", import.meta.url), "utf8")

/** The cells of a table's rows: the first table after the marker. */
const tableAfter = (marker: string): ReadonlyArray<ReadonlyArray<string>> => {
  const start = page.indexOf(marker)
  if (start < 0) throw new Error(`docs/life-of-a-work.md has no "${marker}"`)
  const section = page.slice(start + marker.length).split(/\n#/)[0]!
  const rows = section.split("\n").filter((line) => line.startsWith("|"))
  return rows.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
}

interface Row {
  readonly state: string
  readonly command: string
  readonly events: string
  readonly next: string
}

const rowsAfter = (marker: string): ReadonlyArray<Row> =>
  tableAfter(marker).map(([state, command, events, next]) => ({
    state: state!,
    command: command!,
    events: events!,
    next: next!
  }))

const nameOf = (row: Row): string => `${row.state} + ${row.command} → ${row.events} → ${row.next}`

/** `fail (retry)` is the command `fail`. */
const baseOf = (command: string): string => command.split(" (")[0]!

const isOf = (row: Row, state: string, command: string): boolean =>
  row.state === state && baseOf(row.command) === command

/** What a row calls the answer to a command: the tags of the events that are its business, or a refusal. */
const answerOf = (run: Driver, act: () => ReadonlyArray<RunEvent>, isOurs: (event: RunEvent) => boolean): string => {
  const before = projection(run.state)
  const result = Result.try({ try: act, catch: (error) => error as { readonly _tag: string } })
  if (Result.isSuccess(result)) return result.success.filter(isOurs).map((event) => event._tag).join(", ") || "-"
  if (result.failure._tag === undefined) throw result.failure
  expect(projection(run.state)).toBe(before)
  return result.failure._tag === "Late" ? "ignored" : `refused: ${result.failure._tag}`
}

const missingRows = (
  rows: ReadonlyArray<Row>,
  states: ReadonlyArray<string>,
  commands: ReadonlyArray<string>
): ReadonlyArray<string> =>
  states.flatMap((state) =>
    commands.filter((command) => !rows.some((row) => isOf(row, state, command))).map((each) => `${state} + ${each}`)
  )

// ---------------------------------------------------------------------------------------------------------------------
// The work's table
// ---------------------------------------------------------------------------------------------------------------------

/** Whatever the world does to a work, whether or not its handler is alive. */
const fromOutside = [
  "add",
  "same key",
  "schedule",
  "tick",
  "cancel",
  "pause",
  "continue",
  "reprioritize",
  "retry",
  "open",
  "succeed",
  "unstuck"
]

/** What only a handler says. */
const fromHandler = [
  "recordStep",
  "requestSlots",
  "releaseSlots",
  "succeed",
  "fail",
  "interrupted",
  "block",
  "stuck",
  "cleaned"
]

const hasHandler = ["running", "pausing", "asking", "cancelling"]

const controls = {
  cancel: { _tag: "CancelWork" },
  pause: { _tag: "PauseWork" },
  continue: { _tag: "ContinueWork" },
  retry: { _tag: "RetryWork" },
  reprioritize: { _tag: "Reprioritize", priority: -3 }
} as const

const workRows = rowsAfter("<!-- table: work -->")

const actOf = (row: Row): Act => {
  const act = inOtherWays[`${row.state} + ${row.command}`] ?? workCommands[row.command]
  if (act === undefined) throw new Error(`no such command: ${row.command}`)
  return act
}

const isAboutIt = (event: RunEvent): boolean => {
  if ("id" in event) return event.id === id
  if (event._tag === "WorksForgotten") return event.ids.includes(id)
  return event._tag === "WorkAdded" && event.spec.id === id
}

describe("a work", () => {
  it.each(workRows.map((row) => [nameOf(row), row] as const))("%s", (_, row) => {
    const act = actOf(row)
    const run = inState(row.state, act)
    expect(answerOf(run, () => act.give(run), isAboutIt)).toBe(row.events)
    expect(workStateOf(run)).toBe(row.next)
    expect(run.state.works.get(id)?.status ?? "absent").toBe(statusOf(row.next))
  })

  it("has a row for every command from outside in every state", () => {
    expect(missingRows(workRows, workStates, fromOutside)).toEqual([])
  })

  it("has a row for everything that a live handler may say", () => {
    expect(missingRows(workRows, hasHandler, fromHandler)).toEqual([])
  })

  it("ignores every message of a handler that has no row", () => {
    const unanswered = workStates.flatMap((state) =>
      fromHandler.filter((command) => !workRows.some((row) => isOf(row, state, command))).map((command) => {
        const act = workCommands[command]!
        const run = inState(state, act)
        return `${state} + ${command}: ${answerOf(run, () => act.give(run), isAboutIt)}, ${workStateOf(run)}`
      })
    )
    expect(unanswered.length).toBeGreaterThan(80)
    expect(unanswered.filter((each) => !/^(.*) \+ .*: ignored, \1$/.test(each))).toEqual([])
  })

  it("gets from a control of all works what its row says, and nothing where the row is a refusal", () => {
    const wrong = workRows.filter((row) => row.command in controls).filter((row) => {
      const act = actOf(row)
      const run = inState(row.state, act)
      const control = controls[row.command as keyof typeof controls]
      const answer = answerOf(run, () => run.give({ _tag: "Each", filter: { ids: [id] }, control, ...by }), isAboutIt)
      return answer !== (row.events.startsWith("refused") ? "-" : row.events) || workStateOf(run) !== row.next
    })
    expect(wrong.map(nameOf)).toEqual([])
  })

  it("holds a concurrency unit in the states that say so, and in no other", () => {
    const said = tableAfter("## States of a work").map(([state, , holds]) => [state, /^yes\b/.test(holds!)])
    const actual = workStates.map((state) => {
      const run = inState(state, {} as Act)
      return [state, run.state.units === 3]
    })
    expect(actual).toEqual(said)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// The run's table
// ---------------------------------------------------------------------------------------------------------------------

const runRows = rowsAfter("<!-- table: run -->")

/** Whether a work takes a control is its own affair: only what the run says to it stands in the run's table. */
const isControl = (command: string): boolean =>
  ["pauseWork", "continueWork", "reprioritize", "retryWork"].includes(command)

describe("a run", () => {
  it.each(runRows.map((row) => [nameOf(row), row] as const))("%s", (_, row) => {
    const run = runIn(row.state, row.command)
    expect(runStateIn(run)).toBe(row.state)
    const act = runCommands[row.command]!
    const answer = answerOf(run, () => act(run), (event) => /^(Run|Limits|Scope)/.test(event._tag))
    const isItsOwn = isControl(baseOf(row.command)) && answer.startsWith("refused: Work")
    expect(isItsOwn ? "-" : answer).toBe(row.events)
    expect(runStateIn(run)).toBe(row.next)
    expect(run.state.name).toBe(row.next.split(" (")[0])
  })

  it("has a row for every command in every state", () => {
    const commands = Object.keys(runCommands).map(baseOf).filter((command) => !/^(last|work fails)/.test(command))
    expect(missingRows(runRows, runStates, Array.from(new Set(commands)))).toEqual([])
  })
})

it("no row stands twice, and every row names a state and a command that there are", () => {
  for (
    const [rows, states, commands] of [
      [workRows, workStates, Object.keys({ ...workCommands, "unstuck (given up)": 0 })],
      [runRows, runStates, Object.keys(runCommands)]
    ] as const
  ) {
    const pairs = rows.map((row) => `${row.state} + ${row.command}`)
    expect(pairs.filter((pair, index) => pairs.indexOf(pair) !== index)).toEqual([])
    for (const row of rows) {
      expect(states).toContain(row.state)
      expect(states).toContain(row.next)
      expect(commands).toContain(row.command)
    }
  }
})

it("every event that there is occurs in a row", () => {
  const occurring = new Set([...workRows, ...runRows].flatMap((row) => row.events.split(", ")))
  const tags = RunEvent.members.map((member) => member.fields._tag.schema.literal)
  expect(tags.filter((tag) => !occurring.has(tag))).toEqual([])
})
