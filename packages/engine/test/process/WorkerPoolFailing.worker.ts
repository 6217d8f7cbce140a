import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Effect, Layer } from "effect"
import { Child, ChildLive } from "./WorkerPoolTasks.ts"

WorkerPool.serve(
  [Child],
  Layer.provideMerge(ChildLive, Layer.effectDiscard(Effect.fail("the table of weights is missing")))
)
