/**
 * Ending a Slurm job: gracefully by its wrapper, which hears of it over the disk and by a signal; hard by Slurm; and
 * before it has begun, out of the queue.
 *
 * Only the batch script (`scancel --batch`, that is the wrapper) gets Slurm's TERM: the wrapper passes it on to the
 * job's whole tree and gives it the grace that was asked for. `--full` would have the job get TERM twice, which many
 * programs take for "at once", and a plain `scancel` has the cluster's own grace (KillWait). What the wrapper
 * does not end, `scancel --signal=KILL --full` does, and at last a plain `scancel`, which needs no living node.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { ExecutionError, type JobNotFound } from "../Execution.ts"
import { createOnce, files } from "./processFiles.ts"
import type { Cancel } from "./processRecords.ts"
import { isVisible } from "./processStatus.ts"
import { rootOf } from "./processStore.ts"
import { thisMachine } from "./processTable.ts"
import { endTree } from "./processTree.ts"
import { watchFiles } from "./processWatch.ts"
import type { Scheduler } from "./slurmScheduler.ts"
import { isOver, standingOf } from "./slurmStates.ts"
import type { SlurmStore } from "./slurmStore.ts"

/** After the grace, how long the wrapper may take before Slurm kills, and Slurm before it is asked for more. */
const killAfterMillis = 5000
const cancelAfterMillis = 15_000
/** How long a wrapper on another machine, of which the scheduler knows nothing, is believed to live. */
const silenceMillis = 15_000
/** When to tell that it does not work. */
const giveUpAfterMillis = 180_000

/** Ends a job, and returns when nothing of it runs. `settle` waits for a submission that is under way. */
export const cancelSlurm = Effect.fnUntraced(function*(
  store: SlurmStore,
  scheduler: Scheduler,
  id: string,
  key: string,
  graceMillis: number,
  settle: Effect.Effect<unknown, ExecutionError>
): Effect.fn.Return<void, ExecutionError | JobNotFound, import("effect/Scope").Scope> {
  const directory = store.directoryOf(id)
  const begun = yield* Clock.currentTimeMillis
  const marker: Cancel = {
    version: 1,
    requestedAt: begun,
    graceMillis,
    host: thisMachine().host,
    pid: process.pid
  }
  const attempt = <A>(what: string, run: () => Promise<A>) =>
    Effect.tryPromise({
      try: run,
      catch: (cause) =>
        new ExecutionError({
          operation: "cancel",
          cause,
          message: `The job ${id} cannot be cancelled: ${what}: ${cause}.`
        })
    })
  yield* attempt(
    "its cancel record cannot be written",
    () => createOnce(directory, files.cancel, JSON.stringify(marker))
  )
  const change = yield* watchFiles(directory, [files.exit], "250 millis")
  yield* settle
  const name = yield* store.nameOf("cancel", key)
  let askAt = 0
  let told = false
  while (true) {
    const now = yield* Clock.currentTimeMillis
    if (now < askAt) {
      if ((yield* store.read("cancel", id, files.exit)) !== undefined) return
      yield* change
      continue
    }
    // Whoever cancels at the same time shares the answer.
    const listing = yield* scheduler.named("cancel", name, now)
    askAt = (yield* Clock.currentTimeMillis) + 1000
    const facts = yield* store.facts("cancel", id, listing)
    const late = now - begun - graceMillis
    const alive = listing.words.filter((one) => !isOver(standingOf(one.state)))
    // Other submissions of the key run nothing, but wait for a machine.
    const waiting = alive.filter((one) => standingOf(one.state) === "waiting")
    yield* scheduler.cancel(["--state=PENDING"], waiting.map((one) => one.id))
    if (facts.exit !== undefined) return
    if (alive.length === 0) {
      // The scheduler has ended it, or lost its memory of it. The wrapper may live all the same, and obeys the record.
      const isHere = facts.claim !== undefined && isVisible(facts.claim, thisMachine())
      const isLiving = facts.claim !== undefined && !facts.isOwnerDead &&
        (isHere || now - facts.lastSign < silenceMillis)
      if (facts.survivors.length > 0 || (isHere && isLiving && late > killAfterMillis)) {
        const root = rootOf(facts.claim!, facts.start)
        const gone = yield* attempt("its processes may not be signalled", () => endTree(root, Math.max(0, -late)))
        if (gone && !isLiving) return
      } else if (!isLiving) return
    }
    const running = alive.filter((one) => standingOf(one.state) !== "waiting").map((one) => one.id)
    if (late > cancelAfterMillis) yield* scheduler.cancel([], alive.map((one) => one.id))
    else if (late > killAfterMillis) yield* scheduler.cancel(["--signal=KILL", "--full"], running)
    else if (!told && facts.claim?.schedulerId !== undefined && running.includes(facts.claim.schedulerId)) {
      told = true
      yield* scheduler.cancel(["--signal=TERM", "--batch"], [facts.claim.schedulerId])
    }
    if (late > giveUpAfterMillis) {
      return yield* new ExecutionError({
        operation: "cancel",
        message: alive.length === 0
          ? `Slurm does not know the job ${id} any more, and its wrapper on ${facts.claim?.host} goes on giving signs of ` +
            "life though it was told to end. See what runs there, and cancel again."
          : `The job ${id} does not end though Slurm was told to kill it (${
            alive.map((one) => `job ${one.id}: ${one.state}`).join(", ")
          }): its machine does not answer. Cancel again when it does.`
      })
    }
    yield* change
  }
})
