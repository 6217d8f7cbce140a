/** Where the jobs of a campaign run, as data that an engine in another process can read. */
import type { Execution } from "@espalier/platform/Execution"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { type Layer, Schedule } from "effect"

export interface Place {
  readonly directory: string
  /** Of a cluster; null for local processes. */
  readonly configuration: string | null
}

export const layerOf = (place: Place): Layer.Layer<Execution, unknown> =>
  place.configuration === null ? LocalProcess.layer({ directory: place.directory, grace: "500 millis" }) : Slurm.layer({
    directory: place.directory,
    configuration: place.configuration,
    grace: "500 millis",
    pollEvery: "500 millis",
    fileDelay: "2 seconds",
    commandTimeout: "20 seconds",
    retry: Schedule.spaced("300 millis").pipe(Schedule.upTo({ times: 200 }))
  })
