// A worker of another version: its `Task` has a payload of another shape, and it knows no `Brief`.
import { WorkKind } from "@espalier/engine"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Effect, Schema } from "effect"

class Task extends WorkKind.make("Task", { payload: { version: Schema.Literal(2) }, success: Schema.Json }) {}

WorkerPool.serve([Task], Task.toLayer(() => Effect.succeed(2), { onCancel: () => Effect.void }))
