/**
 * p-queue: a queue in memory with a concurrency and priorities, of which the higher run first (so ours are negated):
 * https://github.com/sindresorhus/p-queue#readme
 */
import PQueue from "p-queue"
import { bytesPerWork, latency, throughput } from "../Clock.ts"
import {
  type Bench,
  type Benches,
  memoryConcurrency,
  noop,
  parcelOf,
  payloadOf,
  priorityOf,
  shortId
} from "../Trial.ts"

/** All works are added before the first starts. */
const backlog: Bench = {
  measure: (trial) =>
    throughput(trial, async (works) => {
      const queue = new PQueue({ concurrency: memoryConcurrency, autoStart: false })
      for (let n = 0; n < works; n++) {
        const payload = payloadOf(n)
        void queue.add(() => noop(payload), { priority: -priorityOf(n) })
      }
      queue.start()
      await queue.onIdle()
    })
}

export const benches: Benches = {
  "memory-fifo": {
    measure: (trial) => {
      const queue = new PQueue({ concurrency: memoryConcurrency })
      return throughput(trial, async (works) => {
        for (let n = 0; n < works; n++) {
          const payload = payloadOf(n)
          void queue.add(() => noop(payload))
        }
        await queue.onIdle()
      })
    }
  },
  "memory-priorities": backlog,
  "memory-backlog": backlog,
  "latency-memory": {
    measure: (trial) => {
      const queue = new PQueue({ concurrency: memoryConcurrency })
      return latency(trial, () => queue.add(async () => performance.now()))
    }
  },
  "bytes-per-work": {
    measure: (trial) =>
      bytesPerWork(trial, async () => {
        const queue = new PQueue({ concurrency: memoryConcurrency, autoStart: false })
        for (let n = 0; n < trial.works; n++) {
          const payload = parcelOf(n)
          void queue.add(() => noop(payload), { id: shortId(n) })
        }
        return { keep: queue }
      })
  }
}
