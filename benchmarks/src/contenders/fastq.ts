/**
 * fastq: a queue in memory with a concurrency, first in, first out. `promise` is its API for async functions, and
 * `drained` how it says that all is done: https://github.com/mcollina/fastq#readme
 */
import { promise } from "fastq"
import { bytesPerWork, latency, throughput } from "../Clock.ts"
import { type Benches, memoryConcurrency, noop, parcelOf, payloadOf, shortId } from "../Trial.ts"

export const benches: Benches = {
  "memory-fifo": {
    measure: (trial) => {
      const queue = promise(noop, memoryConcurrency)
      return throughput(trial, async (works) => {
        for (let n = 0; n < works; n++) void queue.push(payloadOf(n))
        await queue.drained()
      })
    }
  },
  "latency-memory": {
    measure: (trial) => {
      let began = 0
      const queue = promise(async () => {
        began = performance.now()
      }, memoryConcurrency)
      return latency(trial, async (n) => {
        await queue.push(payloadOf(n))
        return began
      })
    }
  },
  "bytes-per-work": {
    measure: (trial) =>
      bytesPerWork(trial, async () => {
        const queue = promise(noop, memoryConcurrency)
        queue.pause()
        for (let n = 0; n < trial.works; n++) void queue.push({ id: shortId(n), payload: parcelOf(n) })
        return { keep: queue }
      })
  }
}
