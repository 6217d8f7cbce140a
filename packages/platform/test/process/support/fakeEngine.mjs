/**
 * Speaks the command line of docker and podman, as far as images are built, listed, inspected and named, for tests of
 * what an engine can do wrong. Answers, messages and exit codes are those of docker 20.10 and 28, and podman 4.3; an option
 * that they do not have is refused as they do. `ContainerImageReal.test.ts` runs the same cases on the real ones.
 *
 * Started as `fakeEngine.mjs <docker|podman> <store> <arguments...>`; images are kept in the store. JavaScript, for it is
 * started hundreds of times, and types take longer to strip than all the rest. `FAKE_FAULTS` lists, with commas, what goes wrong. A Dockerfile may say, besides
 * FROM, ARG, COPY and LABEL: `RUN exit N`, `RUN hang`, `RUN loud N` (megabytes).
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as Path from "node:path"

/** @typedef {{ id: string, labels: Record<string, string>, names: Array<string> }} Image */

const [, , engine, store, ...args] = process.argv
const isDocker = engine === "docker"
const faults = new Set((process.env["FAKE_FAULTS"] ?? "").split(","))
fs.appendFileSync(Path.join(store, "calls"), `${JSON.stringify(args)}\n`)

const say = (text) => fs.writeSync(1, text)
const end = (code, message = "") => {
  if (message !== "") fs.writeSync(2, `${message}\n`)
  return process.exit(code)
}
const wrong = isDocker ? 1 : 125

const unreachable = () =>
  isDocker
    ? end(1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
    : end(125, "Cannot connect to Podman. Please verify your connection to the Linux system")
if (faults.has("down") || fs.existsSync(Path.join(store, "down"))) unreachable()

// One file an image, so that builds at once do not lose each other's.
const images = () =>
  fs.readdirSync(store).filter((name) => name.endsWith(".image")).sort().reverse()
    .map((name) => JSON.parse(fs.readFileSync(Path.join(store, name), "utf8")))
const save = (image) => {
  const file = Path.join(store, `${image.id}.image`)
  fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(image))
  fs.renameSync(`${file}.${process.pid}`, file)
}
const normal = (name) => {
  const tagged = /:[^/]*$/.test(name) ? name : `${name}:latest`
  return tagged.startsWith("localhost/") ? tagged : `localhost/${tagged}`
}
const lookUp = (text) => {
  const hex = text.replace(/^sha256:/, "")
  return images().find((one) => one.names.includes(normal(text)) || one.id.startsWith(hex))
}
const give = (image, name) => {
  for (const other of images()) {
    if (other.id === image.id || !other.names.includes(normal(name))) continue
    save({ ...other, names: other.names.filter((one) => one !== normal(name)) })
  }
  save({ ...image, names: [...new Set([...image.names, normal(name)])] })
}
/** Splits `--name=value`; an option that this command does not have is an error, as it is for the real ones. */
const options = (words, known) => {
  const found = []
  const rest = []
  for (const word of words) {
    const [, name, value = ""] = /^(--[a-z-]+)(?:=([\s\S]*))?$/.exec(word) ?? []
    if (name === undefined && word.startsWith("-")) end(125, `unknown shorthand flag in ${word}`)
    if (name === undefined) rest.push(word)
    else if (known.includes(name)) found.push([name, value])
    else end(125, `unknown flag: ${name}`)
  }
  return { all: (name) => found.filter(([one]) => one === name).map(([, value]) => value), rest }
}
const id = (hex) => isDocker ? `sha256:${hex}` : hex

/** podman reads the name of the file as a line of CSV. */
const fromCsv = (text) => {
  if (!text.startsWith("\"")) {
    return /["\n]/.test(text)
      ? end(125, "parse error: bare \" in non-quoted-field")
      : text.split(",")[0]
  }
  return text.slice(1, -1).replaceAll("\"\"", "\"")
}

const hang = () => {
  // A step of a build, as podman starts it: not in this session, not with this environment, deaf to SIGTERM.
  const deaf = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"
  const step = spawn(process.execPath, ["-e", deaf], { stdio: ["ignore", "pipe", "inherit"], detached: true, env: {} })
  step.stdout.once("data", () => fs.writeFileSync(Path.join(store, "pids"), `${process.pid}\n${step.pid}\n`))
  setInterval(() => undefined, 1000)
}

const build = (words) => {
  const known = ["--file", "--iidfile", "--tag", "--label", "--target", "--build-arg", "--network", "--pull"]
  const { all, rest: [context, ...more] } = options(words, known)
  if (context === undefined || more.length > 0) return end(1, `"${engine} build" requires exactly 1 argument.`)
  const file = isDocker ? all("--file")[0] : fromCsv(all("--file")[0])
  const pairs = (name) =>
    Object.fromEntries(all(name).map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]))
  const given = pairs("--build-arg")
  const labels = pairs("--label")
  const content = createHash("sha256").update(JSON.stringify([labels, given, all("--target")]))
  const lines = fs.readFileSync(file, "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  for (const [index, line] of lines.entries()) {
    say(`STEP ${index + 1}/${lines.length}: ${line}\n`)
    const [word, ...operands] = line.split(" ")
    const [operand = "", target = ""] = operands
    if (word === "COPY") {
      const source = Path.join(context, operand)
      if (!fs.existsSync(source)) return end(wrong, `COPY failed: stat ${operand}: file does not exist`)
      content.update(`${target}\n`).update(fs.readFileSync(source))
    } else if (word === "RUN" && operand === "hang") return hang()
    else if (word === "RUN" && operand === "exit") return end(Number(target), `broken\nexit status ${target}`)
    else if (word === "RUN" && operand === "loud") {
      const chunk = Buffer.alloc(1 << 20, `${"x".repeat(1023)}\n`)
      for (let n = 0; n < Number(target); n++) for (let at = 0; at < chunk.length;) at += fs.writeSync(1, chunk, at)
    } else if (!["FROM", "ARG", "LABEL"].includes(word)) return end(wrong, `unknown instruction: ${word}`)
  }
  if (faults.has("dies")) fs.writeFileSync(Path.join(store, "down"), "")
  if (faults.has("dies")) return unreachable()
  const image = { id: content.digest("hex"), labels, names: [] }
  // podman's images of the steps on the way have the labels too, and no name.
  if (!isDocker) save({ id: createHash("sha256").update(image.id).digest("hex"), labels, names: [] })
  if (!faults.has("elsewhere")) { for (const name of all("--tag")) give(lookUp(image.id) ?? image, name) }
  const written = faults.has("other-id")
    ? `sha256:${"d".repeat(64)}`
    : faults.has("no-id")
    ? ""
    : faults.has("bad-id")
    ? "not an id\u0000"
    : `sha256:${image.id}`
  fs.writeFileSync(all("--iidfile")[0], written)
  say(`Successfully built ${image.id.slice(0, 12)}\n`)
}

const list = (words) => {
  if (faults.has("silent")) return setInterval(() => undefined, 1000)
  if (faults.has("garbage")) return say("<html>502 Bad Gateway</html>\n")
  if (faults.has("loud")) {
    for (let n = 0; n < 100; n++) say("y\n".repeat(1 << 19))
    return
  }
  const { all } = options(words, ["--quiet", "--no-trunc", "--filter"])
  const filters = all("--filter")
  const label = filters.find((text) => text.startsWith("label="))?.slice("label=".length)
  const named = filters.includes("dangling=false")
  for (const image of images()) {
    const has = Object.entries(image.labels).some(([name, value]) => `${name}=${value}` === label)
    if (!has || (named && image.names.length === 0)) continue
    // A line for each name, and one for what has none.
    for (let line = 0; line < Math.max(1, image.names.length); line++) say(`sha256:${image.id}\n`)
  }
}

const [command, second, ...rest] = args.filter((word) => !/^--(?:root|context|host)=/.test(word))
if (command === "build") build([second, ...rest].filter((word) => word !== undefined))
else if (command === "image" && second === "ls") list(rest)
else if (command === "image" && second === "inspect") {
  const { rest: [name] } = options(rest, ["--format"])
  const image = faults.has("garbage-id") ? { id: "?" } : lookUp(name)
  if (image === undefined) {
    if (isDocker) say("\n")
    end(wrong, isDocker ? `Error: No such image: ${name}` : `Error: inspecting object: ${name}: image not known`)
  } else say(`${id(image.id)}\n`)
} else if (command === "tag") {
  const image = lookUp(second)
  if (image === undefined) end(wrong, `No such image: ${second}`)
  else if (faults.has("no-tags")) end(wrong, "Error: read-only storage")
  else give(image, rest[0])
} else end(125, `${engine}: unknown command: ${command}`)
