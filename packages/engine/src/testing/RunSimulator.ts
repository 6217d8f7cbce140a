/**
 * The real engine in a simulated world: from one seed a random program of works, controls and faults, carried through process after
 * process to its end, in virtual time and within one call.
 *
 * What is checked, by watchers that know nothing of the engine's state (they are the handlers, the client and the store):
 *
 * - the events add up (`Accounting`): each work settles once in a generation, no limit is passed, nothing starts that may not;
 * - handlers are never more at the same time than any limit allows, across crashes too;
 * - no step runs again that is recorded; what `Step.run` and `Slots.hold` return, and whatever `status`, `changes`, `events`, `view`,
 *   `submit`, `add` and `await` tell, is durable at that moment;
 * - readers of events see each once, in order, whenever they come;
 * - children are added if and only if the record that carries them is;
 * - a status is what the fold of the journal gives;
 * - the run comes to its end, every work that was answered for has settled, and in a steady program the outcomes are those of a
 *   run in which nothing went wrong.
 *
 * A seed is a program: `simulate(RunSimulator.programOf(seed))` gives the same report each time. `shrink` leaves out what a failure
 * does not need.
 */
import { Cause, Clock, Context, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { JournalError } from "../Journal.ts"
import type { RunEvent } from "../RunEvent.ts"
import { Outside } from "./internal/Outside.ts"
import { Random } from "./internal/Random.ts"
import type { Fault, Life, Program } from "./internal/Program.ts"
import { deployed, Simulated } from "./internal/SimulatedKinds.ts"
import { type Agenda, runId, Session } from "./internal/SimulatedSession.ts"
import { smaller } from "./internal/shrink.ts"
import * as SimulatedStore from "./internal/SimulatedStore.ts"
import { SimulationScheduler } from "./internal/SimulationScheduler.ts"
import * as TestMachine from "./TestMachine.ts"
import type { Process } from "./TestProcess.ts"

export type { Program } from "./internal/Program.ts"
export { programOf } from "./internal/RandomProgram.ts"

/** How works ended, by id: the tag of the event and, for a success or a typed failure, the value. */
export type Outcomes = ReadonlyMap<string, string>

/**
 * - `violations`: what did not fit together; nothing, when all is well.
 * - `outcomes`: how works ended. `processes`: how many there were. `events`: what is on record at the end.
 * - `coverage`: how often what happened: controls, refusals, events, failpoints, crashes.
 */
export interface Report {
  readonly program: Program
  readonly violations: ReadonlyArray<string>
  readonly outcomes: Outcomes
  readonly processes: number
  readonly events: ReadonlyArray<RunEvent>
  readonly coverage: ReadonlyMap<string, number>
  readonly log: ReadonlyArray<string>
}

/** More than this is no program that comes to its end. */
const mostTasks = 3_000_000
const mostEvents = 10_000
const mostProcesses = 40

/** The clock below the test clock: nothing waits for real time. */
const noClock: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.never
}

const flat = <A, E>(exit: Exit.Exit<Exit.Exit<A, E>>): Exit.Exit<A, E> =>
  Exit.isSuccess(exit) ? exit.value : Exit.failCause(exit.cause)

type Launched = Effect.Success<ReturnType<typeof TestMachine.assemble>>

class Simulation {
  readonly outside: Outside
  readonly log: Array<string> = []
  processes = 0
  private readonly program: Program
  private readonly agenda: Agenda
  private launched!: Launched

  constructor(program: Program) {
    this.program = program
    this.outside = new Outside(program)
    this.agenda = {
      additions: [...program.additions],
      controls: [...program.controls],
      answered: new Map(),
      asked: new Set(),
      startedAt: 1_000
    }
  }

  readonly run = Effect.scoped(Effect.gen({ self: this }, function*() {
    yield* TestClock.setTime(this.agenda.startedAt)
    this.launched = yield* TestMachine.assemble(
      SimulatedStore.layer(this.outside, new Random(this.program.seed ^ 0xd15c))
    )
    const { world } = this.launched
    this.outside.now = () => world.now
    for (let life = 0; life < mostProcesses; life++) {
      const end = yield* this.live(this.program.lives[life] ?? { faults: [] })
      this.note(`process ${this.processes} ends: ${end}`)
      this.outside.died(this.processes)
      if (end === "completed" || end === "cancelled" || end === "stuck") break
      if (this.outside.violations.length > 0) break
      if (life === mostProcesses - 1) this.outside.violate(`the run does not end in ${mostProcesses} processes`)
      // The machine is down for a while.
      yield* world.advanceTo(world.now + (life % 3) * 350)
    }
    for (const [name, count] of yield* this.launched.machine.failpoints.counts) {
      this.outside.coverage.set(`failpoint ${name.replace(/ .*/, "")}`, count)
    }
    if (this.outside.violations.length === 0) this.checkEnd()
  }))

  private note(what: string): void {
    this.log.push(`at ${this.outside.now()} ms: ${what}`)
  }

  /** One process, to its end. */
  private live(life: Life) {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const { outside, program } = this
      const { launch, machine, world } = this.launched
      this.processes += 1
      yield* machine.failpoints.clear
      yield* machine.faults.clear
      const { handle, process } = yield* launch(deployed(outside, this.processes, life.deployment))
      const stopping = { asked: false }
      for (const fault of life.faults) yield* this.arm(fault, process, stopping)
      const session = new Session(outside, program, this.agenda, () => world.now, life)
      const client = world.kernel.fork(
        Effect.exit(handle.use(session.run as Effect.Effect<string, unknown, Simulated>))
      )
      for (;;) {
        yield* world.quiet(1)
        const exit = client.pollUnsafe()
        if (process.isDead) {
          outside.cover(`ended by ${(yield* process.crashed).replace(/ .*/, "")}`)
          return `crashed (${yield* process.crashed})`
        }
        if (exit !== undefined || stopping.asked) {
          const end = exit === undefined ? "stopped" : this.endOf(flat(exit), session.mayFail)
          outside.cover(`ended by ${end}`)
          client.interruptUnsafe()
          yield* world.drive(Effect.asVoid(Fiber.await(client)))
          yield* process.stop
          if (!process.isDead) process.die("over")
          return end
        }
        if (outside.seq > mostEvents) {
          outside.violate(`the run goes on and on: it has ${outside.seq} events`)
          process.die("endless")
          return "stuck"
        }
        const next = world.nextWake
        if (next === undefined && life.deployment !== undefined) {
          // What it cannot do waits for a process that can.
          stopping.asked = true
          continue
        }
        if (next === undefined) {
          const status = yield* Effect.exit(handle.use(Effect.flatMap(Simulated, (engine) => engine.inspect(runId))))
          outside.violate(
            `nothing is left that could happen, and the run has not ended: ${
              Exit.isSuccess(status)
                ? JSON.stringify({
                  state: status.value.state,
                  running: status.value.running,
                  waiting: status.value.waiting
                })
                : "and nobody answers"
            }; left to add: ${this.agenda.additions.length}, to order: ${this.agenda.controls.length}`
          )
          process.die("stuck")
          return "stuck"
        }
        yield* world.clock.setTime(next)
      }
    }))
  }

  private endOf(exit: Exit.Exit<string, unknown>, mayFail: boolean): string {
    if (Exit.isSuccess(exit)) return exit.value
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    if (error instanceof JournalError && mayFail) return "JournalError"
    this.outside.violate(`the client fails: ${Cause.pretty(exit.cause)}`)
    return "failure"
  }

  private arm(fault: Fault, process: Process, stopping: { asked: boolean }) {
    const { machine: { failpoints, faults }, world } = this.launched
    const later = (millis: number, act: () => void) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => world.kernel.fork(Effect.andThen(Effect.sleep(millis), Effect.sync(act)))),
        (fiber) => Effect.sync(() => fiber.interruptUnsafe())
      ))
    switch (fault._tag) {
      case "CrashAtEffect":
        return Effect.sync(() => {
          this.atEffect(process, fault.effects, () => process.die(`effect ${fault.effects}`))
        })
      case "StandStill":
        return Effect.sync(() => {
          this.atEffect(process, fault.at, () => {
            this.outside.cover("stood still")
            process.life.stand()
            world.kernel.fork(Effect.andThen(Effect.sleep(fault.millis), Effect.sync(() => process.life.goOn())))
          })
        })
      case "CrashAtFailpoint":
        return failpoints.crashAt(fault.name, fault.nth)
      case "CrashAt":
        return later(fault.millis, () => process.die(`time ${fault.millis}`))
      case "Stop":
        return later(fault.millis, () => void (stopping.asked = true))
      case "LoseLock":
        return later(fault.millis, () => void world.kernel.fork(faults.loseLock(runId)))
      case "Journal": {
        const aim = { nth: fault.nth, when: fault.when }
        return fault.slow === undefined
          ? faults.fail(fault.operation, aim)
          : faults.delay(fault.operation, fault.slow, aim)
      }
    }
  }

  private atEffect(process: Process, effects: number, act: () => void): void {
    const { life } = process
    const before = life.onEffect
    const target = life.effects + effects
    life.onEffect = (count) => {
      before?.(count)
      if (count === target) act()
    }
  }

  private checkEnd(): void {
    const { accounting } = this.outside
    for (const [id, as] of this.agenda.answered) {
      if (as === "refused") continue
      const account = accounting.works.get(as)
      if (account === undefined) {
        if (accounting.forgotten === 0 && this.outside.works.get(id)?.dedupe === undefined) {
          this.outside.violate(`"${as}" was added, and is lost`)
        }
      } else if (account.status !== "settled") {
        this.outside.violate(`"${as}" is ${account.status} at the end`)
      }
    }
    for (const [id, { status }] of accounting.works) {
      this.outside.require(status === "settled", () => `"${id}" is ${status} at the end of the run`)
    }
  }

  get outcomes(): Outcomes {
    const outcomes = new Map<string, string>()
    for (const [id, { outcome }] of this.outside.accounting.works) {
      if (outcome === undefined) continue
      outcomes.set(id, `${outcome._tag} ${JSON.stringify(valueOf(outcome))}`)
    }
    return outcomes
  }
}

const valueOf = (event: RunEvent): unknown => {
  switch (event._tag) {
    case "WorkSucceeded":
      return (event.result as { readonly value?: unknown }).value
    case "WorkFailed": {
      const { failure } = event
      if (failure._tag === "Error") return (failure.error as { readonly value?: unknown }).value
      return failure._tag === "Defect" ? failure.message : failure._tag
    }
    // Of several reasons to skip it the first that comes is told.
    default:
      return undefined
  }
}

/** Carries a program through, without comparing it with anything. */
const once = (program: Program): Report => {
  const random = new Random(program.seed ^ 0x5eed)
  const scheduler = new SimulationScheduler(random)
  const simulation = new Simulation(program)
  const { outside } = simulation
  const context = Context.make(Scheduler.Scheduler, scheduler).pipe(Context.add(Clock.Clock, noClock))
  const fiber = Effect.runForkWith(context)(
    simulation.run.pipe(Effect.provide(TestClock.layer()))
  )
  const isOver = scheduler.drain(mostTasks)
  const exit = fiber.pollUnsafe()
  if (!isOver) outside.violate(`the program goes on and on: ${mostTasks} tasks were not enough`)
  else if (exit === undefined) outside.violate("the simulation waits for something that is not simulated")
  else if (Exit.isFailure(exit)) outside.violate(`the simulation fails: ${Cause.pretty(exit.cause)}`)
  return {
    program,
    violations: outside.violations,
    outcomes: simulation.outcomes,
    processes: simulation.processes,
    events: outside.events,
    coverage: outside.coverage,
    log: simulation.log
  }
}

/**
 * Carries a program through, and reports what did not fit together.
 *
 * @example
 * ```ts
 * import { RunSimulator } from "@espalier/engine/testing"
 * import assert from "node:assert"
 *
 * const report = RunSimulator.simulate(RunSimulator.programOf(7))
 * assert.deepStrictEqual(report.violations, [])
 * // The same seed is the same program, and comes to the same end in the same way.
 * const again = RunSimulator.simulate(RunSimulator.programOf(7))
 * assert.deepStrictEqual(again.events.length, report.events.length)
 * ```
 */
export const simulate = (program: Program): Report => {
  const report = once(program)
  if (!program.isSteady || report.violations.length > 0) return report
  const reference = once({ ...program, controls: [], lives: [] })
  const violations = reference.violations.map((each) => `without faults: ${each}`)
  for (const id of new Set([...report.outcomes.keys(), ...reference.outcomes.keys()])) {
    const expected = reference.outcomes.get(id)
    const found = report.outcomes.get(id)
    if (found !== expected) violations.push(`"${id}" ends as ${found}; where nothing goes wrong, as ${expected}`)
  }
  return { ...report, violations }
}

/** What is wrong, without the names and numbers that change from program to program. */
const signatureOf = (violation: string): string =>
  violation.replace(/^at [\d.]+ ms: |^event \d+: /g, "").replaceAll(/"[^"]*"|\{.*|\d+/gs, "_").slice(0, 80)

/**
 * The smallest program found that goes wrong in the same way: parts are left out as long as it does. The scheduling of a smaller
 * program is another one, so that a rare fault may hide: then the program stays as large as it is.
 */
export const shrink = (program: Program, attempts = 600): Report => {
  let report = simulate(program)
  if (report.violations.length === 0) return report
  const signature = signatureOf(report.violations[0]!)
  let left = attempts
  for (let isSmaller = true; isSmaller && left > 0;) {
    isSmaller = false
    for (const each of smaller(report.program)) {
      if (left-- <= 0) break
      const next = simulate(each)
      if (next.violations.length === 0 || signatureOf(next.violations[0]!) !== signature) continue
      report = next
      isSmaller = true
      break
    }
  }
  return report
}

/** What a person needs to know of a failure: what is wrong, the program, and how its processes ended. */
export const describe = ({ log, program, violations }: Report): string => {
  const { seed, ...rest } = program
  return [`seed ${seed}:`, ...violations, ...log, JSON.stringify(rest)].join("\n")
}
