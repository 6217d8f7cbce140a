/**
 * The accounting after a chaos campaign: what the jobs wrote themselves, against what the journal says.
 */
import type { RunEvent } from "@espalier/engine"
import { type TreeView, TreeView as View } from "@espalier/workflow"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** What a job of the chaos program wrote about itself. */
interface OwnRecord {
  readonly directory: string
  readonly experiment: string
  readonly startedAt: number
  readonly endedAt: number
  readonly exitCode: number
  readonly hash: string
  readonly parameters: Readonly<Record<string, unknown>>
}

/** The outcome of the accounting: what was counted, and every disagreement in words. */
export interface Audit {
  readonly figures: Readonly<Record<string, number | string>>
  readonly faults: ReadonlyArray<string>
}

const readRecords = (workdir: string): ReadonlyArray<OwnRecord> => {
  const file = join(workdir, "records.jsonl")
  return existsSync(file)
    ? readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as OwnRecord)
    : []
}

/** Times at which engines were alive, as the campaign observed them: [spawned, dead]. */
export type Lives = ReadonlyArray<readonly [number, number]>

/** Compares everything that can be compared. */
export const audit = (
  workdir: string,
  events: ReadonlyArray<RunEvent.Sequenced>,
  lives: Lives,
  machine: number
): Audit => {
  const faults: Array<string> = []
  const fault = (text: string): void => void faults.push(text)
  const view: TreeView.TreeView = View.fold(events)
  const records = readRecords(workdir)

  // Every job ran exactly once, and the journal knows each.
  const byDirectory = Map.groupBy(records, (record) => record.directory)
  for (const [directory, runs] of byDirectory) if (runs.length !== 1) fault(`${directory} ran ${runs.length} times`)
  const folders = existsSync(join(workdir, "jobs"))
    ? readdirSync(join(workdir, "jobs")).filter((name) => !name.startsWith("."))
    : []
  const journaled = new Map(view.jobs.map((job) => [job.handle.directory, job]))
  if (journaled.size !== view.jobs.length) fault("the journal has a job directory twice")
  for (const directory of byDirectory.keys()) if (!journaled.has(directory)) fault(`${directory} is not in the journal`)
  for (const directory of journaled.keys()) {
    if (!byDirectory.has(directory)) fault(`${directory} has no record of its own`)
  }

  // Every end is the true one, also of jobs that ended while no engine was alive.
  let unwatched = 0
  let unwatchedFailures = 0
  for (const [directory, job] of journaled) {
    const own = byDirectory.get(directory)?.[0]
    if (own === undefined) continue
    const isUnwatched = !lives.some(([from, to]) => from <= own.endedAt && own.endedAt <= to)
    if (isUnwatched) unwatched += 1
    if (isUnwatched && own.exitCode !== 0) unwatchedFailures += 1
    const told = job.status?._tag === "Exited" ? job.status.exitCode : job.status?._tag ?? "no end"
    if (told !== own.exitCode) fault(`${directory} exited with ${own.exitCode}, the journal says ${told}`)
  }

  // Never more jobs at once than the machine has places.
  let most = 0
  for (const record of records) {
    const together = records.filter((other) => other.startedAt < record.endedAt && record.startedAt < other.endedAt)
    most = Math.max(most, together.length)
  }
  if (most > machine) fault(`${most} jobs ran at the same time; the machine has ${machine} place(s)`)

  // Every experiment once, every child with its parent, no gap in the numbers.
  const works = new Set<string>()
  const settled = new Map<string, number>()
  const add = (spec: RunEvent.Of<"WorkAdded">["spec"]): void => {
    if (works.has(spec.id)) fault(`work ${spec.id} was added twice`)
    works.add(spec.id)
    if (spec.parent !== undefined && !settled.has(spec.parent)) fault(`work ${spec.id} came before its parent settled`)
  }
  let last = 0
  for (const { event, seq } of events) {
    if (seq !== last + 1) fault(`the journal goes from ${last} to ${seq}`)
    last = seq
    if (event._tag === "WorkAdded") add(event.spec)
    if (event._tag === "WorkSucceeded" || event._tag === "WorkFailed" || event._tag === "WorkCancelled") {
      settled.set(event.id, (settled.get(event.id) ?? 0) + 1)
      if (settled.get(event.id) !== 1) fault(`work ${event.id} settled twice`)
    }
    if (event._tag === "WorkSucceeded" || event._tag === "WorkFailed") event.children.forEach(add)
    if (event._tag === "StepRecorded" && event.step === "decide") {
      const { proposed } = event.result as unknown as { readonly proposed: ReadonlyArray<string> }
      const children = event.children.map((child) => child.spec.id)
      for (const id of proposed) if (!children.includes(`experiment/${id}`)) fault(`${id} was proposed without a work`)
    }
  }
  for (const id of works) if (!settled.has(id)) fault(`work ${id} never settled`)
  const numbers = [...view.tree.nodes.keys()].filter((id) => /^e\d+$/.test(id)).map((id) => Number(id.slice(1))).sort((
    a,
    b
  ) => a - b)
  numbers.forEach((number, index) => {
    if (number !== index + 1) fault(`experiment number ${index + 1} is missing`)
  })
  for (const node of view.tree.nodes.values()) {
    if (node.status !== "completed" && node.status !== "failed") fault(`experiment ${node.id} is ${node.status}`)
    if (node.parent !== null && !view.tree.nodes.has(node.parent)) {
      fault(`experiment ${node.id} has no parent ${node.parent}`)
    }
    // Each ran its own code: the parameters that its job read are the ones that it was to try.
    for (const record of records.filter((each) => each.experiment === node.id)) {
      for (const [name, value] of Object.entries(node.changes.parameters)) {
        if (record.parameters[name] !== value) {
          fault(`${node.id} ran with ${name}=${String(record.parameters[name])}, not ${value}`)
        }
      }
    }
  }
  if (view.state !== "completed") fault(`the run is ${view.state}`)

  return {
    faults,
    figures: {
      experiments: view.tree.nodes.size,
      completed: [...view.tree.nodes.values()].filter((node) => node.status === "completed").length,
      failed: [...view.tree.nodes.values()].filter((node) => node.status === "failed").length,
      confirmations: view.confirms.size,
      "jobs in the journal": view.jobs.length,
      "jobs by their own records": records.length,
      "job folders": folders.length,
      "most jobs at once": most,
      "ended with no engine alive": unwatched,
      "of these failed": unwatchedFailures,
      events: events.length
    }
  }
}
