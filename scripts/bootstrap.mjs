// Makes a fresh clone ready and then runs a command in it:
//
//   node scripts/bootstrap.mjs vitest run --project unit
//
// It installs what the lock file says when that is not there yet, finds a Node that is new enough
// (a machine may have only Node 20: then the one that npm installed), and runs the command with it.
//
// Why it runs the command itself, and the npm scripts do not say `bootstrap && node ...`: a shell
// remembers where it found `node`. After the first part of such a line has installed a newer Node
// further up the PATH, the second part still gets the old one. A shell that waits for two commands
// also keeps signals to itself, and Windows has another shell.
//
// Plain JavaScript with nothing imported but Node: it runs on Node 20, before anything is installed.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")
const windows = process.platform === "win32"

/** @typedef {{ link?: boolean, optional?: boolean, version?: string }} LockEntry */

/** @param {string} file @returns {any} */
const readJson = (file) => JSON.parse(readFileSync(file, "utf8"))

/** @param {string} message @returns {never} */
const fail = (message) => {
  console.error(`espalier: ${message}`)
  process.exit(1)
}

/**
 * What is missing or different in `node_modules`, said by the first difference found. Contents are
 * compared, not times of files: a checkout touches the lock file without changing it. What is optional
 * may be missing (most of it is for other platforms).
 *
 * @returns {string | undefined}
 */
const difference = () => {
  const hidden = join(modules, ".package-lock.json")
  if (!existsSync(hidden)) return "nothing is installed"
  /** @type {Record<string, LockEntry>} */
  const wanted = readJson(join(root, "package-lock.json")).packages
  /** @type {Record<string, LockEntry>} */
  const installed = readJson(hidden).packages
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes("node_modules/")) continue
    const found = installed[path]
    if (found === undefined ? entry.optional !== true : found.version !== entry.version) {
      return `${path.slice(path.lastIndexOf("node_modules/") + 13)} is not the version of the lock file`
    }
    if (found !== undefined && !existsSync(join(root, path))) return `${path} is gone`
  }
  return undefined
}

const install = () => {
  // The npm that runs this script, whatever the PATH says; another package manager cannot read the lock file.
  const npm = process.env["npm_execpath"]
  const known = npm !== undefined && /npm-cli\.c?js$/.test(npm)
  const args = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"]
  const options = /** @type {const} */ ({ cwd: root, stdio: ["ignore", 2, 2] })
  const result = known
    ? spawnSync(process.execPath, [npm, ...args], options)
    // On Windows npm is a .cmd file, which only a shell can start; the arguments are the constants above.
    : spawnSync("npm", args, { ...options, shell: windows })
  if (result.error !== undefined) fail(`npm could not be started (${result.error.message}). Install npm 10 or later.`)
  if (result.status !== 0) {
    fail(
      "`npm ci` failed: see above. Check the network and npm's registry setting, then run the command again. " +
        "If npm says that packages are missing from the lock file, run `node scripts/lock-platforms.mjs`."
    )
  }
}

/** The lowest Node that the dependencies take: @effect/platform-node wants 22.19, and it strips types unasked. */
const minimum = [22, 19]

/** The Node from npm if there is one for this platform, else the one that runs this, if it is new enough. */
const findNode = () => {
  const platform = windows ? "win" : process.platform
  const name = `node-${platform}-${process.arch}`
  const bundled = join(modules, name, "bin", windows ? "node.exe" : "node")
  if (existsSync(bundled)) return bundled
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  if (major > minimum[0] || (major === minimum[0] && minor >= minimum[1])) return process.execPath
  return fail(
    `Node ${minimum.join(".")} or later is needed, this is Node ${process.versions.node} (${process.execPath}), ` +
      `and npm did not install a newer one for ${process.platform} ${process.arch} (the optional package ${name}). ` +
      "Install Node 24 from https://nodejs.org or with your version manager (`nvm install 24`, `fnm install 24`), then run the command again."
  )
}

/**
 * The script behind a command of a package that the root declares: `vitest` → its `bin` file. Started by
 * our Node and not through node_modules/.bin, where Windows has .cmd files.
 *
 * @param {string} command
 */
const findScript = (command) => {
  const { dependencies, devDependencies } = readJson(join(root, "package.json"))
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const manifest = join(modules, name, "package.json")
    if (!existsSync(manifest)) continue
    const { bin } = readJson(manifest)
    const file = typeof bin === "string"
      ? (name.replace(/^@[^/]+\//, "") === command ? bin : undefined)
      : bin?.[command]
    if (file !== undefined) return join(modules, name, file)
  }
  return fail(`there is no command ${JSON.stringify(command)} in the packages that package.json names.`)
}

const reason = difference()
if (reason !== undefined) {
  console.error(`espalier: installing dependencies with npm ci (${reason}) ...`)
  install()
  const still = difference()
  if (still !== undefined) fail(`npm ci ended well, and yet ${still}. Remove node_modules and run the command again.`)
}

const node = findNode()
const [command, ...args] = process.argv.slice(2)
if (command !== undefined) {
  const child = spawn(node, command === "node" ? args : [findScript(command), ...args], {
    stdio: "inherit",
    env: { ...process.env, PATH: [join(modules, ".bin"), process.env["PATH"]].filter(Boolean).join(delimiter) }
  })
  // Ctrl-C reaches the whole foreground group, the child too: it decides when to end, and this waits for it.
  process.on("SIGINT", () => {})
  process.on("SIGTERM", () => child.kill("SIGTERM"))
  process.on("SIGHUP", () => child.kill("SIGHUP"))
  child.on("error", (error) => fail(`${node} could not be started: ${error.message}`))
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
