// The real programs of coding agents, from npm, in a cache beside the system's other temporary files: they are large (400 MB
// each) and no dependencies of this repository. Installed once for each version; whoever is first installs, aside and
// renamed, so that what is there is whole.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const cache = join(tmpdir(), "espalier-agent-programs")

const npm = (args: ReadonlyArray<string>) => {
  // Run by npm, as the tests are, its own script is known; else the one on the PATH.
  const script = process.env["npm_execpath"]
  const [file, ...before] = script?.endsWith(".js") === true ? [process.execPath, script] : ["npm"]
  execFileSync(file!, [...before, ...args], { stdio: ["ignore", "pipe", "pipe"] })
}

const install = (name: string, version: string, finish: (prefix: string) => void): string => {
  const home = join(cache, `${name.replaceAll(/[^a-z]+/g, "-").replace(/^-/, "")}-${version}`)
  if (existsSync(home)) return home
  mkdirSync(cache, { recursive: true })
  const aside = mkdtempSync(join(cache, "installing-"))
  try {
    npm([
      "install",
      "--prefix",
      aside,
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--no-save",
      "--loglevel=error",
      `${name}@${version}`
    ])
    finish(aside)
    try {
      renameSync(aside, home)
    } catch (error) {
      // Another test file was faster.
      if (!existsSync(home)) throw error
    }
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  return home
}

/** Absolute path of the `claude` program. */
export const claudeProgram = (version = "2.1.332"): string => {
  const home = install("@anthropic-ai/claude-code", version, (prefix) => {
    const directory = join(prefix, "node_modules/@anthropic-ai/claude-code")
    // What its installation does by itself, where npm lets it: it puts the program of this machine into its place.
    execFileSync(process.execPath, [join(directory, "install.cjs")], { cwd: directory, stdio: "pipe" })
  })
  return join(home, "node_modules/.bin/claude")
}

/** Absolute path of the `codex` program: not its launcher, which is a script for the Node that happens to be on the PATH. */
export const codexProgram = (version = "0.171.0"): string => {
  const home = install("@openai/codex", version, () => undefined)
  const packages = join(home, "node_modules/@openai")
  const platform = readdirSync(packages).find((name) => name.startsWith("codex-"))
  if (platform === undefined) throw new Error(`@openai/codex@${version} has no program for this machine in ${packages}`)
  const vendor = join(packages, platform, "vendor")
  const program = readdirSync(vendor).map((target) => join(vendor, target, "bin/codex")).find(existsSync)
  if (program === undefined) throw new Error(`there is no program below ${vendor}`)
  return program
}

/** Where programs are found by the tests' agents: beside this Node, and where the system has them. */
export const path = [dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(":")
