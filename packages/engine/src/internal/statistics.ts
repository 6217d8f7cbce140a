/**
 * Numbers about a run that cost a few additions an event: lag, throughput, and how long the works of a kind take.
 */
import type { WorkFailure } from "../Outcome.ts"

/** How long the works of one kind take, from their last start to the end, and how their attempts fail. */
export interface KindStatistics {
  settled: number
  totalMillis: number
  failures: { [tag in WorkFailure["_tag"]]?: number }
}

const windowSeconds = 60

export interface Statistics {
  /** Works by their lag: bucket `n` holds those of 2^(n/4) - 1 up to the next bucket's, in milliseconds. */
  readonly lags: Array<number>
  starts: number
  lastLagMillis: number | undefined
  /** Works settled in each of the last sixty seconds; `second` is the newest, in seconds since the epoch. */
  second: number
  readonly perSecond: Array<number>
  readonly kinds: Map<string, KindStatistics>
}

export const makeStatistics = (): Statistics => ({
  lags: [],
  starts: 0,
  lastLagMillis: undefined,
  second: 0,
  perSecond: Array.from({ length: windowSeconds }, () => 0),
  kinds: new Map()
})

const bucketOf = (millis: number): number => (millis <= 0 ? 0 : Math.ceil(Math.log2(millis + 1) * 4))

const upperEdge = (bucket: number): number => Math.floor(2 ** (bucket / 4) - 1)

/** A work started for the first time, this long after it could have. */
export const recordLag = (self: Statistics, millis: number): void => {
  const bucket = bucketOf(millis)
  while (self.lags.length <= bucket) self.lags.push(0)
  self.lags[bucket]! += 1
  self.starts += 1
  self.lastLagMillis = millis
}

/** The lag that this share of all starts did not exceed, up to the width of a bucket (19 %). */
export const lagQuantile = (self: Statistics, share: number): number | undefined => {
  if (self.starts === 0) return undefined
  let left = Math.ceil(self.starts * share)
  for (let bucket = 0; bucket < self.lags.length; bucket++) {
    left -= self.lags[bucket]!
    if (left <= 0) return upperEdge(bucket)
  }
  return upperEdge(self.lags.length - 1)
}

const advance = (self: Statistics, second: number): void => {
  if (second <= self.second) return
  if (second - self.second >= windowSeconds) self.perSecond.fill(0)
  else for (let each = self.second + 1; each <= second; each++) self.perSecond[each % windowSeconds] = 0
  self.second = second
}

export const kindStatistics = (self: Statistics, kind: string): KindStatistics => {
  let found = self.kinds.get(kind)
  if (found === undefined) {
    found = { settled: 0, totalMillis: 0, failures: {} }
    self.kinds.set(kind, found)
  }
  return found
}

/** A work settled; `millis` since its last start, where it had one. */
export const recordSettled = (self: Statistics, kind: string, at: number, millis: number | undefined): void => {
  advance(self, Math.floor(at / 1_000))
  self.perSecond[self.second % windowSeconds]! += 1
  if (millis === undefined) return
  const found = kindStatistics(self, kind)
  found.settled += 1
  found.totalMillis += millis
}

export const recordFailure = (self: Statistics, kind: string, tag: WorkFailure["_tag"]): void => {
  const { failures } = kindStatistics(self, kind)
  failures[tag] = (failures[tag] ?? 0) + 1
}

/** Works settled a second, over the last whole seconds of the window that the run has lived through. */
export const throughput = (self: Statistics, startedAt: number, now: number): number => {
  const second = Math.floor(now / 1_000)
  const since = Math.max(second - windowSeconds + 1, Math.floor(startedAt / 1_000))
  let sum = 0
  for (let each = since; each <= second; each++) {
    if (each <= self.second && each > self.second - windowSeconds) sum += self.perSecond[each % windowSeconds]!
  }
  return sum / Math.max(1, (now - Math.max(since * 1_000, startedAt)) / 1_000)
}
