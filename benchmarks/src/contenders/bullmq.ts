/**
 * BullMQ: a queue in Redis, which here answers when a write is on the disk (`appendfsync always`). Works are added by
 * `addBulk` (https://docs.bullmq.io/guide/queues/adding-bulks) and removed when they are completed
 * (https://docs.bullmq.io/guide/workers/auto-removal-of-jobs), which is faster than keeping them.
 *
 * One worker fetches one work after the other, so there are ten, of a hundred each: one alone was a third slower, and
 * twenty or fifty were not faster (https://docs.bullmq.io/guide/parallelism-and-concurrency).
 */
import { Queue, Worker } from "bullmq"
import { Redis } from "ioredis"
import { countdown, latency, throughput } from "../Clock.ts"
import { batches, type Bench, type Benches, inFlight, noop, payloadOf, type Trial } from "../Trial.ts"

const workers = 10

const connect = (trial: Trial): Redis => new Redis(trial.redis!, { maxRetriesPerRequest: null })

const durable: Bench = {
  measure: async (trial) => {
    const queue = new Queue<{ readonly n: number }>("works", { connection: connect(trial) })
    let ended = countdown(1)
    for (let worker = 0; worker < workers; worker++) {
      new Worker<{ readonly n: number }>("works", (job) => noop(job.data), {
        connection: connect(trial),
        concurrency: inFlight / workers,
        removeOnComplete: { count: 0 }
      }).on("completed", () => ended.tell())
    }
    return throughput(trial, async (works) => {
      ended = countdown(works)
      for (const numbers of batches(works)) {
        await queue.addBulk(numbers.map((n) => ({ name: "task", data: payloadOf(n) })))
      }
      await ended.done
    })
  }
}

export const benches: Benches = {
  durable,
  "loop-delay": durable,
  "latency-durable": {
    measure: async (trial) => {
      const queue = new Queue("probes", { connection: connect(trial) })
      let began = 0
      let ended = Promise.withResolvers<void>()
      const probe = async () => {
        began = performance.now()
      }
      new Worker("probes", probe, { connection: connect(trial) }).on("completed", () => ended.resolve())
      return latency(trial, async (n) => {
        ended = Promise.withResolvers()
        await queue.add("task", payloadOf(n))
        await ended.promise
        return began
      })
    }
  }
}
