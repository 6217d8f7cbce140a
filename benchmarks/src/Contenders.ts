/** Who takes part. Each is loaded only in the process that measures it. */
import type { Benches } from "./Trial.ts"

const modules = {
  espalier: () => import("./contenders/espalier.ts"),
  fastq: () => import("./contenders/fastq.ts"),
  "p-queue": () => import("./contenders/pQueue.ts"),
  "pg-boss": () => import("./contenders/pgBoss.ts"),
  "graphile-worker": () => import("./contenders/graphileWorker.ts"),
  bullmq: () => import("./contenders/bullmq.ts"),
  dbos: () => import("./contenders/dbos.ts"),
  "effect-workflow": () => import("./contenders/effectWorkflow.ts"),
  plainjob: () => import("./contenders/plainjob.ts")
} as const satisfies Readonly<Record<string, () => Promise<{ readonly benches: Benches }>>>

/** A contender, by the name that `--contender` takes. */
export type Contender = keyof typeof modules
export const contenders = Object.keys(modules) as ReadonlyArray<Contender>

/** What a contender can do. */
export const benchesOf = async (contender: Contender): Promise<Benches> => (await modules[contender]()).benches
