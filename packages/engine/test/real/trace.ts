/**
 * Reading what `strace` saw of a process that writes a journal, and judging whether what it acknowledged was on the disk.
 *
 * The process leaves marks in a file of their own: `ask X` before it asks for something durable, `ack X` when it has the answer.
 * So the marks stand in the trace among the journal's own system calls, and their order can be looked at.
 */

/** A system call on a file. `start` and `end` are places in the trace: other threads' calls may lie between them. */
export interface Call {
  readonly name: string
  readonly path: string
  /** The beginning of what was written, as `strace` shows it. */
  readonly text: string
  readonly start: number
  readonly end: number
  readonly succeeded: boolean
}

const began = /^(\d+)\s+(\w+)\(\d+<([^>]*)>(?:\(deleted\))?(.*)$/
const resumed = /^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$/
const unfinished = " <unfinished ...>"

/** The calls in the order in which they began. To be made with `strace -f -y`: threads by number, descriptors by path. */
export const parse = (trace: string): ReadonlyArray<Call> => {
  const calls: Array<{ -readonly [Key in keyof Call]: Call[Key] }> = []
  const open = new Map<string, { -readonly [Key in keyof Call]: Call[Key] }>()
  trace.split("\n").forEach((line, place) => {
    const first = began.exec(line)
    if (first !== null) {
      const [, thread = "", name = "", path = "", rest = ""] = first
      const isOver = !rest.endsWith(unfinished)
      const call = {
        name,
        path,
        text: textOf(rest),
        start: place,
        end: isOver ? place : Infinity,
        succeeded: isOver && hasSucceeded(rest)
      }
      calls.push(call)
      if (!isOver) open.set(thread, call)
      return
    }
    const second = resumed.exec(line)
    if (second === null) return
    const [, thread = "", name = "", rest = ""] = second
    const call = open.get(thread)
    // One on a descriptor that is no file, or of another name: not looked at.
    if (call === undefined || call.name !== name) return
    open.delete(thread)
    call.end = place
    call.succeeded = hasSucceeded(rest)
  })
  return calls
}

const hasSucceeded = (rest: string): boolean => / = \d+$/.test(rest)
const textOf = (rest: string): string => /^, "((?:[^"\\]|\\.)*)"/.exec(rest)?.[1] ?? ""

const isWrite = ({ name }: Call): boolean =>
  name === "write" || name === "pwrite64" || name === "writev" || name === "pwritev"
const isSync = ({ name, succeeded }: Call): boolean => (name === "fsync" || name === "fdatasync") && succeeded

export interface Verdict {
  /** What was acknowledged, and how many syncs of the journal there were from the first asking to the last answer. */
  readonly acknowledged: number
  readonly syncs: number
  /** One for each acknowledgement of something that was not on the disk. */
  readonly faults: ReadonlyArray<string>
}

/**
 * Judges the acknowledgements whose names begin with `prefix`. Each needs, between asking and answer, a write into the journal and
 * after it a sync of the journal that was over before the answer began.
 *
 * With `alone` nothing else is written meanwhile: then no write at all may be without its sync when the answer is given.
 */
export const judge = (
  calls: ReadonlyArray<Call>,
  { alone = false, journal, marks, prefix }: {
    readonly journal: string
    readonly marks: string
    readonly prefix: string
    readonly alone?: boolean
  }
): Verdict => {
  const log = `${journal}-wal`
  const writes = calls.filter((call) => isWrite(call) && call.path === log)
  const syncs = calls.filter((call) => isSync(call) && call.path === log)
  const asked = new Map<string, Call>()
  const faults: Array<string> = []
  let acknowledged = 0
  let from = Infinity
  let to = 0
  for (const call of calls) {
    const [, sort, name = ""] = call.path === marks && isWrite(call) ? /^(ask|ack) (\S+)\\n$/.exec(call.text) ?? [] : []
    if (sort === undefined || !name.startsWith(prefix)) continue
    if (sort === "ask") {
      asked.set(name, call)
      from = Math.min(from, call.start)
      continue
    }
    acknowledged += 1
    to = Math.max(to, call.end)
    const fault = faultOf(asked.get(name), call, writes, syncs, alone)
    if (fault !== undefined) faults.push(`${name}: ${fault}`)
  }
  return { acknowledged, syncs: syncs.filter(({ end, start }) => start > from && end < to).length, faults }
}

const faultOf = (
  ask: Call | undefined,
  answer: Call,
  writes: ReadonlyArray<Call>,
  syncs: ReadonlyArray<Call>,
  alone: boolean
): string | undefined => {
  if (ask === undefined) return "answered without having been asked"
  const between = writes.filter(({ end, start }) => start > ask.end && end < answer.start)
  const first = between[0]
  if (first === undefined) return "nothing was written between asking and answer"
  const isSynced = (write: Call): boolean => syncs.some(({ end, start }) => start > write.end && end < answer.start)
  if (!isSynced(first)) return "what was written was not synced before the answer"
  const left = alone ? writes.filter((write) => write.start < answer.start && !isSynced(write)).length : 0
  return left === 0 ? undefined : `${left} writes were not synced before the answer`
}
