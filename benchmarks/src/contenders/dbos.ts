/**
 * DBOS: durable workflows on PostgreSQL. A work is a workflow; `DBOS.runStep` records a step
 * (https://docs.dbos.dev/typescript/tutorials/workflow-tutorial).
 *
 * Works are enqueued a batch at a time (`enqueueWorkflows`, the entry point for receivers of events) on a queue with a
 * worker concurrency (https://docs.dbos.dev/typescript/reference/queues). That was 1.5 times as fast as `DBOS.startWorkflow`
 * with as many in flight, with or without a queue. A pool of 20 connections was as fast as one of 10 or 50.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { enqueueWorkflows, prepareEnqueuedWorkflow } from "@dbos-inc/dbos-sdk/eventreceiver"
import { randomUUID } from "node:crypto"
import pg from "pg"
import { countdown, latency, throughput, until } from "../Clock.ts"
import {
  assertDone,
  batches,
  type Bench,
  type Benches,
  inFlight,
  noop,
  payloadOf,
  type PostgresAddress
} from "../Trial.ts"

type Payload = ReturnType<typeof payloadOf>

let ran = countdown(1)
let began = 0

const task = DBOS.registerWorkflow(async (payload: Payload): Promise<void> => {
  await noop(payload)
  ran.tell()
}, { name: "task" })

const steps = DBOS.registerWorkflow(async (payload: Payload): Promise<void> => {
  for (const name of ["first", "second", "third"]) await DBOS.runStep(() => noop(payload), { name })
  ran.tell()
}, { name: "steps" })

const probe = DBOS.registerWorkflow(async (payload: Payload): Promise<void> => {
  began = performance.now()
  await noop(payload)
}, { name: "probe" })

const launch = async ({ database, host, port, user }: PostgresAddress): Promise<void> => {
  DBOS.setConfig({
    name: "benchmark",
    systemDatabaseUrl: `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`,
    systemDatabasePoolSize: 20,
    logLevel: "error"
  })
  await DBOS.launch()
}

const many = (workflow: typeof task): Bench => ({
  measure: async (trial) => {
    await launch(trial.postgres!)
    await DBOS.registerQueue("works", { workerConcurrency: inFlight, minPollingIntervalMs: 10 })
    const client = new pg.Client(trial.postgres!)
    await client.connect()
    const measured = await throughput(trial, async (works) => {
      ran = countdown(works)
      for (const numbers of batches(works)) {
        await enqueueWorkflows(
          await Promise.all(
            numbers.map((n) =>
              prepareEnqueuedWorkflow(workflow, [payloadOf(n)], { queueName: "works", workflowID: randomUUID() })
            )
          )
        )
      }
      await ran.done
      // A work counts when the database says that it succeeded.
      const open = "select 1 from dbos.workflow_status where status <> 'SUCCESS' limit 1"
      await until(async () => (await client.query(open)).rowCount === 0)
    })
    const { rows } = await client.query("select count(*)::int as n from dbos.workflow_status where status = 'SUCCESS'")
    assertDone("dbos", rows[0].n, trial.warmUp + trial.works)
    return measured
  }
})

export const benches: Benches = {
  durable: many(task),
  "loop-delay": many(task),
  "durable-steps": many(steps),
  "latency-durable": {
    measure: async (trial) => {
      await launch(trial.postgres!)
      return latency(trial, async (n) => {
        const handle = await DBOS.startWorkflow(probe)(payloadOf(n))
        await handle.getResult()
        return began
      })
    }
  }
}
