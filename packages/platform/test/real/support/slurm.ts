/**
 * A Slurm of its own for a test: one node, its own munge, its own ports, everything in a directory under /tmp. It starts
 * what it needs and ends only that. It needs root, as Slurm's daemons do.
 *
 * The node claims more processors than the machine has, so that many small jobs run at once; memory limits are enforced
 * where the kernel lets it (control groups). There are two partitions, of which `urgent` preempts `main`. There is no
 * accounting, as on many small clusters, unless it is asked for.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { hostname, tmpdir } from "node:os"
import { basename, join } from "node:path"
import { installServices } from "../../../../../scripts/require-services.ts"

const purpose = "run the tests of jobs on a cluster of one node"

/** Finds or installs Slurm's programs; fails, and says what is missing, where that is not possible. */
export const slurmPrograms = () =>
  installServices([
    { program: "slurmctld", debianPackage: "slurmctld", purpose },
    { program: "slurmd", debianPackage: "slurmd", purpose },
    { program: "sbatch", debianPackage: "slurm-client", purpose },
    { program: "squeue", debianPackage: "slurm-client", purpose },
    { program: "scontrol", debianPackage: "slurm-client", purpose },
    { program: "scancel", debianPackage: "slurm-client", purpose },
    { program: "munged", debianPackage: "munge", purpose }
  ])

/** What accounting needs beside. */
const accountingPrograms = () =>
  installServices([
    { program: "slurmdbd", debianPackage: "slurmdbd", purpose },
    { program: "mariadbd", debianPackage: "mariadb-server", purpose },
    { program: "mariadb-install-db", debianPackage: "mariadb-server", purpose },
    { program: "mariadb", debianPackage: "mariadb-client", purpose },
    { program: "sacctmgr", debianPackage: "slurm-client", purpose }
  ])

export interface SlurmOptions {
  /** How long the controller remembers a job after its end, in seconds. Default: 300. */
  readonly minJobAge?: number
  /** With a database of its own behind it, as large clusters have. Needs `slurmdbd` and MariaDB. Default: no accounting. */
  readonly accounting?: boolean
  /** After how many seconds without a word from the node it counts as failed. Default: 30. */
  readonly slurmdTimeout?: number
}

/** A running cluster. */
export interface TestSlurm {
  /** Of everything; jobs may lie in it. */
  readonly directory: string
  /** Its `slurm.conf`. */
  readonly configuration: string
  readonly controller: Daemon
  readonly node: Daemon
  /** What a command of Slurm prints. */
  readonly run: (program: string, ...args: ReadonlyArray<string>) => string
  readonly stop: () => Promise<void>
}

/** One of its daemons, to be killed and started again. */
export interface Daemon {
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, millis)
  })

const until = async (what: string, atMost: number, condition: () => boolean): Promise<void> => {
  for (const giveUpAt = Date.now() + atMost; !condition();) {
    if (Date.now() > giveUpAt) throw new Error(`${what} within ${atMost / 1000} s`)
    await pause(50)
  }
}

/** Removes the empty control groups that a node left behind. */
const removeGroups = (directory: string): void => {
  try {
    for (const one of readdirSync(directory, { withFileTypes: true })) {
      if (one.isDirectory()) removeGroups(join(directory, one.name))
    }
    rmdirSync(directory)
  } catch {
    // There is none, or something still runs in it: it goes with the next start of the machine.
  }
}

/** Starts a cluster. */
export const startSlurm = async (options: SlurmOptions = {}): Promise<TestSlurm> => {
  const programs = slurmPrograms()
  if (process.getuid?.() !== 0) throw new Error("Slurm's daemons run jobs as their users: run these tests as root")
  const directory = mkdtempSync(join(tmpdir(), "espalier-slurm-"))
  // Munge's socket has to be reachable for everybody, its key for nobody else.
  chmodSync(directory, 0o755)
  const place = (name: string): string => join(directory, name)
  for (const name of ["state", "spool", "socket"]) mkdirSync(place(name), { mode: 0o755 })
  mkdirSync(place("munge"), { mode: 0o700 })
  writeFileSync(place("munge/key"), randomBytes(1024), { mode: 0o400 })
  const configuration = place("slurm.conf")
  const [controllerPort, nodePort, databasePort] = [await freePort(), await freePort(), await freePort()]
  const host = hostname()
  // Control groups are named for the node: clusters that run beside each other must not share their jobs' memory limits.
  const nodeName = `espalier${nodePort}`
  const hasMemoryGroups = existsSync("/sys/fs/cgroup/memory") || existsSync("/sys/fs/cgroup/cgroup.controllers")
  writeFileSync(place("cgroup.conf"), "IgnoreSystemd=yes\nConstrainRAMSpace=yes\nAllowedRAMSpace=100\n")
  writeFileSync(
    configuration,
    `ClusterName=espalier
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
AuthType=auth/munge
AuthInfo=socket=${place("socket/munge")}
CredType=cred/munge
StateSaveLocation=${place("state")}
SlurmdSpoolDir=${place("spool")}
SlurmctldPidFile=${place("slurmctld.pid")}
SlurmdPidFile=${place("slurmd.pid")}
SlurmctldLogFile=${place("slurmctld.log")}
SlurmdLogFile=${place("slurmd.log")}
ProctrackType=proctrack/linuxproc
TaskPlugin=${hasMemoryGroups ? "task/cgroup" : "task/none"}
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=300
SlurmdParameters=config_overrides
SlurmdTimeout=${options.slurmdTimeout ?? 30}
MinJobAge=${options.minJobAge ?? 300}
KillWait=2
ReturnToService=2
MessageTimeout=10
EnforcePartLimits=ALL
${
      options.accounting === true
        ? `AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=${databasePort}
AccountingStoragePass=${place("socket/munge")}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1`
        : `AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none`
    }
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
NodeName=${nodeName} NodeHostname=${host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=20000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
`
  )
  const environment = { ...process.env, SLURM_CONF: configuration, MYSQL_UNIX_PORT: place("database.socket") }
  const daemon = (program: string, args: ReadonlyArray<string>): Daemon & { readonly end: () => Promise<void> } => {
    let child: ChildProcess | undefined
    const over = async (signal: NodeJS.Signals): Promise<void> => {
      const running = child
      child = undefined
      if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
      const ended = once(running, "exit")
      running.kill(signal)
      const waited = await Promise.race([ended, pause(5000).then(() => "late" as const)])
      if (waited === "late") {
        running.kill("SIGKILL")
        await ended
      }
    }
    return {
      start: async () => {
        const log = openSync(place(`${basename(program)}.out`), "a")
        child = spawn(program, [...args], {
          env: environment,
          stdio: ["ignore", log, log],
          cwd: directory
        })
        await once(child, "spawn")
      },
      kill: () => over("SIGKILL"),
      end: () => over("SIGTERM")
    }
  }
  const munge = daemon(programs.munged, [
    "--foreground",
    `--key-file=${place("munge/key")}`,
    `--socket=${place("socket/munge")}`,
    `--pid-file=${place("munge/pid")}`,
    `--log-file=${place("munge/log")}`,
    `--seed-file=${place("munge/seed")}`,
    "--num-threads=4"
  ])
  const controller = daemon(programs.slurmctld, ["-D", "-f", configuration])
  const node = daemon(programs.slurmd, ["-D", "-f", configuration, "-N", nodeName])
  const accounting: Array<() => Promise<void>> = []
  /** Starts the accounting daemon and its database. */
  const startAccounting = async (): Promise<void> => {
    const found = accountingPrograms()
    const socket = place("database.socket")
    writeFileSync(
      place("slurmdbd.conf"),
      `AuthType=auth/munge
AuthInfo=socket=${place("socket/munge")}
DbdHost=${host}
DbdAddr=127.0.0.1
DbdPort=${databasePort}
SlurmUser=root
LogFile=${place("slurmdbd.log")}
PidFile=${place("slurmdbd.pid")}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
`,
      { mode: 0o600 }
    )
    execFileSync(found["mariadb-install-db"], [
      "--no-defaults",
      `--datadir=${place("database")}`,
      "--user=root",
      "--auth-root-authentication-method=normal",
      "--skip-test-db"
    ], { stdio: "ignore" })
    const database = daemon(found.mariadbd, [
      "--no-defaults",
      `--datadir=${place("database")}`,
      "--user=root",
      `--socket=${socket}`,
      "--skip-networking"
    ])
    const slurmdbd = daemon(found.slurmdbd, ["-D"])
    accounting.push(slurmdbd.end, database.end)
    const ask = (...args: ReadonlyArray<string>): boolean => {
      try {
        run(args[0]!, ...args.slice(1))
        return true
      } catch {
        return false // not up yet
      }
    }
    await database.start()
    await until(
      "the database came up",
      30_000,
      () =>
        ask(found.mariadb, "--no-defaults", `--socket=${socket}`, "--execute", "CREATE DATABASE IF NOT EXISTS slurm")
    )
    await slurmdbd.start()
    await until("accounting came up", 30_000, () => ask(found.sacctmgr, "--noheader", "show", "cluster"))
    // Where slurmctld is quicker, it has registered its cluster itself.
    ask(found.sacctmgr, "--immediate", "add", "cluster", "espalier")
  }
  const run = (program: string, ...args: ReadonlyArray<string>): string =>
    execFileSync(program, args, { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
  const isUp = (): boolean => {
    try {
      return /^(?:idle|mixed|allocated)/m.test(
        run(programs.scontrol, "show", "node", "--oneliner").replace(/.* State=/, "").toLowerCase()
      )
    } catch {
      return false // not up yet
    }
  }
  const logs = (): string =>
    ["munged.out", "mariadbd.out", "slurmdbd.out", "slurmctld.out", "slurmd.out"].map((name) => {
      try {
        return `${name}:\n${readFileSync(place(name), "utf8").slice(-1500)}`
      } catch {
        return `${name}: nothing`
      }
    }).join("\n")
  const stop = async (): Promise<void> => {
    try {
      run(programs.scancel, "--user=root", "--signal=KILL", "--full")
      run(programs.scancel, "--user=root")
      await until("jobs ended", 5000, () => run(programs.squeue, "--noheader") === "")
    } catch {
      // A controller that a test killed cannot end its jobs; what they run ends by itself.
    }
    await node.end()
    await controller.end()
    for (const end of accounting) await end()
    await munge.end()
    for (const controller of ["memory", "cpuset", "freezer", "devices", ""]) {
      removeGroups(join("/sys/fs/cgroup", controller, `slurm_${nodeName}`))
    }
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await munge.start()
    await until("munge came up", 10_000, () => existsSync(place("socket/munge")))
    if (options.accounting === true) await startAccounting()
    await controller.start()
    await node.start()
    await until("Slurm came up", 30_000, isUp)
  } catch (error) {
    const said = logs()
    await stop()
    throw new Error(`Slurm did not come up: ${error}\n${said}`, { cause: error })
  }
  const again = (one: Daemon): Daemon => ({
    kill: one.kill,
    start: async () => {
      await one.start()
      await until("Slurm came up again", 30_000, isUp)
    }
  })
  return { directory, configuration, controller: again(controller), node: again(node), run, stop }
}
