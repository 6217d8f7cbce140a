// The programs of a machine, played by small scripts on a PATH of their own: old, broken, hostile, and such that hang.
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as Agent from "../../src/requirements/Agent.ts"
import * as Container from "../../src/requirements/Container.ts"
import * as Git from "../../src/requirements/Git.ts"
import * as Machine from "../../src/requirements/Machine.ts"
import * as Slurm from "../../src/requirements/Slurm.ts"
import * as Requirements from "../../src/Requirements.ts"

const realPath = process.env["PATH"]
let home = ""

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "espalier-needs-"))
  mkdirSync(join(home, "bin"))
  process.env["PATH"] = join(home, "bin")
})

afterEach(() => {
  process.env["PATH"] = realPath
  rmSync(home, { recursive: true, force: true })
})

/** A program on the PATH. The shell and what it uses are named by their paths: there is no other program there. */
const fake = (name: string, script: string, mode = 0o755) => {
  const file = join(home, "bin", name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, mode)
  return file
}

const inspect = (requirements: ReadonlyArray<Requirements.Requirement>, timeLimit?: "1 second") =>
  Effect.runPromise(Requirements.inspect([{ by: "it", requirements }], { timeLimit }))

const told = async (...requirements: ReadonlyArray<Requirements.Requirement>) =>
  (await inspect(requirements)).map(({ found, state }) => `${state}: ${found}`)

const isAlive = (pid: number): boolean => {
  try {
    // A zombie takes a signal as well as the living.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

describe("a program", () => {
  const tool = Requirements.program({ argv: ["tool", "--version"], atLeast: "2.25", remedy: "Install it" })

  it("is told with its version and where it lies", async () => {
    const file = fake("tool", `[ "$1" = --version ] && echo "tool version 2.39.2 (build 7)"`)
    expect(await told(tool)).toEqual([`ok: 2.39.2, ${file}`])
  })

  it("may print its version to standard error, as some do", async () => {
    fake("tool", `echo "tool v3.0" >&2`)
    expect(await told(tool)).toEqual([expect.stringMatching(/^ok: 3\.0/)])
  })

  it("that is too old, by numbers and not by letters, is missing", async () => {
    fake("tool", "echo 2.9.1")
    expect(await told(tool)).toEqual([expect.stringMatching(/^missing: 2\.9\.1.*; 2\.25 or newer is needed$/)])
    fake("tool", "echo 2.100")
    expect(await told(tool)).toEqual([expect.stringMatching(/^ok: 2\.100/)])
  })

  it("that is older than the one it was tried with is a warning, and one as new is none", async () => {
    const tried = Requirements.program({ argv: ["tool", "--version"], triedWith: "2.1.332", remedy: "Renew it" })
    fake("tool", "echo 2.1.99")
    expect(await told(tried)).toEqual([expect.stringMatching(/^warning: 2\.1\.99, .*older than 2\.1\.332/)])
    for (const version of ["2.1.332", "2.2", "10.0.0"]) {
      fake("tool", `echo ${version}`)
      expect(await told(tried)).toEqual([expect.stringMatching(/^ok: /)])
    }
  })

  it("of an agent is told when it may not know all that it is started with", async () => {
    for (
      const [name, requirement, old] of [["claude", Agent.claude(), "2.1.331"], [
        "codex",
        Agent.codex(),
        "0.170.9"
      ]] as const
    ) {
      fake(name, `echo ${old}`)
      expect(await told(requirement)).toEqual([expect.stringMatching(new RegExp(`^warning: ${old}, .*older than`))])
    }
  })

  it("whose version nobody can read is a warning where one is asked for", async () => {
    fake("tool", "echo custom build")
    expect(await told(tool)).toEqual([expect.stringMatching(/^warning: it says "custom build" and no version/)])
  })

  it("that is not there, or may not be run, is missing in these words", async () => {
    expect(await told(tool)).toEqual(["missing: it is not on the PATH"])
    fake("tool", "echo 2.39", 0o644)
    expect(await told(tool)).toEqual(["missing: it may not be run (permission denied)"])
  })

  it("that fails is missing, with the first thing that it said, and nothing that steers a terminal", async () => {
    fake("tool", `printf '\\033[2J\\n\\033[31mno licence\\007 found\\nmore\\n' >&2; exit 3`)
    expect(await told(tool)).toEqual(["missing: tool --version ended with exit code 3: no licence found"])
    fake("tool", "kill -9 $$")
    expect(await told(tool)).toEqual(["missing: tool --version was ended by SIGKILL"])
  })

  it("that is there and fails is to be looked at, and not to be installed", async () => {
    const [absent] = await inspect([tool])
    expect(absent?.remedy).toBe("Install it")
    fake("tool", "echo no configuration >&2; exit 1")
    const [broken] = await inspect([tool])
    expect(broken?.remedy).toBe("It is there: see what \"tool --version\" says")
  })

  it("that prints for ever is ended", async () => {
    fake("tool", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done")
    expect(await told(tool)).toEqual(["missing: tool --version printed more than 64 KiB, and was ended"])
  })

  it("that is no program at all, or a directory, is missing", async () => {
    writeFileSync(join(home, "bin", "tool"), "\u007fELF nothing of the kind")
    chmodSync(join(home, "bin", "tool"), 0o755)
    expect(await told(tool)).toEqual([expect.stringMatching(/^missing: /)])
    rmSync(join(home, "bin", "tool"))
    mkdirSync(join(home, "bin", "tool"))
    expect(await told(tool)).toEqual([expect.stringMatching(/^missing: it may not be run/)])
  })

  it("that hangs, deaf to SIGTERM and with a child that holds its output, is ended with its child in its time", async () => {
    const pids = join(home, "pids")
    const script = `trap '' TERM\n(trap '' TERM; echo $$ >> ${pids}; while :; do /bin/sleep 1; done) &\n` +
      `echo $! >> ${pids}\nwhile :; do /bin/sleep 1; done`
    for (const name of ["one", "two", "three"]) fake(name, script)
    const programs = ["one", "two", "three"].map((name) => Requirements.program({ argv: [name], remedy: "Mend it" }))
    const begun = Date.now()
    const checks = await inspect(programs, "1 second")
    // At the same time: three of them one after another would take more than four seconds.
    expect(Date.now() - begun).toBeLessThan(4_000)
    expect(checks.map(({ found, state }) => `${state}: ${found}`)).toEqual(
      Array(3).fill("missing: no answer within 1s")
    )
    expect(existsSync(pids)).toBe(true)
    const left = readFileSync(pids, "utf8").trim().split("\n").map(Number)
    expect(left).toHaveLength(6)
    // Killed all the same; the system takes a moment to bury a process whose parent died with it.
    await expect.poll(() => left.filter(isAlive), { timeout: 5_000 }).toEqual([])
  })
})

describe("what the layers here need", () => {
  it("git, of a version that has what worktrees want", async () => {
    fake("git", "echo git version 2.17.1")
    expect(await told(Git.git())).toEqual([expect.stringMatching(/^missing: 2\.17\.1.*2\.25 or newer/)])
    process.env["PATH"] = realPath
    expect(await told(Git.git())).toEqual([expect.stringMatching(/^ok: 2\./)])
  })

  it("docker and a daemon that answers", async () => {
    const daemon = (answer: string) =>
      fake("docker", `[ "$1" = --version ] && { echo "Docker version 27.1.1, build x"; exit; }\n${answer}`)
    daemon("echo 27.1.0")
    expect(await told(...Container.engine("docker"))).toEqual([
      expect.stringMatching(/^ok: 27\.1\.1/),
      "ok: it answers: 27.1.0"
    ])
    daemon("echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1")
    const [client, refused] = await inspect(Container.engine("docker"))
    expect(client?.state).toBe("ok")
    expect(refused).toMatchObject({ name: "docker's daemon", state: "missing" })
    expect(refused?.found).toMatch(/exit code 1: Cannot connect to the Docker daemon/)
    expect(refused?.remedy).toMatch(/systemctl start docker/)
    daemon("echo; exit 0")
    expect((await inspect(Container.engine("docker")))[1]?.state).toBe("missing")
  })

  it("podman, which has no daemon, and its storage", async () => {
    fake("podman", `[ "$1" = --version ] && { echo podman version 4.3.1; exit; }\necho /var/lib/containers/storage`)
    expect(await told(...Container.engine("podman"))).toEqual([
      expect.stringMatching(/^ok: 4\.3\.1/),
      "ok: /var/lib/containers/storage"
    ])
  })

  it("Slurm: its programs, its controller, its accounting, the partition", async () => {
    for (const name of ["sbatch", "squeue", "scancel", "sacct", "timeout"]) fake(name, "echo slurm-wlm 22.05.8")
    const controller = (state: string, storage: string) =>
      fake(
        "scontrol",
        `case "$*" in
  --version) echo slurm-wlm 22.05.8 ;;
  ping) echo "Slurmctld(primary) at head is ${state}" ;;
  "show config") printf 'AccountingStorageHost = head\\nAccountingStorageType   = ${storage}\\n' ;;
  "--oneliner show partition batch") echo "PartitionName=batch AllowGroups=ALL State=UP TotalCPUs=2" ;;
  *) echo "Partition $4 not found" >&2; exit 1 ;;
esac`
      )
    controller("UP", "accounting_storage/slurmdbd")
    fake("squeue", `[ "$SLURM_CONF" = /etc/other.conf ] && echo slurm-wlm 22.05.8`)
    const needs = Slurm.cluster({ partitions: ["batch"], configuration: "/etc/other.conf" })
    expect((await inspect(needs)).map(({ state }) => state)).toEqual(needs.map(() => "ok"))

    controller("DOWN", "accounting_storage/none")
    fake("squeue", "echo slurm-wlm 22.05.8")
    rmSync(join(home, "bin", "sacct"))
    const checks = await inspect(Slurm.cluster({ partitions: ["bacth"] }))
    expect(checks.filter(({ state }) => state !== "ok").map(({ found, name, state }) => [name, state, found])).toEqual([
      ["sacct", "warning", "it is not on the PATH"],
      ["Slurm's controller", "missing", "it says \"Slurmctld(primary) at head is DOWN\""],
      ["Slurm's accounting", "warning", expect.any(String)],
      [
        "Slurm's partition \"bacth\"",
        "missing",
        "scontrol --oneliner show partition bacth ended with exit code 1: Partition bacth not found"
      ]
    ])
    expect(Requirements.lacking(checks)).toHaveLength(2)
  })

  it("the machine: Node, SQLite, a directory that may be written, room on its disk, the program of a job", async () => {
    const checks = await inspect([...Machine.base(home), Machine.jobProgram("no-such-program"), Machine.gpu])
    expect(checks.map(({ name, state }) => [name, state])).toEqual([
      ["Node", "ok"],
      ["SQLite", "ok"],
      ["working directory", "ok"],
      ["free disk space", expect.stringMatching(/^(ok|warning)$/)],
      ["program \"no-such-program\"", "warning"],
      ["nvidia-smi", "ok"]
    ])
    const file = fake("job", "")
    expect(await told(Machine.jobProgram("job"), Machine.jobProgram(file), Machine.jobProgram("./job"))).toEqual([
      `ok: ${file}`,
      `ok: ${file}`,
      "ok: it lies in the tree of each experiment, and is not looked for here"
    ])
    expect(await told(Machine.jobProgram("job", "/nowhere:/neither"))).toEqual(["warning: it is not on the PATH"])
  })

  it("a directory that is not there, that is a file, and one whose disk is asked though it is still to be made", async () => {
    const nowhere = join(home, "nowhere", "deep")
    writeFileSync(join(home, "file"), "")
    expect(await told(Machine.workdir(nowhere), Git.source(join(home, "file")), Machine.freeSpace(nowhere))).toEqual([
      `missing: ${nowhere} does not exist`,
      `missing: ${join(home, "file")} is no directory`,
      expect.stringMatching(new RegExp(`^(ok|warning): .* GiB at ${home}$`))
    ])
  })
})

describe("git, where the workspace fits the source", () => {
  it("is needed for a repository, and for nothing else", async () => {
    process.env["PATH"] = realPath
    const plain = join(home, "plain")
    mkdirSync(join(plain, "deep"), { recursive: true })
    expect(await told(Git.detected(plain))).toEqual([
      expect.stringMatching(
        /^ok: not needed: .*plain is in no git repository, so every experiment gets a plain copy of it$/
      )
    ])
    // A workspace that was chosen makes no copies instead.
    expect(await told(Git.repository(plain))).toEqual([`missing: ${plain} is in no git repository`])
    mkdirSync(join(plain, ".git"))
    execFileSync("git", ["init", "--quiet", plain])
    expect(await told(Git.detected(join(plain, "deep")))).toEqual([expect.stringMatching(/^ok: 2\./)])
    expect(await told(Git.repository(join(plain, "deep")))).toEqual([expect.stringMatching(/^ok: 2\./)])
    expect(await told(Git.repository(join(home, "nowhere")))).toEqual([expect.stringMatching(/^ok: 2\./)])
    process.env["PATH"] = join(home, "bin")
    expect(await told(Git.detected(plain))).toEqual(["missing: it is not on the PATH"])
    expect(await told(Git.repository(plain))).toEqual(["missing: it is not on the PATH"])
    expect(await told(Git.detected(join(home, "nowhere")))).toEqual([
      "ok: not needed as long as there is no source"
    ])
  })

  it("is missing where it refuses the repository, in its own words", async () => {
    const repository = join(home, "repository")
    execFileSync("/usr/bin/git", ["init", "--quiet", repository])
    fake(
      "git",
      `[ "$1" = --version ] && { echo git version 2.39.5; exit; }\necho "fatal: detected dubious ownership" >&2\nexit 128`
    )
    expect(await told(Git.detected(repository))).toEqual([expect.stringMatching(/^missing: .*dubious ownership/)])
    expect(await told(Git.repository(repository))).toEqual([expect.stringMatching(/^missing: .*dubious ownership/)])
  })
})
