// Completes package-lock.json: node scripts/lock-platforms.mjs [--check]
//
// Tools with native binaries publish one optional package a platform. A registry that mirrors only some
// of them makes `npm install` write a lock file without the others, and then `npm ci` refuses that lock
// file everywhere ("Missing: ... from lock file"), even on a platform that needs none of them. This adds
// the missing entries: name and version come from the package that asks for them, the platform from the
// package's name. They carry no integrity, since there was no file to hash; npm fills it in when it can.
//
// With --check it changes nothing, names what is missing, and exits 1 if there is any.
import { readFileSync, writeFileSync } from "node:fs"
import process from "node:process"

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(readFileSync(file, "utf8"))

const platform =
  /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|armv7|arm|ia32|loong64|ppc64|riscv64|s390x|x64)(?:-([a-z]+))?$/
const libraries = { glibc: "glibc", gnu: "glibc", gnueabihf: "glibc", musl: "musl", musleabihf: "musl" }

/** @type {Record<string, object>} */
const missing = {}
for (const [owner, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`
    if (lock.packages[path] !== undefined || lock.packages[`${owner}/${path}`] !== undefined) continue
    const match = platform.exec(name)
    if (match === null || !/^\d+\.\d+\.\d+$/.test(version)) {
      console.error(`${name}@${version} of ${owner}: neither platform nor version can be told from it. Add it by hand.`)
      process.exitCode = 1
      continue
    }
    const [, os, cpu, library] = match
    missing[path] = {
      version,
      cpu: [cpu],
      ...(entry.dev === true ? { dev: true } : {}),
      ...(os === "linux" && library !== undefined ? { libc: [libraries[library]] } : {}),
      optional: true,
      os: [os]
    }
  }
}

const names = Object.keys(missing)
if (process.argv.includes("--check")) {
  for (const name of names) console.error(`package-lock.json lacks ${name}: run \`node scripts/lock-platforms.mjs\``)
  if (names.length > 0) process.exitCode = 1
} else if (names.length > 0) {
  lock.packages = Object.fromEntries(
    Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => a.localeCompare(b, "en"))
  )
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`package-lock.json: added ${names.length} packages of other platforms`)
}
