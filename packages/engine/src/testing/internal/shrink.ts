/**
 * Programs that are smaller than a given one: with a part left out.
 */
import type { Addition, Control, Fault, Life, Operation, Program, Work } from "./Program.ts"

const without = <A>(all: ReadonlyArray<A>, from: number, count = 1): ReadonlyArray<A> => [
  ...all.slice(0, from),
  ...all.slice(from + count)
]

/** Halves first, then single ones. */
const parts = function*<A>(all: ReadonlyArray<A>): Generator<ReadonlyArray<A>> {
  if (all.length > 3) {
    const half = all.length >> 1
    yield without(all, half, all.length)
    yield without(all, 0, half)
  }
  for (let at = all.length - 1; at >= 0; at--) yield without(all, at)
}

/** A work that is no longer there is not waited for. */
const sound = (program: Program): Program => {
  const ids = new Set(program.additions.flatMap(({ works }) => works.map(({ id }) => id)))
  const additions = program.additions.map(({ at, works }): Addition => ({
    at,
    works: works.map(({ after, ...work }): Work => {
      const left = after?.filter((id) => ids.has(id)) ?? []
      return {
        ...work,
        ...(left.length === 0 ? {} : { after: left }),
        operations: work.operations.filter((operation) => operation._tag !== "Read" || ids.has(operation.id))
      }
    })
  })).filter(({ works }) => works.length > 0)
  return { ...program, additions }
}

const optional = [
  "key",
  "slots",
  "onDependencyFailure",
  "notBeforeIn",
  "deadlineIn",
  "timeToLive",
  "dedupe",
  "onCollision",
  "after"
] as const

const smallerWorks = function*(work: Work): Generator<Work> {
  for (const operations of parts(work.operations)) yield { ...work, operations }
  for (const name of optional) {
    if (work[name] === undefined) continue
    const { [name]: _, ...rest } = work
    yield rest
  }
  if (work.end._tag !== "Succeed") yield { ...work, end: { _tag: "Succeed" } }
  if (work.cleanUp.fails + work.cleanUp.millis > 0) yield { ...work, cleanUp: { fails: 0, millis: 0 } }
  if (work.priority !== 0) yield { ...work, priority: 0 }
  for (const [at, operation] of work.operations.entries()) {
    for (const each of smallerOperations(operation)) yield { ...work, operations: work.operations.with(at, each) }
  }
}

const smallerOperations = function*(operation: Operation): Generator<Operation> {
  if (operation._tag === "Step") {
    const { children, fails, slots, ...plain } = operation
    if (children !== undefined || fails !== undefined || slots !== undefined) yield plain
    for (const left of parts(children ?? [])) {
      const { children: _, ...rest } = operation
      yield left.length === 0 ? rest : { ...rest, children: left }
    }
    for (const [at, child] of (children ?? []).entries()) {
      for (const work of smallerWorks(child.work)) {
        yield { ...operation, children: children!.with(at, { ...child, work }) }
      }
    }
  }
  if (operation._tag === "Spawn") {
    for (const work of smallerWorks(operation.child.work)) yield { ...operation, child: { ...operation.child, work } }
  }
  if ("millis" in operation && operation.millis > 0) yield { ...operation, millis: 0 }
}

const options = [
  "keyLimit",
  "capacity",
  "failFast",
  "maxCrashes",
  "retain",
  "reserveAfter",
  "snapshots"
] as const

/** Each a little smaller than the program, the ones that leave out most first. */
export const smaller = function*(program: Program): Generator<Program> {
  const { additions, controls, lives } = program
  for (const each of parts<Addition>(additions)) yield sound({ ...program, additions: each })
  for (const each of parts<Control>(controls)) yield { ...program, controls: each }
  for (const each of parts<Life>(lives)) yield { ...program, lives: each }
  for (const [at, life] of lives.entries()) {
    for (const faults of parts<Fault>(life.faults)) yield { ...program, lives: lives.with(at, { ...life, faults }) }
    if (Object.keys(life).length > 1) yield { ...program, lives: lives.with(at, { faults: life.faults }) }
  }
  for (const [at, { works }] of additions.entries()) {
    for (const each of parts<Work>(works)) {
      yield sound({ ...program, additions: additions.with(at, { ...additions[at]!, works: each }) })
    }
  }
  for (const name of options) {
    if (program.options[name] === undefined) continue
    // Without it a steady program whose works are cut short by crashes would not be one.
    if (name === "maxCrashes" && program.isSteady) continue
    const { [name]: _, ...rest } = program.options
    yield { ...program, options: rest }
  }
  for (const [at, addition] of additions.entries()) {
    for (const [place, work] of addition.works.entries()) {
      for (const each of smallerWorks(work)) {
        yield { ...program, additions: additions.with(at, { ...addition, works: addition.works.with(place, each) }) }
      }
    }
    if (addition.at > 0) yield { ...program, additions: additions.with(at, { ...addition, at: 0 }) }
  }
}
