import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Layer } from "effect"
import {
  Brief,
  BriefLive,
  Child,
  ChildLive,
  ClosingLive,
  Frail,
  FrailLive,
  Lively,
  LivelyLive,
  Task,
  TaskLive
} from "./WorkerPoolTasks.ts"

WorkerPool.serve(
  [Task, Brief, Lively, Child, Frail],
  Layer.mergeAll(TaskLive, BriefLive, LivelyLive, ChildLive, FrailLive, ClosingLive)
)
