import { Progress } from "@espalier/engine"
import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Effect } from "effect"
import { Child } from "./WorkerPoolTasks.ts"

WorkerPool.serve([Child], Child.toLayer(() => Effect.andThen(Progress.report({ current: 1 }), Effect.never)))
