/** What jobs on Slurm need: its client programs, a controller that answers, and a partition of that name. */
import * as Requirements from "../Requirements.ts"

const install = "Install Slurm's client programs (apt install slurm-client), or work on a login node of the cluster"

const client = (name: string, level: Requirements.Level): Requirements.Requirement =>
  Requirements.program({ argv: [name, "--version"], level, remedy: install })

/**
 * - `partition`: where jobs are sent; has to be one that the controller knows. Null for the cluster's default.
 */
export const cluster = (options: { readonly partition: string | null }): ReadonlyArray<Requirements.Requirement> => [
  client("sbatch", "needed"),
  client("squeue", "needed"),
  client("scontrol", "needed"),
  client("scancel", "needed"),
  Requirements.program({
    argv: ["sacct", "--version"],
    level: "useful",
    remedy: "Without it what a job used, and how jobs ended that the controller has forgotten, is not known. " + install
  }),
  Requirements.answering({
    name: "Slurm's controller",
    argv: ["scontrol", "ping"],
    reads: (stdout) => /\bUP\b/.test(stdout) ? stdout : undefined,
    remedy: "Ask whoever runs the cluster; on a machine of your own: systemctl start slurmctld"
  }),
  Requirements.answering({
    name: "Slurm's accounting",
    level: "useful",
    argv: ["scontrol", "show", "config"],
    reads: (stdout) => {
      const storage = /^AccountingStorageType\s*=\s*(\S+)/m.exec(stdout)?.[1]
      return storage === undefined || storage.endsWith("none") || storage === "(null)" ? undefined : storage
    },
    remedy: "There is none, or it does not say. Jobs run all the same; what they used is not known, " +
      "and how they ended only as long as the controller remembers it"
  }),
  ...(options.partition === null ? [] : [Requirements.answering({
    name: `Slurm's partition ${JSON.stringify(options.partition)}`,
    argv: ["scontrol", "--oneliner", "show", "partition", options.partition],
    reads: (stdout) => {
      const state = /\bState=(\S+)/.exec(stdout)?.[1]
      return state === "UP" ? "it is UP" : undefined
    },
    remedy: "Correct execution.partition; \"sinfo --summarize\" lists those that there are"
  })])
]
