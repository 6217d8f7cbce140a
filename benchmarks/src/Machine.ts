/** What the figures depend on besides the programs: said above the table. */
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs"
import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { median, spread } from "./Statistics.ts"

/** File systems that keep nothing: a commit there costs nothing and proves nothing. */
const volatile: Readonly<Record<number, string>> = { 0x01021994: "tmpfs", 0x858458f6: "ramfs" }

/** The directory to measure in is in memory; the message says what to do. */
export class NotOnDisk extends Error {
  override readonly name = "NotOnDisk"
}

/** Throws `NotOnDisk` for a directory in memory. */
export const assertOnDisk = (directory: string): void => {
  const name = volatile[statfsSync(directory).type]
  if (name !== undefined) {
    throw new NotOnDisk(`${directory} is on ${name}, which is memory: give a directory on a disk with --directory`)
  }
}

/** What it takes to write a page and have it on the disk: the median of 100, in microseconds. */
export const syncMicros = (directory: string): number => {
  const path = join(directory, "sync")
  const file = openSync(path, "w")
  const page = Buffer.alloc(4_096, 1)
  const micros = Array.from({ length: 100 }, (_, n) => {
    const from = performance.now()
    writeSync(file, page, 0, page.length, n * page.length)
    fdatasyncSync(file)
    return (performance.now() - from) * 1_000
  })
  closeSync(file)
  rmSync(path)
  return median(micros)
}

/** The machine, in one line. */
export const describeMachine = (): string =>
  `${cpus()[0]?.model.trim() ?? "unknown processor"}, ${availableParallelism()} cores, ` +
  `${Math.round(totalmem() / 2 ** 30)} GiB; ${type()} ${release()}; Node ${process.versions.node}, ` +
  `SQLite ${process.versions["sqlite"] ?? "unknown"}`

/** What the disk took for a page, each time that it was asked: when that changes much, so do the durable figures. */
export const describeDisk = (micros: ReadonlyArray<number>): string => {
  const { max, min, value } = spread(micros.map(Math.round))
  return `a page written and synchronised to the disk: ${Math.round(value)} us (${min} to ${max} us between workloads)`
}

/** What else the machine does, when that is enough to make every figure low. */
export const describeLoad = (): string | undefined => {
  const load = loadavg()[0] ?? 0
  return load > availableParallelism() / 4
    ? `THE MACHINE WAS BUSY when this began (load ${
      load.toFixed(2)
    }): figures are low, and those of contenders differ by chance.`
    : undefined
}
