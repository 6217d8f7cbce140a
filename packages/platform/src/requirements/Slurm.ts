/** What jobs on Slurm need: its client programs, a controller that answers, and a partition of that name. */
import * as Requirements from "../Requirements.ts"

const configured = "It is there: name the cluster's slurm.conf in execution.configuration, or put it in /etc/slurm"

const install = "Install Slurm's client programs (apt install slurm-client), or work on a login node of the cluster"

/**
 * - `partitions`: where jobs are sent; each has to be one that the controller knows. Null for the cluster's default.
 * - `configuration`: the file of the cluster, where it is not the machine's own.
 */
export const cluster = (options: {
  readonly partitions: ReadonlyArray<string> | null
  readonly configuration?: string | undefined
}): ReadonlyArray<Requirements.Requirement> => {
  const environment = options.configuration === undefined ? {} : { SLURM_CONF: options.configuration }
  const client = (name: string) =>
    Requirements.program({ argv: [name, "--version"], environment, remedy: install, whenSilent: configured })
  return [
    client("sbatch"),
    client("squeue"),
    client("scontrol"),
    client("scancel"),
    Requirements.program({ argv: ["timeout", "--version"], remedy: "Install GNU coreutils" }),
    Requirements.program({
      argv: ["sacct", "--version"],
      environment,
      level: "useful",
      remedy: "Without it what a job used, and how jobs ended that the controller has forgotten, is not known. " +
        install
    }),
    Requirements.answering({
      name: "Slurm's controller",
      argv: ["scontrol", "ping"],
      environment,
      reads: (stdout) => /\bUP\b/.test(stdout) ? stdout : undefined,
      remedy: "Ask whoever runs the cluster; on a machine of your own: systemctl start slurmctld"
    }),
    Requirements.answering({
      name: "Slurm's accounting",
      level: "useful",
      argv: ["scontrol", "show", "config"],
      environment,
      reads: (stdout) => {
        const storage = /^AccountingStorageType\s*=\s*(\S+)/m.exec(stdout)?.[1]
        return storage === undefined || storage.endsWith("none") || storage === "(null)" ? undefined : storage
      },
      remedy: "There is none, or it does not say. Jobs run all the same; what they used is not known, " +
        "and how they ended only as long as the controller remembers it"
    }),
    ...(options.partitions ?? []).map((partition) =>
      Requirements.answering({
        name: `Slurm's partition ${JSON.stringify(partition)}`,
        argv: ["scontrol", "--oneliner", "show", "partition", partition],
        environment,
        reads: (stdout) => /\bState=UP\b/.test(stdout) ? "it is UP" : undefined,
        remedy: "Correct execution.partition; \"sinfo --summarize\" lists those that there are"
      })
    )
  ]
}
