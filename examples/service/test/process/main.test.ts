import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { eventsUntil, type Job, launch, look, type RunEvent, type Service, start, submit, until } from "./service.ts"

/** Takes some seconds; the answer is in the tables. */
const long = { below: 200_000_000 }
const answer = { count: 11_078_937, largest: 199_999_991 }
const everySegment = Array.from({ length: 200 }, (_, index) => (index + 1) * 1_000_000)

/** How far the search had come at each record. */
const segmentsOf = (events: ReadonlyArray<RunEvent>) =>
  events.flatMap(({ _tag, result }) => _tag === "StepRecorded" ? [result?.upTo] : [])

const isFarEnough = ({ progress }: Job) => (progress?.current ?? 0) >= 20_000_000
const isOver = ({ outcome }: Job) => outcome !== undefined

describe("the service", () => {
  let directory: string
  let services: Array<Service>
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-service-"))
    services = []
  })
  afterEach(async () => {
    for (const service of services) service.kill("SIGKILL")
    await Promise.all(services.map(({ ended }) => ended))
    rmSync(directory, { recursive: true, force: true })
  })

  const begin = async (...options: ReadonlyArray<string>): Promise<Service> => {
    const service = await start(directory, ...options)
    services.push(service)
    return service
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`that gets ${signal} ends event streams, suspends its jobs, exits with 0, and goes on when it is started again`, async () => {
      const first = await begin()
      const { id } = await submit(first, long)
      const streamed = (await fetch(`${first.url}/events?after=1`)).text()
      await until(first, id, isFarEnough)
      first.kill(signal)
      expect(await first.ended).toEqual({ code: 0, signal: null })
      expect(first.output()).toMatch(/^listening on .*\nstopping\nstopped: the next start goes on\n$/)
      const seen = [...(await streamed).matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))
      expect(seen).toEqual(Array.from(seen, (_, index) => index + 2))
      await expect(fetch(`${first.url}/status`)).rejects.toThrow("fetch failed")

      const second = await begin()
      const done = await until(second, id, isOver)
      expect([done.state, done.attempt, done.outcome?.result]).toEqual(["succeeded", 1, answer])
      const events = await eventsUntil(second, 0, ({ _tag }) => _tag === "WorkSucceeded")
      expect(events.filter(({ _tag }) => _tag === "WorkInterrupted")).toHaveLength(1)
      expect(segmentsOf(events)).toEqual(everySegment)
      // A client that was cut off goes on with the event after its last one.
      const [next] = await eventsUntil(second, seen.at(-1)!, () => true)
      expect(next).toEqual(events.find(({ seq }) => seq === seen.at(-1)! + 1))
    })
  }

  it("that is killed goes on from the last segment that was recorded, and knows its idempotency keys", async () => {
    const first = await begin()
    const { id } = await submit(first, long, { "Idempotency-Key": "order 17" })
    await until(first, id, isFarEnough)
    first.kill("SIGKILL")
    expect(await first.ended).toEqual({ code: null, signal: "SIGKILL" })

    const second = await begin()
    const again = await submit(second, long, { "Idempotency-Key": "order 17" })
    expect(again.id).toBe(id)
    const done = await until(second, id, isOver)
    expect([done.state, done.attempt, done.outcome?.result]).toEqual(["succeeded", 1, answer])
    // No segment is lost and none is recorded twice.
    expect(segmentsOf(await eventsUntil(second, 0, ({ _tag }) => _tag === "WorkSucceeded"))).toEqual(everySegment)
  })

  it("is deployed anew: jobs that were queued before are read, or wait in sight until a version comes that reads them", async () => {
    const v1 = await begin("--deploy", "v1")
    // Two of the first run; the third is still queued when the service stops.
    const jobs = [await submit(v1, long), await submit(v1, long), await submit(v1, { below: 1_000 })]
    const queued = jobs[2]!.id
    v1.kill("SIGTERM")
    await v1.ended

    const careless = await begin("--deploy", "careless")
    const blocked = await until(careless, queued, ({ state }) => state === "blocked")
    expect(blocked.why).toContain("this program cannot run it: its payload does not fit")
    const { waiting } = await (await fetch(`${careless.url}/status`)).json() as {
      readonly waiting: ReadonlyArray<{ readonly count: number; readonly reason: { readonly _tag: string } }>
    }
    expect(waiting.map(({ count, reason }) => [count, reason._tag])).toEqual([[3, "Undecodable"]])
    careless.kill("SIGTERM")
    await careless.ended

    const v2 = await begin("--deploy", "v2")
    const done = await until(v2, queued, isOver)
    expect([done.state, done.attempt, done.outcome?.result]).toEqual(["succeeded", 1, { count: 168, largest: 997 }])
    // What version 1 had begun goes on where it was.
    const begun = await until(v2, jobs[0]!.id, isOver)
    expect([begun.state, begun.attempt, begun.outcome?.result]).toEqual(["succeeded", 1, answer])
  })

  it("waits for the process before it, which may still be stopping", async () => {
    const first = await begin()
    const { id } = await submit(first, { below: 1_000 })
    const starting = launch(directory)
    // It is refused the run for as long as the first one lives.
    await starting.says(/waiting for the process before this one to stop: .*primes service/)
    first.kill("SIGTERM")
    const second = await starting.listening
    services.push(second)
    expect((await look(second, id)).outcome?.result).toEqual({ count: 168, largest: 997 })
  })

  it("ends when its journal fails: a service that can promise nothing is better started anew", async () => {
    const service = await begin()
    rmSync(join(directory, "jobs.db"))
    const response = await fetch(`${service.url}/jobs`, { method: "POST", body: JSON.stringify({ below: 10 }) })
    expect(response.status).toBe(503)
    expect((await service.ended).code).toBe(1)
    expect(service.output()).toContain("jobs.db")
  })

  it("says in one line that its port is taken", async () => {
    const service = await begin()
    const other = mkdtempSync(join(tmpdir(), "espalier-service-"))
    await expect(start(other, "--port", new URL(service.url).port)).rejects.toThrow(
      /ended with 1.*: .*EADDRINUSE[^\n]*\n$/
    )
    rmSync(other, { recursive: true })
  })

  it("says in one line what is wrong with its arguments", () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--conditions=espalier-source", join(import.meta.dirname, "../../main.ts"), directory, "--deploy", "v3"],
      { encoding: "utf8" }
    )
    expect([status, stderr]).toEqual([1, "--deploy v3: there are v1, v2, careless\n"])
  })

  it("can be soaked: what goes through an open run does not stay in it", () => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [
        "--conditions=espalier-source",
        join(import.meta.dirname, "../../soak.ts"),
        "--works",
        "40000",
        "--keep",
        "1000"
      ],
      { encoding: "utf8" }
    )
    expect([status, stderr]).toEqual([0, ""])
    const rows = stdout.split("\n").filter((line) => /^\s*\d/.test(line)).map((line) =>
      line.trim().split(/\s+/).map(Number)
    )
    expect(rows.length).toBeGreaterThanOrEqual(15)
    const [settled, kept, , heap] = rows.at(-1)!
    expect(settled).toBe(40_000)
    expect(kept).toBeLessThan(3_000)
    // Forty thousand jobs that stayed would take ten times that.
    expect(heap! - rows[2]![3]!).toBeLessThan(10)
    expect(stdout).toMatch(/opened again in \d+ ms: 40000 jobs are accounted for/)
  })
})
