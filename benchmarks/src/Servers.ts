/**
 * The servers that peers need, each a private instance of this benchmark: it listens on a Unix socket in the
 * benchmark's own directory and on nothing else, keeps its files there, and is stopped by its process id.
 *
 * Both are set to answer a commit only when it is on the disk, which is what the embedded contenders do too.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { connect } from "node:net"
import { userInfo } from "node:os"
import { join } from "node:path"
import { requireServices } from "../../scripts/require-services.ts"
import type { PostgresAddress } from "./Trial.ts"

/** Debian keeps the programs of each major version of PostgreSQL apart, off the PATH; the newest first. */
const postgresDirectories = (): ReadonlyArray<string> => {
  const versions = "/usr/lib/postgresql"
  if (!existsSync(versions)) return []
  return readdirSync(versions).sort((a, b) => Number(b) - Number(a)).map((version) => join(versions, version, "bin"))
}

/** Where the programs of PostgreSQL are; throws `ServicesMissing`, which names the package to install. */
export const postgresPrograms = () => {
  const where = {
    debianPackage: "postgresql",
    purpose: "run the benchmarks of the peers that keep their works in PostgreSQL",
    directories: postgresDirectories()
  }
  return requireServices([
    { ...where, program: "initdb" },
    { ...where, program: "postgres" },
    { ...where, program: "psql" }
  ])
}

/** Where Redis is; throws `ServicesMissing`, which names the package to install. */
export const redisPrograms = () =>
  requireServices([
    { program: "redis-server", debianPackage: "redis-server", purpose: "run the benchmarks of BullMQ" }
  ])

/** What a program says of its own version. */
export const versionOf = (program: string): string =>
  /\d+\.\d+(?:\.\d+)?/.exec(execFileSync(program, ["--version"], { encoding: "utf8" }))?.[0] ?? "unknown"

/** PostgreSQL refuses to run as root: then it runs as the user that its package made, or else as `nobody`. */
const unprivileged = (): { readonly name: string; readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return { name: userInfo().username }
  const users = new Map(
    readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":")).map((fields) => [fields[0], fields])
  )
  const fields = users.get("postgres") ?? users.get("nobody")
  if (fields === undefined) throw new Error("PostgreSQL does not run as root, and there is neither postgres nor nobody")
  return { name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) }
}

const isAlive = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

/** Starts a server and stops it when the scope closes: gently, and hard after ten seconds. */
const daemon = (
  program: string,
  args: ReadonlyArray<string>,
  options: { readonly uid?: number; readonly gid?: number; readonly cwd: string; readonly stop: NodeJS.Signals }
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { stop, ...rest } = options
      const child = spawn(program, args, { ...rest, stdio: ["ignore", "ignore", "pipe"] })
      let said = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => said = (said + text).slice(-4_000))
      return { child, stop, said: () => said }
    }),
    ({ child, stop }) =>
      isAlive(child)
        ? Effect.callback<void>((resume) => {
          const timer = setTimeout(() => child.kill("SIGKILL"), 10_000)
          child.once("exit", () => {
            clearTimeout(timer)
            resume(Effect.void)
          })
          child.kill(stop)
        })
        : Effect.void
  )

const listens = (path: string) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(path)
    const answer = (is: boolean) => {
      socket.destroy()
      resume(Effect.succeed(is))
    }
    socket.once("connect", () => answer(true)).once("error", () => answer(false))
  })

/** Waits until a server answers on its socket; a server that ended instead fails with what it said. */
const ready = (name: string, server: { readonly child: ChildProcess; readonly said: () => string }, path: string) =>
  Effect.gen(function*() {
    for (let tries = 0; tries < 300; tries++) {
      if (!isAlive(server.child)) break
      if (yield* listens(path)) return
      yield* Effect.sleep("100 millis")
    }
    return yield* Effect.die(new Error(`${name} did not start:\n${server.said()}`))
  })

/** A running PostgreSQL. */
export interface Postgres {
  readonly address: Omit<PostgresAddress, "database">
  /** An empty database, dropped when the scope closes. */
  readonly database: (name: string) => Effect.Effect<PostgresAddress, never, Scope.Scope>
}

/**
 * PostgreSQL's settings. Durability is the default (`fsync` and `synchronous_commit` on); memory, write-ahead log and
 * checkpoints are sized as its documentation advises for a server that is not tiny, since the defaults are for a
 * machine with next to no memory: https://www.postgresql.org/docs/current/runtime-config-resource.html (a quarter of
 * the memory as shared buffers) and .../runtime-config-wal.html (a `max_wal_size` that keeps checkpoints apart).
 */
const postgresSettings: Readonly<Record<string, string>> = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  shared_buffers: "1GB",
  effective_cache_size: "4GB",
  work_mem: "16MB",
  maintenance_work_mem: "256MB",
  wal_buffers: "64MB",
  max_wal_size: "8GB",
  checkpoint_timeout: "15min",
  max_connections: "200",
  listen_addresses: "",
  logging_collector: "off"
}

/** Starts a private PostgreSQL in a new folder of `directory`, and stops it when the scope closes. */
export const startPostgres = Effect.fn("startPostgres")(function*(directory: string) {
  const programs = postgresPrograms()
  const { name, ...ids } = unprivileged()
  const home = join(directory, "postgres")
  mkdirSync(home, { mode: 0o700 })
  if (ids.uid !== undefined) chownSync(home, ids.uid, ids.gid!)
  const data = join(home, "data")
  execFileSync(
    programs.initdb,
    ["--pgdata", data, "--username", name, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"],
    { ...ids, cwd: home, stdio: ["ignore", "ignore", "inherit"] }
  )
  const settings = Object.entries({ ...postgresSettings, unix_socket_directories: home })
    .flatMap(([key, value]) => ["-c", `${key}=${value}`])
  // SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
  const server = yield* daemon(programs.postgres, ["-D", data, ...settings], { ...ids, cwd: home, stop: "SIGINT" })
  yield* ready("PostgreSQL", server, join(home, ".s.PGSQL.5432"))

  const sql = (statement: string) => {
    const args = ["--quiet", "--no-psqlrc", "--host", home, "--username", name, "--dbname", "postgres"]
    execFileSync(programs.psql, [...args, "--command", statement], { cwd: home, stdio: ["ignore", "ignore", "pipe"] })
  }
  const address = { host: home, port: 5432, user: name }
  const postgres: Postgres = {
    address,
    database: (database) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          sql(`create database "${database}"`)
          return { ...address, database }
        }),
        () => Effect.sync(() => sql(`drop database "${database}" with (force)`))
      )
  }
  return postgres
})

/** Starts a private, empty Redis in a new folder of `directory`; it is stopped when the scope closes. Returns its socket. */
export const startRedis = Effect.fn("startRedis")(function*(directory: string) {
  const programs = redisPrograms()
  const home = join(directory, "redis")
  mkdirSync(home, { mode: 0o700 })
  const path = join(home, "redis.sock")
  const settings: Readonly<Record<string, string>> = {
    port: "0",
    unixsocket: path,
    dir: home,
    appendonly: "yes",
    // An answer means that the write is on the disk, as in the databases: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
    appendfsync: "always",
    "no-appendfsync-on-rewrite": "no",
    "auto-aof-rewrite-percentage": "0",
    save: "",
    // BullMQ needs this policy: https://docs.bullmq.io/guide/going-to-production
    "maxmemory-policy": "noeviction",
    daemonize: "no"
  }
  const server = yield* daemon(
    programs["redis-server"],
    Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]),
    { cwd: home, stop: "SIGTERM" }
  )
  yield* ready("Redis", server, path)
  return path
})
