/**
 * pg-boss: a queue in PostgreSQL. Works are inserted in bulk (`insert`, https://pgboss.io/api/jobs) and taken in batches, each
 * ended by one statement; a worker takes the next batch at once while they come back full (`burstWhenBatchFull`,
 * https://pgboss.io/api/workers), and is woken by NOTIFY (`useListenNotify`, https://pgboss.io/api/constructor).
 *
 * Two workers with half of the batch each were as fast as one with all of it, and four were slower.
 */
import pg from "pg"
import { PgBoss } from "pg-boss"
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

const workers = 2

const start = async (postgres: PostgresAddress): Promise<PgBoss> => {
  const boss = new PgBoss({ ...postgres, max: 20, useListenNotify: true, supervise: false, schedule: false })
  boss.on("error", (error) => {
    throw error
  })
  await boss.start()
  return boss
}

const durable: Bench = {
  measure: async (trial) => {
    const boss = await start(trial.postgres!)
    const client = new pg.Client(trial.postgres!)
    await client.connect()
    let round = 0
    const measured = await throughput(trial, async (works) => {
      const queue = `round-${round++}`
      await boss.createQueue(queue, { notify: true })
      const { done, tell } = countdown(works)
      await boss.work<{ readonly n: number }>(
        queue,
        {
          batchSize: inFlight / workers,
          localConcurrency: workers,
          burstWhenBatchFull: true,
          pollingIntervalSeconds: 0.5
        },
        async (jobs) => {
          await Promise.all(jobs.map(({ data }) => noop(data)))
          for (let n = 0; n < jobs.length; n++) tell()
        }
      )
      for (const numbers of batches(works)) await boss.insert(queue, numbers.map((n) => ({ data: payloadOf(n) })))
      await done
      // A batch is ended after its handler: a work counts when the database says that it is completed.
      const open = "select 1 from pgboss.job where name = $1 and state <> 'completed' limit 1"
      await until(async () => (await client.query(open, [queue])).rowCount === 0)
      await boss.offWork(queue, { wait: false })
    })
    const { rows } = await client.query("select count(*)::int as n from pgboss.job where state = 'completed'")
    assertDone("pg-boss", rows[0].n, trial.warmUp + trial.works)
    return measured
  }
}

export const benches: Benches = {
  durable,
  "loop-delay": durable,
  "latency-durable": {
    measure: async (trial) => {
      const boss = await start(trial.postgres!)
      await boss.createQueue("probes", { notify: true })
      let started = Promise.withResolvers<number>()
      await boss.work("probes", { pollingIntervalSeconds: 0.5 }, async () => started.resolve(performance.now()))
      return latency(trial, async (n) => {
        started = Promise.withResolvers()
        await boss.send("probes", payloadOf(n))
        return started.promise
      }, 5)
    }
  }
}
