/**
 * Effect's own durable workflows: `effect/workflow` on the `ClusterWorkflowEngine` of `effect/cluster`, one runner, messages in
 * PostgreSQL. An activity is a recorded step.
 *
 * A single runner needs neither stored runners nor a simulation of the network: both are off, as the documentation of
 * `SingleRunner` and `ShardingConfig` allows. There is no way to start many workflows by one call. SQLite (an adapter of
 * `node:sqlite`, since no published client works with this version of `effect`) was equally fast.
 */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import { Activity, Workflow } from "effect/workflow"
import { latency, throughput } from "../Clock.ts"
import { assertDone, type Bench, type Benches, inFlight, noop, payloadOf, type PostgresAddress } from "../Trial.ts"

const options = { payload: { n: Schema.Int }, idempotencyKey: ({ n }: { readonly n: number }) => String(n) }
const Task = Workflow.make("Task", options)
const Steps = Workflow.make("Steps", options)
const Probe = Workflow.make("Probe", options)

let began = 0

const workflows = Layer.mergeAll(
  Task.toLayer((payload) => Effect.promise(() => noop(payload))),
  Steps.toLayer(Effect.fnUntraced(function*(payload) {
    for (const name of ["first", "second", "third"]) {
      yield* Activity.make({ name, execute: Effect.promise(() => noop(payload)) })
    }
  })),
  Probe.toLayer((payload) => {
    began = performance.now()
    return Effect.promise(() => noop(payload))
  })
)

const start = ({ database, host, port, user: username }: PostgresAddress) => {
  const sql = PgClient.layer({ path: `${host}/.s.PGSQL.${port}`, database, username, maxConnections: 10 })
  const runner = SingleRunner.layer({
    runnerStorage: "memory",
    shardingConfig: { simulateRemoteSerialization: false }
  })
  return ManagedRuntime.make(
    workflows.pipe(
      Layer.provideMerge(ClusterWorkflowEngine.layer),
      Layer.provideMerge(runner),
      Layer.provide(sql),
      Layer.provide(NodeCrypto.layer)
    )
  )
}

const many = (workflow: typeof Task | typeof Steps): Bench => ({
  measure: (trial) => {
    const runtime = start(trial.postgres!)
    let next = 0
    return throughput(trial, async (works) => {
      let done = 0
      const one = Effect.suspend(() => workflow.execute(payloadOf(next++))).pipe(
        Effect.tap(() => Effect.sync(() => done++))
      )
      await runtime.runPromise(
        Effect.forEach(Array.from({ length: works }), () => one, { concurrency: inFlight, discard: true })
      )
      assertDone("effect-workflow", done, works)
    })
  }
})

export const benches: Benches = {
  durable: many(Task),
  "loop-delay": many(Task),
  "durable-steps": many(Steps),
  "latency-durable": {
    measure: (trial) => {
      const runtime = start(trial.postgres!)
      return latency(trial, async (n) => {
        await runtime.runPromise(Probe.execute(payloadOf(n)))
        return began
      })
    }
  }
}
