/**
 * The service as a process of its own, and what a client sees of it.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"

const main = join(import.meta.dirname, "../../main.ts")

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

export interface Service {
  readonly url: string
  readonly output: () => string
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

export interface Starting {
  readonly listening: Promise<Service>
  /** When it has printed this. */
  readonly says: (pattern: RegExp) => Promise<string>
}

/** Starts it on any port that is free, and waits until it listens. */
export const start = (directory: string, ...options: ReadonlyArray<string>): Promise<Service> =>
  launch(directory, ...options).listening

/** Starts it on any port that is free. */
export const launch = (directory: string, ...options: ReadonlyArray<string>): Starting => {
  const child = spawn(
    process.execPath,
    ["--conditions=espalier-source", main, directory, "--port", "0", ...options],
    { stdio: ["ignore", "pipe", "pipe"] }
  )
  let output = ""
  const ended = new Promise<Ended>((resolve) => child.on("close", (code, signal) => resolve({ code, signal })))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  const says = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(output)
        if (found !== null) resolve(found[1] ?? found[0])
      }
      child.stdout.on("data", look)
      look()
      void ended.then(({ code }) => reject(new Error(`it ended with ${code} before it said ${pattern}: ${output}`)))
    })
  const listening = says(/listening on (http:\S+)/).then((url) => ({
    url,
    output: () => output,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    ended
  }))
  return { listening, says }
}

/** What the tests look at of a job. */
export interface Job {
  readonly id: string
  readonly state: string
  readonly attempt: number
  readonly generation: number
  readonly why?: string
  readonly progress?: { readonly current: number; readonly total: number }
  readonly outcome?: { readonly _tag: string; readonly result?: { readonly count: number; readonly largest: number } }
}

export const submit = async (
  { url }: Service,
  payload: unknown,
  headers: Record<string, string> = {}
): Promise<Job> => {
  const response = await fetch(`${url}/jobs`, { method: "POST", body: JSON.stringify(payload), headers })
  return await response.json() as Job
}

export const look = async ({ url }: Service, id: string): Promise<Job> =>
  await (await fetch(`${url}/jobs/${id}`)).json() as Job

/** Looks until it is so. */
export const until = async (service: Service, id: string, isSo: (job: Job) => boolean): Promise<Job> => {
  while (true) {
    const job = await look(service, id)
    if (isSo(job)) return job
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export interface RunEvent {
  readonly seq: number
  readonly _tag: string
  readonly id?: string
  readonly result?: { readonly upTo: number }
}

/** The events after a number, up to the first one that is so. */
export const eventsUntil = async (
  { url }: Service,
  after: number,
  isLast: (event: RunEvent) => boolean
): Promise<ReadonlyArray<RunEvent>> => {
  const response = await fetch(`${url}/events`, { headers: { "Last-Event-ID": String(after) } })
  const events: Array<RunEvent> = []
  const decoder = new TextDecoder()
  let rest = ""
  for await (const chunk of response.body!) {
    rest += decoder.decode(chunk, { stream: true })
    const blocks = rest.split("\n\n")
    rest = blocks.pop()!
    for (const block of blocks) {
      const [, id, data] = /^id: (\d+)\nevent: .*\ndata: (.*)$/.exec(block) ?? []
      if (data === undefined) continue
      const event: RunEvent = { ...JSON.parse(data), seq: Number(id) }
      events.push(event)
      if (isLast(event)) return events
    }
  }
  throw new Error(`the stream ended after ${events.length} events`)
}
