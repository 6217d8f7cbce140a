/** The ways in which trials measure: works per second, the time until a work starts, and bytes. */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { quantile } from "./Statistics.ts"
import type { Measured, Trial } from "./Trial.ts"

/** Every trial's process is started with `--expose-gc`. */
const collectGarbage = (): void => {
  if (globalThis.gc === undefined) throw new Error("start node with --expose-gc")
  globalThis.gc()
}

/** How often the monitor of the event loop looks, in milliseconds. What it reports contains this interval. */
const resolutionMillis = 1

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** How late the event loop was while `body` ran. The pauses let the monitor look before and after one that never yields. */
const loopDelay = async (body: () => Promise<void>): Promise<Measured> => {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMillis })
  histogram.enable()
  await pause(5 * resolutionMillis)
  await body()
  await pause(5 * resolutionMillis)
  histogram.disable()
  const delay = (nanos: number): number => Math.max(0, nanos / 1e6 - resolutionMillis)
  return {
    "ms p50": delay(histogram.percentile(50)),
    "ms p99": delay(histogram.percentile(99)),
    "ms max": delay(histogram.max)
  }
}

/**
 * How fast a contender works. A round adds works and waits until all have ended; the clock runs from the first add of
 * the first round to the last end of the last. A smaller round comes before, untimed. The workload `loop-delay` is the same
 * under a monitor of the event loop.
 */
export const throughput = async (trial: Trial, round: (works: number) => Promise<void>): Promise<Measured> => {
  await round(trial.warmUp)
  collectGarbage()
  const all = async () => {
    for (let n = 0; n < trial.rounds; n++) await round(trial.works)
  }
  if (trial.workload === "loop-delay") return loopDelay(all)
  const start = performance.now()
  await all()
  const seconds = (performance.now() - start) / 1_000
  return { "works/s": trial.rounds * trial.works / seconds }
}

/**
 * How long it takes from asking for a work to the first line of its handler, one at a time on an idle engine. A sample
 * resolves when its work has ended, with the time at which its handler began. Where a contender does not tell when a
 * work has ended, `restMillis` lets it come to rest.
 */
export const latency = async (
  trial: Trial,
  sample: (n: number) => Promise<number>,
  restMillis?: number
): Promise<Measured> => {
  const micros: Array<number> = []
  for (let n = 0; n < trial.warmUp + trial.works; n++) {
    const asked = performance.now()
    const began = await sample(n)
    if (n >= trial.warmUp) micros.push((began - asked) * 1_000)
    if (restMillis !== undefined) await pause(restMillis)
  }
  return { "us p50": quantile(micros, 0.5), "us p99": quantile(micros, 0.99) }
}

/** What JavaScript holds, in bytes: the heap, and the buffers outside of it that belong to its objects. */
const bytesHeld = (): number => {
  collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** How many bytes each work of a queue holds on to. `keep` is what must not be collected meanwhile. */
export const bytesPerWork = async (
  trial: Trial,
  fill: () => Promise<{ readonly keep: unknown }>
): Promise<Measured> => {
  const before = bytesHeld()
  const filled = await fill()
  const after = bytesHeld()
  if (filled.keep === undefined) throw new Error("nothing was kept")
  return { "bytes/work": (after - before) / trial.works }
}

/** Resolves when it was told `count` times. */
export const countdown = (count: number): { readonly done: Promise<void>; readonly tell: () => void } => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = count
  return {
    done: promise,
    tell: () => {
      if (--left === 0) resolve()
    }
  }
}

/** Asks again and again, with a pause of a millisecond, until the answer is yes. */
export const until = async (asked: () => Promise<boolean>): Promise<void> => {
  while (!(await asked())) await pause(1)
}
