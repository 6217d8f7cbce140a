/**
 * Reads the tables of `docs/life-of-a-work.md` and does what they say: a row is brought about by real commands, and the
 * events and the state that follow are compared with it.
 */
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { Command } from "../src/internal/decide.ts"
import { RunEvent } from "../src/RunEvent.ts"
import { boom, by, configOf, Driver, kind, spec } from "./support/driver.ts"
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
const answerOf = (
  run: Driver,
  act: () => ReadonlyArray<RunEvent>,
  isOurs: (event: RunEvent) => boolean
): string => {
  const before = projection(run.state)
  const result = Result.try({ try: act, catch: (error) => error as { readonly _tag: string } })
  if (Result.isSuccess(result)) return result.success.filter(isOurs).map((event) => event._tag).join(", ") || "-"
  if (result.failure._tag === undefined) throw result.failure
  expect(projection(run.state)).toBe(before)
  return result.failure._tag === "Late" ? "ignored" : `refused: ${result.failure._tag}`
}

/** Calls of the scheduler, as the events that it made. */
const scheduled = (run: Driver): ReadonlyArray<RunEvent> => {
  const from = run.events.length
  run.schedule()
  return run.events.slice(from)
}

// ---------------------------------------------------------------------------------------------------------------------
// The work's table
// ---------------------------------------------------------------------------------------------------------------------

const id = "it"

/** A run in which `holder` has all of the pool `taken`, and nobody anything of `free`. */
const openRun = (): Driver => {
  const run = Driver.start({ pools: { free: 1, taken: 1 } }, spec("holder", { slots: { taken: 1 } }))
  run.schedule()
  return run
}

/** What the handler does as soon as it is started. */
type Early = ((run: Driver) => void) | undefined

const started = (run: Driver, kind: string, early: Early): void => {
  run.add(spec(id, { kind }))
  run.schedule()
  early?.(run)
}

const asking = (run: Driver, kind: string, early: Early): void => {
  started(run, kind, early)
  run.request(id, "claim", { taken: 1 })
}

const cancelling = (run: Driver, kind: string, early: Early): void => {
  started(run, kind, early)
  run.cancel(id)
}

/** How a fresh run gets its work into each state of the table. */
const workStates: { readonly [state: string]: (run: Driver, kind: string, early: Early) => void } = {
  absent: () => undefined,
  queued: (run, kind) => void run.add(spec(id, { kind })),
  resumed: (run, kind, early) => {
    started(run, kind, early)
    run.interrupted(id)
  },
  waiting: (run, kind, early) => {
    started(run, kind, early)
    run.retry(id, 1_000)
  },
  blocked: (run, kind, early) => {
    started(run, kind, early)
    run.give({ _tag: "Block", id, attempt: 1, what: "of another version" })
  },
  running: started,
  asking,
  cancelling,
  cleaning: (run, kind, early) => {
    cancelling(run, kind, early)
    run.interrupted(id)
  },
  succeeded: (run, kind, early) => {
    started(run, kind, early)
    run.succeed(id)
  },
  failed: (run, kind, early) => {
    started(run, kind, early)
    run.fail(id)
  },
  cancelled: (run) => {
    run.add(spec(id))
    run.cancel(id)
  }
}

const workStateOf = (run: Driver): string => {
  const entry = run.state.works.get(id)
  if (entry === undefined) return "absent"
  if (entry.status === "queued" && entry.resumed) return "resumed"
  return entry.status === "running" && entry.live!.requests.size > 0 ? "asking" : entry.status
}

const from = (run: Driver) => ({ id, attempt: run.state.works.get(id)?.live?.attempt ?? 1 })

const requested = (run: Driver, hold: string, pool: string, until?: string): Command => ({
  _tag: "RequestSlots",
  hold,
  claims: { [pool]: 1 },
  ...(until === undefined ? {} : { until }),
  ...from(run)
})

interface Act {
  readonly early?: Early
  /** What must be so before the command is given, beyond the state. */
  readonly prepare?: (run: Driver) => void
  readonly give: (run: Driver) => ReadonlyArray<RunEvent>
  /** The work is of a kind without `onCancel`. */
  readonly isPlain?: boolean
}

const give = (command: (run: Driver) => Command): Act => ({ give: (run) => run.give(command(run)) })

const open: Act = { give: (run) => run.crash() }

const plain = (act: Act): Act => ({ ...act, isPlain: true })

/** With a step on record, so that there is something to undo. */
const afterRecord = (act: Act): Act => ({ ...act, early: (run) => void run.record(id, "early") })

const fail = (retryIn?: number): Act =>
  give((run) => ({
    _tag: "Fail",
    failure: boom,
    retryAt: retryIn === undefined ? undefined : run.now + retryIn,
    children: [],
    ...from(run)
  }))

const cancel = give(() => ({ _tag: "CancelWork", id, ...by }))

const interrupted = give((run) => ({ _tag: "Interrupted", livedMillis: 1, ...from(run) }))

const block = give((run) => ({ _tag: "Block", what: "of another version", ...from(run) }))

const succeed = give((run) => ({ _tag: "Succeed", result: null, children: [], ...from(run) }))

/** Every command of the work's table, as a row names it. */
const workCommands: { readonly [command: string]: Act } = {
  add: { give: (run) => run.add(spec(id)) },
  schedule: { give: scheduled },
  "schedule (freed)": { prepare: (run) => void run.succeed("holder"), give: scheduled },
  tick: { give: (run) => run.tick(1_000) },
  cancel,
  "cancel (no onCancel)": plain(cancel),
  "cancel (with records)": afterRecord(cancel),
  open,
  "open (no onCancel)": plain(open),
  "open (onCancel dropped)": { give: (run) => run.crash({ kinds: { Undo: kind(), Plain: kind() } }) },
  recordStep: give((run) => ({ _tag: "RecordStep", step: "one", result: 1, children: [], ...from(run) })),
  requestSlots: give((run) => requested(run, "another", "free")),
  "requestSlots (free)": give((run) => requested(run, "another", "free")),
  "requestSlots (free, but somebody comes first)": {
    prepare: (run) => {
      run.add(spec("first", { priority: -1, slots: { free: 1 } }))
    },
    give: (run) => run.give(requested(run, "another", "free"))
  },
  "requestSlots (taken)": give((run) => requested(run, "another", "taken")),
  "requestSlots (again)": give((run) => requested(run, "claim", "taken")),
  "requestSlots (held)": {
    prepare: (run) => void run.request(id, "another", { free: 1 }),
    give: (run) => run.give(requested(run, "another", "free"))
  },
  "requestSlots (until a step that is recorded)": {
    prepare: (run) => void run.record(id, "one"),
    give: (run) => run.give(requested(run, "another", "free", "one"))
  },
  "requestSlots (unknown pool)": give((run) => requested(run, "another", "none")),
  releaseSlots: give((run) => ({ _tag: "ReleaseSlots", hold: "kept", ...from(run) })),
  "releaseSlots (held)": {
    early: (run) => void run.request(id, "kept", { free: 1 }),
    give: (run) => run.give({ _tag: "ReleaseSlots", hold: "kept", ...from(run) })
  },
  "releaseSlots (not held)": give((run) => ({ _tag: "ReleaseSlots", hold: "kept", ...from(run) })),
  succeed,
  "succeed (no onCancel)": plain(succeed),
  fail: fail(),
  "fail (retry)": fail(1_000),
  interrupted,
  "interrupted (no onCancel)": plain(interrupted),
  block,
  "block (with records)": afterRecord(block),
  cleaned: give(() => ({ _tag: "Cleaned", id }))
}

/** Whatever the world does to a work, whether or not its handler is alive. */
const fromOutside = ["add", "schedule", "tick", "cancel", "open", "succeed"]

/** What only a handler says. */
const fromHandler = [
  "recordStep",
  "requestSlots",
  "releaseSlots",
  "succeed",
  "fail",
  "interrupted",
  "block",
  "cleaned"
]

const hasHandler = ["running", "asking", "cancelling"]

const workRows = rowsAfter("<!-- table: work -->")

const inState = (state: string, act: Act): Driver => {
  const run = openRun()
  workStates[state]!(run, act.isPlain === true ? "Plain" : "Undo", act.early)
  act.prepare?.(run)
  expect(workStateOf(run)).toBe(state)
  return run
}

const isAboutIt = (
  event: RunEvent
): boolean => ("id" in event ? event.id === id : event._tag === "WorkAdded" && event.spec.id === id)

describe("a work", () => {
  it.each(workRows.map((row) => [nameOf(row), row] as const))("%s", (_, row) => {
    const act = workCommands[row.command]
    if (act === undefined) return expect.fail(`no such command: ${row.command}`)
    const run = inState(row.state, act)
    expect(answerOf(run, () => act.give(run), isAboutIt)).toBe(row.events)
    expect(workStateOf(run)).toBe(row.next)
  })

  it("has a row for every command from outside in every state", () => {
    const missing = Object.keys(workStates).flatMap((state) =>
      fromOutside.filter((command) => !workRows.some((row) => isOf(row, state, command))).map((each) =>
        `${state} + ${each}`
      )
    )
    expect(missing).toEqual([])
  })

  it("has a row for everything that a live handler may say", () => {
    const missing = hasHandler.flatMap((state) =>
      fromHandler.filter((command) => !workRows.some((row) => isOf(row, state, command))).map((each) =>
        `${state} + ${each}`
      )
    )
    expect(missing).toEqual([])
  })

  it("ignores every message of a handler that has no row", () => {
    const unanswered = Object.keys(workStates).flatMap((state) =>
      fromHandler.filter((command) => !workRows.some((row) => isOf(row, state, command))).map((command) => {
        const run = inState(state, workCommands[command]!)
        return `${state} + ${command}: ${answerOf(run, () => workCommands[command]!.give(run), isAboutIt)}, ${
          workStateOf(run)
        }`
      })
    )
    expect(unanswered.length).toBeGreaterThan(40)
    expect(unanswered.filter((each) => !/^(.*) \+ .*: ignored, \1$/.test(each))).toEqual([])
  })

  it("holds a concurrency unit in the states that say so, and in no other", () => {
    const said = tableAfter("## States of a work").map(([state, , holds]) => [state, /^yes\b/.test(holds!)])
    const actual = Object.keys(workStates).map((state) => {
      const run = inState(state, {} as Act)
      return [state, run.state.units === 2]
    })
    expect(actual).toEqual(said)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// The run's table
// ---------------------------------------------------------------------------------------------------------------------

const busy = (run: Driver): Driver => {
  run.add(spec(id))
  run.schedule()
  return run
}

const pause = (run: Driver): Driver => {
  run.give({ _tag: "Pause", ...by })
  return run
}

const suspend = (run: Driver): Driver => {
  run.give({ _tag: "Suspend", ...by })
  return run
}

/** How a fresh run is brought into each state of the table. */
const runStates: { readonly [state: string]: () => Driver } = {
  absent: () => Driver.empty(),
  "running (idle)": () => Driver.start(),
  "running (busy)": () => busy(Driver.start()),
  pausing: () => pause(busy(Driver.start())),
  "paused (idle)": () => pause(Driver.start()),
  "paused (busy)": () => pause(Driver.start({}, spec(id))),
  suspending: () => suspend(busy(Driver.start())),
  "suspended (idle)": () => suspend(Driver.start()),
  "suspended (busy)": () => {
    const run = suspend(busy(Driver.start()))
    run.interrupted(id)
    return run
  },
  cancelling: () => {
    const run = busy(Driver.start())
    run.give({ _tag: "Cancel", ...by })
    return run
  },
  cancelled: () => {
    const run = Driver.start()
    run.give({ _tag: "Cancel", ...by })
    return run
  },
  completed: () => {
    const run = Driver.start()
    run.give({ _tag: "Close" })
    return run
  }
}

const runStateOf = ({ state }: Driver): string =>
  state.name === "running" || state.name === "paused" || state.name === "suspended"
    ? `${state.name} (${state.unsettled > 0 ? "busy" : "idle"})`
    : state.name

const lastWorkEnds = (run: Driver): ReadonlyArray<RunEvent> =>
  run.state.name === "suspending" ? run.interrupted(id) : run.succeed(id)

const runCommands: { readonly [command: string]: (run: Driver) => ReadonlyArray<RunEvent> } = {
  start: (run) => run.give({ _tag: "Start", config: configOf(), specs: [] }),
  open: (run) => (run.state.name === "absent" ? run.give({ _tag: "Open", config: configOf() }) : run.crash()),
  add: (run) => run.add(spec("more")),
  pause: (run) => run.give({ _tag: "Pause", ...by }),
  continue: (run) => run.give({ _tag: "Continue", ...by }),
  suspend: (run) => run.give({ _tag: "Suspend", ...by }),
  cancel: (run) => run.give({ _tag: "Cancel", ...by }),
  close: (run) => run.give({ _tag: "Close" }),
  "last work ends": lastWorkEnds,
  "last work ends (closed)": (run) => {
    run.give({ _tag: "Close" })
    return lastWorkEnds(run)
  }
}

const runRows = rowsAfter("<!-- table: run -->")

describe("a run", () => {
  it.each(runRows.map((row) => [nameOf(row), row] as const))("%s", (_, row) => {
    const run = runStates[row.state]!()
    expect(runStateOf(run)).toBe(row.state)
    const act = runCommands[row.command]!
    expect(answerOf(run, () => act(run), (event) => event._tag.startsWith("Run"))).toBe(row.events)
    expect(runStateOf(run)).toBe(row.next)
  })

  it("has a row for every command in every state", () => {
    const commands = Object.keys(runCommands).filter((command) => !command.startsWith("last work ends"))
    const missing = Object.keys(runStates).flatMap((state) =>
      commands.filter((command) => !runRows.some((row) => isOf(row, state, command))).map((each) =>
        `${state} + ${each}`
      )
    )
    expect(missing).toEqual([])
  })
})

it("no row stands twice, and every row names a state and a command that there are", () => {
  for (
    const [rows, states, commands] of [[workRows, workStates, workCommands], [runRows, runStates, runCommands]] as const
  ) {
    const pairs = rows.map((row) => `${row.state} + ${row.command}`)
    expect(pairs.filter((pair, index) => pairs.indexOf(pair) !== index)).toEqual([])
    for (const row of rows) {
      expect(Object.keys(states)).toContain(row.state)
      expect(Object.keys(states)).toContain(row.next)
      expect(Object.keys(commands)).toContain(row.command)
    }
  }
})

it("every event that there is occurs in a row", () => {
  const occurring = new Set([...workRows, ...runRows].flatMap((row) => row.events.split(", ")))
  const tags = RunEvent.members.map((member) => member.fields._tag.schema.literal)
  expect(tags.filter((tag) => !occurring.has(tag))).toEqual([])
})
