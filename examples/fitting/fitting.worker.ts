import * as WorkerPool from "@espalier/engine/WorkerPool"
import { Layer } from "effect"
import { FitLive, SampleLive } from "./handlers.ts"
import { Fit, Sample } from "./kinds.ts"

WorkerPool.serve([Fit, Sample], Layer.merge(FitLive, SampleLive))
