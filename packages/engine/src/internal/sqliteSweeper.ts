/**
 * Deleting what nobody can see any more, a little at a time, so that who appends meanwhile hardly waits.
 */
import type { Database } from "./sqliteDatabase.ts"

const shortStepMillis = 2
const longStepMillis = 8
const largestStep = 16_384

export class Sweeper {
  private readonly database: Database
  private readonly runs: Set<number>
  /** Rows to delete in one step, adapted to how long that takes. */
  private limit = 64

  constructor(database: Database) {
    this.database = database
    // What earlier processes did not come to.
    this.runs = new Set(database.all<{ readonly run: number }>("listGarbage").map(({ run }) => run))
  }

  /** Something of this run is garbage now. */
  add(run: number): void {
    this.runs.add(run)
  }

  get isIdle(): boolean {
    return this.runs.size === 0
  }

  /** One transaction. */
  step(): void {
    const [run] = this.runs
    if (run === undefined) return
    const start = performance.now()
    let isDone: boolean
    try {
      isDone = this.database.write(() => this.sweep(run))
    } catch {
      // Nobody waits for this, and nothing is wrong with the run: it stays garbage for a later time.
      isDone = true
    }
    if (isDone) this.runs.delete(run)
    const tookMillis = performance.now() - start
    if (tookMillis < shortStepMillis) this.limit = Math.min(largestStep, this.limit * 2)
    if (tookMillis > longStepMillis) this.limit = Math.max(1, Math.floor(this.limit / 2))
  }

  private sweep(run: number): boolean {
    const { database, limit } = this
    const garbage = database.get<{ readonly horizon: number; readonly generation: number }>("garbageOf", run)!
    const swept = database.run("sweepChunks", run, garbage.horizon, limit) +
      database.run("sweepParts", run, garbage.generation, limit)
    // Fewer than fit into one of the two: then nothing was left of either.
    if (swept >= limit) return false
    database.run("removeGarbage", run)
    return true
  }
}
