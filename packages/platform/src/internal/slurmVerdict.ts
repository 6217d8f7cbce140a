/**
 * How a Slurm job stands: fetching what `slurmStatus.ts` decides from, in the right order, and recording what it decided
 * with the scheduler's word, so that it stays when the scheduler forgets.
 */
import * as Effect from "effect/Effect"
import type { ExecutionError, JobNotFound, JobStatus } from "../Execution.ts"
import { files } from "./processFiles.ts"
import { lastLine } from "./processLog.ts"
import { slurmFiles } from "./slurmRecords.ts"
import type { Scheduler } from "./slurmScheduler.ts"
import { isOver, standingOf } from "./slurmStates.ts"
import { decideSlurm, judge, type Patience, withLog } from "./slurmStatus.ts"
import type { SlurmStore } from "./slurmStore.ts"

/** The status of a job now. It asks the scheduler only where the job's own records do not say it. */
export const makeStatus = (store: SlurmStore, scheduler: Scheduler, patience: Patience) => {
  return Effect.fnUntraced(function*(
    operation: string,
    id: string
  ): Effect.fn.Return<JobStatus, ExecutionError | JobNotFound> {
    const known = yield* store.verdict(operation, id)
    if (known !== undefined) return known
    const first = decideSlurm(yield* store.facts(operation, id, undefined), patience)
    if (first._tag === "Status") return first.status
    const command = yield* store.read(operation, id, files.command)
    if (command === undefined) return { _tag: "Pending" }
    const listing = yield* scheduler.named(operation, yield* store.nameOf(operation, command.key))
    // The listing first, then the files: `facts` says why.
    const facts = yield* store.facts(operation, id, listing)
    const decision = decideSlurm(facts, patience)
    switch (decision._tag) {
      case "AskScheduler":
        return { _tag: "Pending" }
      case "Status": {
        const { status } = decision
        return status._tag === "Lost" ? yield* store.recordVerdict(operation, id, status, null) : status
      }
      case "AskEnd": {
        const end = yield* scheduler.scriptEnd(operation, decision.word)
        const said = yield* lastLine([`${store.directoryOf(id)}/${slurmFiles.log}`])
        const verdict = judge(facts, decision.word, end, said?.line)
        return yield* store.recordVerdict(operation, id, verdict, JSON.stringify(decision.word))
      }
      case "Forgotten": {
        const name = yield* store.nameOf(operation, command.key)
        const accounts = yield* scheduler.accounts(operation, name, command.requestedAt)
        const account = accounts.find((one) => one.id === facts.claim?.schedulerId) ??
          (facts.claim === undefined ? accounts.at(-1) : undefined)
        const said = yield* lastLine([`${store.directoryOf(id)}/${slurmFiles.log}`])
        const verdict = account !== undefined && isOver(standingOf(account.state))
          ? judge(facts, account, account.end, said?.line)
          : withLog(decision.otherwise, said?.line)
        return yield* store.recordVerdict(
          operation,
          id,
          verdict,
          account === undefined ? null : JSON.stringify(account)
        )
      }
    }
  })
}
