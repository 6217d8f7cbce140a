// scripts/bootstrap.mjs in a workspace of its own, with an npm that only writes down what it was asked for.
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { root } from "../../scripts/sources.ts"

/** Does what `npm ci` would: node_modules with a tool and the hidden lock file, by the lock file. */
const fakeNpm = `
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
appendFileSync("npm.log", process.argv.slice(2).join(" ") + "\\n")
if (existsSync("npm-fails")) process.exit(3)
mkdirSync("node_modules/tool", { recursive: true })
writeFileSync("node_modules/tool/package.json", JSON.stringify({ name: "tool", bin: { tool: "tool.mjs" } }))
writeFileSync("node_modules/tool/tool.mjs", "console.log('tool', ...process.argv.slice(2)); process.exit(5)")
const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"))
delete packages["node_modules/other-platform"]
writeFileSync("node_modules/.package-lock.json", JSON.stringify({ packages }))
`

describe("the bootstrap", () => {
  let directory: string
  const at = (...parts: ReadonlyArray<string>) => join(directory, ...parts)
  const lock = (version: string) =>
    writeFileSync(
      at("package-lock.json"),
      JSON.stringify({
        packages: {
          "": { name: "workspace" },
          "node_modules/tool": { version },
          "node_modules/other-platform": { version: "1.0.0", optional: true }
        }
      })
    )
  const installs = () => existsSync(at("npm.log")) ? readFileSync(at("npm.log"), "utf8").trim().split("\n").length : 0
  const env = () => ({ ...process.env, npm_execpath: at("npm-cli.js"), NODE_OPTIONS: "" })
  const bootstrap = (args: ReadonlyArray<string>, nodeArgs: ReadonlyArray<string> = []) => {
    const result = spawnSync(process.execPath, [...nodeArgs, at("scripts", "bootstrap.mjs"), ...args], {
      encoding: "utf8",
      env: env()
    })
    return { exit: result.status, out: result.stdout, err: result.stderr }
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "espalier-bootstrap-"))
    mkdirSync(at("scripts"))
    copyFileSync(join(root, "scripts", "bootstrap.mjs"), at("scripts", "bootstrap.mjs"))
    writeFileSync(at("package.json"), JSON.stringify({ type: "module", devDependencies: { tool: "1.0.0" } }))
    writeFileSync(at("npm-cli.js"), fakeNpm)
    lock("1.0.0")
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it("installs by the lock file, development and optional packages too, and then runs the command with its arguments", () => {
    const { err, exit, out } = bootstrap(["tool", "--project", "a b"])
    expect(readFileSync(at("npm.log"), "utf8")).toBe(
      "ci --include=dev --include=optional --no-audit --no-fund --loglevel=error\n"
    )
    expect(err).toContain("installing dependencies with npm ci (nothing is installed)")
    expect(out).toBe("tool --project a b\n")
    expect(exit).toBe(5)
  })

  it("installs once, and not again because the lock file was touched or lacks packages of other platforms", () => {
    bootstrap(["tool"])
    const later = new Date(4_000_000_000_000)
    utimesSync(at("package-lock.json"), later, later)
    expect(bootstrap(["tool"]).err).toBe("")
    expect(installs()).toBe(1)
  })

  it("installs again when the lock file asks for another version, or when a package is gone", () => {
    bootstrap(["tool"])
    lock("2.0.0")
    expect(bootstrap(["tool"]).err).toContain("tool is not the version of the lock file")
    rmSync(at("node_modules", "tool"), { recursive: true })
    expect(bootstrap(["tool"]).err).toContain("node_modules/tool is gone")
    expect(installs()).toBe(3)
  })

  it("runs nothing when npm fails, and says what to look at", () => {
    writeFileSync(at("npm-fails"), "")
    const { err, exit, out } = bootstrap(["tool"])
    expect(exit).toBe(1)
    expect(out).toBe("")
    expect(err).toContain("`npm ci` failed: see above. Check the network and npm's registry setting")
  })

  it("runs `node` with a Node that is new enough: the one from npm before the one that runs it", () => {
    bootstrap([])
    const script = at("version.mjs")
    writeFileSync(script, "console.log(process.execPath)")
    expect(bootstrap(["node", script]).out).toBe(`${process.execPath}\n`)
    const platform = process.platform === "win32" ? "win" : process.platform
    const bin = at("node_modules", `node-${platform}-${process.arch}`, "bin")
    mkdirSync(bin, { recursive: true })
    const bundled = join(bin, process.platform === "win32" ? "node.exe" : "node")
    copyFileSync(process.execPath, bundled)
    expect(bootstrap(["node", script]).out).toBe(`${bundled}\n`)
  })

  it("says what to do where npm has no Node for this platform and the machine's own is too old", () => {
    bootstrap([])
    const old =
      "data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })"
    const { err, exit, out } = bootstrap(["tool"], ["--import", old])
    expect(err).toMatch(
      /Node 22\.19 or later is needed, this is Node 20\.20\.2 .*Install Node 24 from https:\/\/nodejs\.org/
    )
    expect(out).toBe("")
    expect(exit).toBe(1)
  })

  it("names a command that no package has", () => {
    expect(bootstrap(["tol"]).err).toContain("there is no command \"tol\"")
  })

  it("hands a signal on and ends as the command ends", async () => {
    bootstrap([])
    const script = at("waits.mjs")
    writeFileSync(
      script,
      "process.on('SIGTERM', () => { console.log('ending'); process.exit(7) }); setInterval(() => {}, 1000); console.log('up')"
    )
    const child = spawn(process.execPath, [at("scripts", "bootstrap.mjs"), "node", script], {
      env: env(),
      stdio: ["ignore", "pipe", "inherit"]
    })
    let output = ""
    child.stdout.on("data", (chunk) => {
      output += String(chunk)
      if (output === "up\n") child.kill("SIGTERM")
    })
    expect(await once(child, "close")).toEqual([7, null])
    expect(output).toBe("up\nending\n")
  })
})
