// Docker as far as a search needs it: an image is a copy of its context, and runs what it is told to in that copy.
// The first argument is the directory that it keeps its images in.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const [state, ...args] = process.argv.slice(2)
const option = (name) => args.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3)
const labels = () => args.filter((each) => each.startsWith("--label=")).map((each) => each.slice("--label=".length))
const directoryOf = (id) => join(state, id.replace("sha256:", ""))

appendFileSync(join(state, "asked"), `${args.slice(0, 2).join(" ")}\n`)
if (args[0] === "--version") console.log("Docker version 27.1.1, build 6312585")
else if (args[0] === "version") console.log("27.1.1")
else if (args[0] === "build") {
  const id = `sha256:${createHash("sha256").update(labels().join("\n")).digest("hex")}`
  cpSync(args.at(-1), directoryOf(id), { recursive: true, filter: (path) => !path.endsWith(".git") })
  writeFileSync(join(directoryOf(id), ".labels"), labels().join("\n"))
  writeFileSync(option("iidfile"), id)
  console.log(`built ${option("tag")}`)
} else if (args[0] === "image" && args[1] === "ls") {
  const label = option("filter").replace("label=", "")
  for (const name of readdirSync(state).filter((each) => existsSync(join(state, each, ".labels")))) {
    if (readFileSync(join(state, name, ".labels"), "utf8").split("\n").includes(label)) console.log(`sha256:${name}`)
  }
} else if (args[0] === "image" && args[1] === "inspect") {
  if (existsSync(directoryOf(args.at(-1)))) console.log(args.at(-1))
  else process.exitCode = 1
} else if (args[0] === "run") {
  const [, , id, program, ...rest] = args
  process.exitCode = spawnSync(program, rest, { cwd: directoryOf(id), stdio: "inherit" }).status ?? 1
} else process.exitCode = 125
