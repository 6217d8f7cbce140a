/**
 * graphile-worker: a queue in PostgreSQL, batched as its page on performance advises (a local queue, completions that are
 * gathered, works added by `addJobs`): https://worker.graphile.org/docs/performance#batching
 *
 * A concurrency of 1,000 was as fast as the 24 of that page's own figures.
 */
import { Logger, makeWorkerUtils, run, type TaskList } from "graphile-worker"
import pg from "pg"
import { countdown, latency, throughput, until } from "../Clock.ts"
import { batches, type Bench, type Benches, inFlight, noop, payloadOf, type PostgresAddress } from "../Trial.ts"

const logger = new Logger(() => () => {})

const connect = (postgres: PostgresAddress): pg.Pool => {
  const pool = new pg.Pool({ ...postgres, max: 25 })
  const fail = (error: Error) => {
    throw error
  }
  return pool.on("error", fail).on("connect", (client) => client.on("error", fail))
}

const start = (pgPool: pg.Pool, taskList: TaskList, options: Partial<GraphileConfig.WorkerOptions>) =>
  run({ pgPool, noHandleSignals: true, taskList, preset: { worker: { logger, ...options } } })

const durable: Bench = {
  measure: async (trial) => {
    const pool = connect(trial.postgres!)
    const utils = await makeWorkerUtils({ pgPool: pool, preset: { worker: { logger } } })
    await utils.migrate()
    let started = countdown(1)
    const task = async (payload: unknown) => {
      await noop(payload)
      started.tell()
    }
    await start(pool, { task }, {
      concurrentJobs: inFlight,
      localQueue: { size: inFlight },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0
    })
    return throughput(trial, async (works) => {
      started = countdown(works)
      for (const numbers of batches(works)) {
        await utils.addJobs(numbers.map((n) => ({ identifier: "task", payload: payloadOf(n) })))
      }
      await started.done
      // Completed works are deleted, some time after their handlers: a work counts when the database has it no more.
      await until(async () => (await pool.query("select 1 from graphile_worker._private_jobs limit 1")).rowCount === 0)
    })
  }
}

export const benches: Benches = {
  durable,
  "loop-delay": durable,
  "latency-durable": {
    measure: async (trial) => {
      let started = Promise.withResolvers<number>()
      // Unbatched: what gathers works into batches can only make one work wait.
      const runner = await start(connect(trial.postgres!), { task: () => started.resolve(performance.now()) }, {})
      return latency(trial, async (n) => {
        started = Promise.withResolvers()
        await runner.addJob("task", payloadOf(n))
        return started.promise
      }, 5)
    }
  }
}
