/**
 * Faults of durability, one each, that the campaign has to notice: what it is worth is how many of them it finds.
 */
import type { Patch } from "../patchedCopy.ts"

export interface Mutant {
  readonly name: string
  readonly patches: ReadonlyArray<Patch>
}

const src = "packages/engine/src"

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "starts works before the append",
    patches: [
      {
        file: `${src}/internal/runner.ts`,
        find: "    this.failpoint(\"append.before\")\n",
        replace:
          "    for (const entry of started) this.activities.start(entry)\n    this.failpoint(\"append.before\")\n"
      },
      {
        file: `${src}/internal/runner.ts`,
        find: "if (event._tag === \"WorkStarted\") this.activities.start(started[next++]!)",
        replace: "if (event._tag === \"WorkStarted\") next++"
      }
    ]
  },
  // One that is answered a moment before its commit would be no help: what was written by then a kill does not undo. That one is
  // for the trace of the system calls (`packages/engine/test/real`).
  {
    name: "an append is answered when it is asked for",
    patches: [
      {
        file: `${src}/JournalSqlite.ts`,
        find: "  let broken: JournalError | undefined\n  let closed = false\n\n  const useless",
        replace: "  let broken: JournalError | undefined\n  let closed = false\n  let told = lastSeq\n\n  const useless"
      },
      {
        file: `${src}/JournalSqlite.ts`,
        find: "        return Effect.sync(() => thread.cancel(id))\n",
        replace:
          "        told += events.length\n        resume(Exit.succeed(told))\n        return Effect.sync(() => thread.cancel(id))\n"
      }
    ]
  },
  {
    name: "an append takes two commits",
    patches: [{
      file: `${src}/internal/sqliteWriter.ts`,
      find: "    let first = this.lastSeq + 1\n",
      replace: "    database.run(\"commit\")\n    database.run(\"beginImmediate\")\n    let first = this.lastSeq + 1\n"
    }]
  },
  {
    name: "a snapshot is saved under the number before its own",
    patches: [{
      file: `${src}/internal/compaction.ts`,
      find: "writer.saveSnapshot({ seq,",
      replace: "writer.saveSnapshot({ seq: seq - 1,"
    }]
  },
  {
    name: "a snapshot forgets who runs under a key",
    patches: [{
      file: `${src}/internal/snapshot.ts`,
      find: "    keyOf(state, spec.key).running += 1\n",
      replace: ""
    }]
  },
  {
    name: "trimming takes what comes after the last event that it may take",
    patches: [{
      file: `${src}/internal/sqliteSweeper.ts`,
      find: "database.run(\"sweepChunks\", run, garbage.horizon, limit)",
      replace: "database.run(\"sweepChunks\", run, garbage.horizon + Math.sign(garbage.horizon), limit)"
    }]
  },
  {
    name: "a hold is forgotten when the run is taken up",
    patches: [{
      file: `${src}/internal/evolve.ts`,
      find: "      live.crashes += 1\n",
      replace: "      live.crashes += 1\n      releaseWhere(state, live, () => true)\n"
    }]
  },
  {
    name: "a step is answered before its record",
    patches: [{
      file: `${src}/Step.ts`,
      find: "Effect.orDie(port.tell({ _tag: \"RecordStep\", id: spec.id, start, step: name, result, ...options })),",
      replace:
        "Effect.forkDetach(port.tell({ _tag: \"RecordStep\", id: spec.id, start, step: name, result, ...options })),"
    }]
  },
  {
    name: "a cursor keeps its first value",
    patches: [{
      file: `${src}/internal/evolve.ts`,
      find: "        result: event.result,\n",
      replace: "        result: earlier?.result ?? event.result,\n"
    }]
  },
  {
    name: "children of a step belong to the attempt",
    patches: [{
      file: `${src}/WorkEngine.ts`,
      find: "step === undefined ? work.port.children : step.children",
      replace: "work.port.children"
    }]
  },
  {
    name: "children of a step are added with its record and with the end of the work",
    patches: [
      {
        file: `${src}/internal/admit.ts`,
        find: "if (batch.has(spec.id) || earlier.ids.has(spec.id)) return",
        replace: "if (earlier.ids.has(spec.id)) return"
      },
      {
        file: `${src}/internal/evolve.ts`,
        find: "      live.steps ??= new Map()\n",
        replace:
          "      live.steps ??= new Map()\n      for (const child of event.children) add(state, child.spec, event.at, true)\n"
      }
    ]
  },
  {
    name: "a crash counts as an attempt",
    patches: [{
      file: `${src}/internal/ready.ts`,
      find: "- entry.live.forgiven + 1\n",
      replace: "- entry.live.forgiven + 1 + entry.live.crashes\n"
    }]
  },
  {
    name: "a clean-up is not taken up after a crash",
    patches: [{
      file: `${src}/internal/runner.ts`,
      find: "    this.activities.recover()\n",
      replace: ""
    }]
  },
  {
    name: "a status shows what is not durable",
    patches: [{
      file: `${src}/internal/runner.ts`,
      find: "    this.postMessage(new Message(undefined, look, undefined))\n",
      replace: "    look(nothing)\n"
    }]
  }
]
