/**
 * The example with a shorter plan, whose process kills itself with SIGKILL at a failpoint:
 *
 *   KILL_AT="step.recorded arm" node --conditions=espalier-source killed.ts DIRECTORY
 */
import { Failpoint } from "@espalier/engine"
import * as JournalSqlite from "@espalier/engine/JournalSqlite"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { Acquisition, begin, ImageLive, StimulateLive } from "../../acquisition.ts"
import { layerSimulated } from "../../microscope.ts"

const [directory = ""] = process.argv.slice(2)

const hook = (name: string): void => {
  if (name !== process.env["KILL_AT"]) return
  process.kill(process.pid, "SIGKILL")
  // The signal is delivered before the next turn of the event loop, not before the next line.
  for (;;);
}

const AcquisitionLive = Acquisition.layer.pipe(
  Layer.provide([ImageLive, StimulateLive]),
  Layer.provide([layerSimulated(), JournalSqlite.layer({ filename: join(directory, "plan.db") })])
)

await Effect.runPromise(
  begin({ rounds: 3, period: "600 millis" }).pipe(
    Effect.flatMap((run) => run.await),
    Effect.scoped,
    Effect.provideService(Failpoint.Failpoint, hook),
    Effect.provide(AcquisitionLive)
  )
)
