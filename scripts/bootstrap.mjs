// Installs what the workspace needs when `npm start` or `npm test` is run in a fresh clone.
// Plain JavaScript on purpose: it must run on Node 20, before anything is installed.
import { spawnSync } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const lock = `${root}package-lock.json`
const installed = `${root}node_modules/.package-lock.json`
const fresh = existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs
if (!fresh) {
  console.error("espalier: installing dependencies (npm ci) ...")
  const npm = process.env["npm_execpath"]
  const [command, args] = npm === undefined
    ? ["npm", []]
    : [process.execPath, [npm]]
  const result = spawnSync(command, [...args, "ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: npm === undefined && process.platform === "win32"
  })
  if (result.status !== 0) {
    console.error("espalier: `npm ci` failed. Check the network and the npm registry setting, then run the command again.")
    process.exit(result.status ?? 1)
  }
}
