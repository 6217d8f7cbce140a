// Installs what would be published, as a stranger would, and imports all of it: npm run pack:smoke
//
//   1. builds every package from nothing (tsc -b)
//   2. packs each, and compares what is in the tarball with what its package.json promises
//   3. installs the tarballs in an empty ESM project outside the repository, dependencies from the registry
//   4. imports every entry and every declared dependency with plain Node: no source condition, no types stripped
//   5. type checks a program that imports every entry, and runs each command with --version
//
// npm installs a dependency that is too old for its sister without a word; it is step 4 that notices. One line is
// printed for each package. The temporary project is removed, or kept and named when something failed.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { filesUnder, packages, root, type Workspace } from "./sources.ts"

const resolve = createRequire(import.meta.url).resolve
const tsc = join(resolve("typescript/package.json"), "..", "bin", "tsc")

class Broken extends Error {}

/** Runs a program to its end and gives its standard output; anything but exit 0 is `Broken`, with all it said. */
const run = (program: string, args: ReadonlyArray<string>, cwd: string): string => {
  // Nothing of the surrounding npm may reach the stranger's project; nor may NODE_OPTIONS bring the source condition.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== "NODE_OPTIONS"))
  const { error, signal, status, stderr, stdout } = spawnSync(program, args, {
    cwd,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 28,
    timeout: 300_000,
    killSignal: "SIGKILL"
  })
  if (error !== undefined) throw new Broken(`${program} ${args.join(" ")}: ${error.message}`)
  if (status !== 0) throw new Broken(`${program} ${args.join(" ")}: ${signal ?? `exit ${status}`}\n${stdout}${stderr}`)
  return stdout
}

/** npm as it was started for this script, else the one on the PATH. */
const npm = (args: ReadonlyArray<string>, cwd: string): string => {
  const script = process.env["npm_execpath"]
  return script !== undefined && /npm-cli\.c?js$/.test(script)
    ? run(process.execPath, [script, ...args], cwd)
    : run("npm", args, cwd)
}

interface Packed {
  readonly workspace: Workspace
  readonly tarball: string
  readonly files: ReadonlySet<string>
}

const pack = (workspace: Workspace, into: string): Packed => {
  const output = npm(
    ["pack", "--json", "--ignore-scripts", "--pack-destination", into],
    join(root, workspace.directory)
  )
  const answer: unknown = JSON.parse(output)
  // npm before 11.? gives an array, later ones may give an object by name.
  const [entry] = (Array.isArray(answer) ? answer : Object.values(answer as object)) as ReadonlyArray<
    { readonly filename: string; readonly files: ReadonlyArray<{ readonly path: string }> }
  >
  if (entry === undefined) throw new Broken(`npm pack said nothing about ${workspace.manifest.name}: ${output}`)
  return { workspace, tarball: join(into, entry.filename), files: new Set(entry.files.map(({ path }) => path)) }
}

/** The files behind one target of `exports`: itself, or what its star stands for. */
const expand = (pattern: string, files: ReadonlySet<string>): ReadonlyArray<{ file: string; star: string }> => {
  const [before = "", after] = pattern.replace(/^\.\//, "").split("*")
  if (after === undefined) return [{ file: before, star: "" }]
  return [...files]
    .filter((file) => file.startsWith(before) && file.endsWith(after) && file.length >= before.length + after.length)
    .map((file) => ({ file, star: file.slice(before.length, file.length - after.length) }))
}

/** The specifiers under which a package can be imported, by the files of the tarball; commands are run, not imported. */
const entriesOf = ({ files, workspace: { manifest } }: Packed): ReadonlyArray<string> => {
  const exports = Object.entries(manifest.exports ?? {})
  const closed = exports.filter(([, target]) => target === null).map(([key]) => key.replace("*", ""))
  const commands = new Set(Object.values(manifest.bin ?? {}).map((file) => file.replace(/^\.\//, "")))
  // One file may have two names (`./testing`, and `./testing/index` by the star): the shorter is the one to use.
  const found = new Map<string, string>()
  for (const [key, conditions] of exports) {
    if (conditions === null) continue
    const target = conditions["default"]
    if (target === undefined) throw new Broken(`${manifest.name}: exports["${key}"] has no "default"`)
    for (const { file, star } of expand(target, files)) {
      if (!files.has(file)) throw new Broken(`${manifest.name}: exports["${key}"] is ${file}, which is not published`)
      const subpath = key.replace("*", star)
      if (closed.some((prefix) => subpath.startsWith(prefix)) || commands.has(file)) continue
      if (subpath.length < (found.get(file)?.length ?? Infinity)) found.set(file, subpath)
    }
  }
  return [...found.values()].sort().map((subpath) => manifest.name + subpath.slice(1))
}

/** Compares the tarball with the sources it was built from and with what package.json says about it. */
const check = ({ files, workspace: { directory, manifest } }: Packed): void => {
  const allowed = /^(?:package\.json|README(?:\.md)?|LICEN[CS]E(?:\.md)?|dist\/.+|src\/.+)$/
  const extra = [...files].filter((file) => !allowed.test(file) || /\.test\.|\.tsbuildinfo$/.test(file))
  if (extra.length > 0) throw new Broken(`${manifest.name} would publish what it should not: ${extra.join(", ")}`)
  const source = filesUnder(`${directory}/src`, (file) => file.endsWith(".ts"))
    .map((file) => file.slice(join(root, directory, "src").length + 1).replaceAll("\\", "/").replace(/\.ts$/, ""))
  const missing = source.flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]).filter((file) => !files.has(file))
  if (missing.length > 0) throw new Broken(`${manifest.name} was not built wholly: ${missing.join(", ")}`)
  for (const [command, file] of Object.entries(manifest.bin ?? {})) {
    if (!files.has(file.replace(/^\.\//, ""))) {
      throw new Broken(`${manifest.name}: bin ${command} is ${file}, not published`)
    }
  }
}

/** Imports each in one process; says which failed, and which ends the process when it is imported. */
const importAll = (specifiers: ReadonlyArray<string>, directory: string): void => {
  const file = join(directory, "espalier-smoke.mjs")
  const end = "espalier-smoke: all imported"
  writeFileSync(
    file,
    `const failures = []
for (const specifier of ${JSON.stringify(specifiers)}) {
  console.log("espalier-smoke: " + specifier)
  try { await import(specifier) } catch (error) { failures.push(specifier + ": " + (error.stack ?? error)) }
}
if (failures.length > 0) throw new Error(failures.join("\\n"))
console.log(${JSON.stringify(end)})
process.exit(0)
`
  )
  const last = run(process.execPath, [file], directory).split("\n").findLast((line) =>
    line.startsWith("espalier-smoke: ")
  )
  if (last !== end) throw new Broken(`${last?.slice("espalier-smoke: ".length)} ends the process when it is imported`)
}

/** Imports the declared dependencies from where the package itself lies, so that it gets the versions that it would. */
const importDependencies = ({ workspace: { manifest } }: Packed, project: string): ReadonlyArray<string> => {
  const names = Object.keys(manifest.dependencies ?? {})
  const home = join(project, "node_modules", manifest.name)
  const withoutCode = (name: string) => {
    const own = [join(home, "node_modules", name), join(project, "node_modules", name)].find((path) => existsSync(path))
    if (own === undefined) throw new Broken(`${manifest.name}: npm did not install ${name}`)
    const { exports, main } = JSON.parse(run(process.execPath, ["-p", "fs.readFileSync('package.json', 'utf8')"], own))
    return exports === undefined && main === undefined && !existsSync(join(own, "index.js"))
  }
  const [data, code] = [names.filter(withoutCode), names.filter((name) => !withoutCode(name))]
  importAll(code, home)
  // A package of data, such as a font, has nothing to import: that it is there is all there is to see.
  return [...code, ...data.map((name) => `${name} (data)`)]
}

const typeCheck = (specifiers: ReadonlyArray<string>, project: string): void => {
  writeFileSync(
    join(project, "consumer.ts"),
    specifiers.map((specifier, index) => `import * as m${index} from "${specifier}"\nvoid m${index}\n`).join("")
  )
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2024",
        lib: ["ES2024", "ESNext.Disposable"],
        module: "NodeNext",
        strict: true,
        noEmit: true,
        types: ["node"],
        typeRoots: [join(root, "node_modules", "@types")]
      },
      files: ["consumer.ts"]
    })
  )
  const { stdout } = spawnSync(process.execPath, [tsc, "--pretty", "false", "-p", "."], {
    cwd: project,
    encoding: "utf8"
  })
  // What is wrong inside other people's declarations is theirs.
  const errors = stdout.split("\n").filter((line) =>
    /error TS/.test(line) && (!line.startsWith("node_modules/") || line.startsWith("node_modules/@espalier/"))
  )
  if (errors.length > 0) {
    throw new Broken(`a program that imports every entry does not type check:\n${errors.join("\n")}`)
  }
}

const project = mkdtempSync(join(tmpdir(), "espalier-pack-smoke-"))
try {
  const workspaces = packages()
  for (const { directory } of workspaces) rmSync(join(root, directory, "dist"), { recursive: true, force: true })
  run(process.execPath, [tsc, "-b", ...workspaces.map(({ directory }) => directory)], root)

  const tarballs = join(project, "tarballs")
  mkdirSync(tarballs)
  const packed = workspaces.map((workspace) => pack(workspace, tarballs))
  packed.forEach(check)

  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "espalier-pack-smoke", version: "1.0.0", private: true, type: "module" })
  )
  npm(
    [
      "install",
      "--prefer-offline",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
      ...packed.map(({ tarball }) => tarball)
    ],
    project
  )

  const entries = new Map(packed.map((one) => [one, entriesOf(one)]))
  typeCheck([...entries.values()].flat(), project)
  const report = (one: Packed, specifiers: ReadonlyArray<string>): string => {
    const { bin = {}, name, version } = one.workspace.manifest
    importAll(specifiers, project)
    const dependencies = importDependencies(one, project)
    const commands = Object.entries(bin).map(([command, file]) => {
      const output = run(process.execPath, [join(project, "node_modules", name, file), "--version"], project).trim()
      if (!output.includes(version)) {
        throw new Broken(`${command} --version says ${JSON.stringify(output)}, not ${version}`)
      }
      return `${command} --version: ${output}`
    })
    return [
      `${name} ${version}`,
      `${one.files.size} files`,
      `${specifiers.length} entries imported`,
      `dependencies imported: ${dependencies.join(", ")}`,
      ...commands
    ].join("; ")
  }
  for (const [one, specifiers] of entries) {
    try {
      console.log(report(one, specifiers))
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      console.error(`${one.workspace.manifest.name}: ${error.message}`)
      process.exitCode = 1
    }
  }
  if (process.exitCode === 1) throw new Broken("not every package can be used as it would be published")
  rmSync(project, { recursive: true, force: true })
} catch (error) {
  console.error(error instanceof Broken ? error.message : error)
  console.error(`pack smoke failed; the project is kept in ${project}`)
  process.exitCode = 1
}
