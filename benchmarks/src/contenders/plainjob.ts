/**
 * plainjob: a queue in an SQLite file, on better-sqlite3. Works are added by `addMany`, and a worker does one after the
 * other: https://www.npmjs.com/package/plainjob
 *
 * It asks SQLite for `synchronous = NORMAL`, which may lose the last commits in a power cut. What the others here call
 * committed is on the disk, so that is raised to FULL. It commits when a work starts and when it ends, on the one thread that
 * SQLite's writers share, so more workers (10, 100, 1,000) were not faster.
 */
import Database from "better-sqlite3"
import { join } from "node:path"
import { better, defineQueue, defineWorker, JobStatus, type Queue } from "plainjob"
import { countdown, latency, throughput } from "../Clock.ts"
import { assertDone, batches, type Bench, type Benches, noop, payloadOf, type Trial } from "../Trial.ts"

const quiet = () => {}
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }

const open = (trial: Trial): Queue => {
  const connection = better(new Database(join(trial.directory, "plainjob.db")))
  const queue = defineQueue({ connection, logger })
  connection.pragma("synchronous = FULL")
  return queue
}

const durable: Bench = {
  measure: async (trial) => {
    const queue = open(trial)
    let ended = countdown(1)
    const onCompleted = () => ended.tell()
    void defineWorker("task", (job) => noop(JSON.parse(job.data)), { queue, logger, pollIntervall: 1, onCompleted })
      .start()
    const measured = await throughput(trial, async (works) => {
      ended = countdown(works)
      for (const numbers of batches(works)) queue.addMany("task", numbers.map(payloadOf))
      await ended.done
    })
    assertDone("plainjob", queue.countJobs({ status: JobStatus.Done }), trial.warmUp + trial.works)
    return measured
  }
}

export const benches: Benches = {
  durable,
  "loop-delay": durable,
  "latency-durable": {
    measure: async (trial) => {
      const queue = open(trial)
      let began = 0
      let ended = Promise.withResolvers<void>()
      const probe = async () => {
        began = performance.now()
      }
      const onCompleted = () => ended.resolve()
      // It only polls; once a millisecond is the most that a timer can do.
      void defineWorker("probe", probe, { queue, logger, pollIntervall: 1, onCompleted }).start()
      return latency(trial, async (n) => {
        ended = Promise.withResolvers()
        queue.add("probe", payloadOf(n))
        await ended.promise
        return began
      })
    }
  }
}
