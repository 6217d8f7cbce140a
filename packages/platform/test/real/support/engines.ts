/** Real container engines with stores of their own, that touch nothing of the machine's. */
import { execFileSync, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as Path from "node:path"
import type * as ContainerImage from "../../../src/artifacts/ContainerImage.ts"

export interface Engine {
  readonly options: ContainerImage.Options
  readonly remove: () => Promise<void>
}

/** Short, for the path of a socket has 107 characters at most. */
const directory = () => fs.mkdtempSync(Path.join(os.tmpdir(), "esp-"))
const remove = (path: string) => fs.rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })

/** podman without its service: it builds in its own process. Steps run in a chroot, which needs no control groups. */
export const podmanStore = (program: string): Engine => {
  const home = directory()
  return {
    options: {
      engine: "podman",
      program,
      engineArguments: [
        `--root=${home}/root`,
        `--runroot=${home}/run`,
        `--tmpdir=${home}/tmp`,
        "--storage-driver=vfs",
        "--events-backend=none"
      ],
      buildOptions: ["--isolation=chroot"]
    },
    remove: async () => remove(home)
  }
}

/** A daemon that has no network and no rules in the firewall. */
export const dockerDaemon = async (program: string, daemon: string): Promise<Engine> => {
  const home = directory()
  const socket = `unix://${home}/sock`
  const log = fs.openSync(Path.join(home, "log"), "w")
  const child = spawn(daemon, [
    `--data-root=${home}/data`,
    `--exec-root=${home}/exec`,
    `--pidfile=${home}/pid`,
    `--host=${socket}`,
    "--storage-driver=vfs",
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none"
  ], { stdio: ["ignore", log, log] })
  fs.closeSync(log)
  const gone = once(child, "exit")
  const environment = { DOCKER_HOST: socket, DOCKER_CONFIG: Path.join(home, "config") }
  const answers = () => {
    try {
      execFileSync(program, ["version"], { env: { ...process.env, ...environment }, stdio: "ignore" })
      return true
    } catch {
      return false // not yet
    }
  }
  for (let tries = 0; !answers(); tries++) {
    if (child.exitCode !== null || tries > 300) {
      child.kill("SIGKILL")
      throw new Error(`dockerd does not start: ${fs.readFileSync(Path.join(home, "log"), "utf8").slice(-2000)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    options: { engine: "docker", program, environment, buildOptions: ["--network=none"] },
    remove: async () => {
      child.kill("SIGTERM")
      await gone
      remove(home)
    }
  }
}

/** A text that no other process has in its arguments. */
export const markOf = (): string => `mark-${randomUUID()}`

/** Living processes with this text in their arguments, other than this one. */
export const processesWith = (text: string): ReadonlyArray<number> =>
  fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).filter((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text) &&
        !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
    } catch {
      return false // it has gone
    }
  }).map(Number)
