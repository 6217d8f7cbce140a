// What the repository promises about itself and no compiler checks: which package may know which, what is
// depended on and why, and that a fresh clone installs the same everywhere.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { filesUnder, type Manifest, packages, readManifest, root, shown, workspaces } from "../../scripts/sources.ts"
import { importsIn, importsOf, isRelative, packageOf, reachable, target } from "./imports.ts"

const typescript = (file: string) => file.endsWith(".ts")
const sources = filesUnder("packages", (file) => typescript(file) && /^packages\/[^/]+\/src\//.test(shown(file)))
const imports = importsOf(sources)
const ownerOf = (file: string) => shown(file).split("/")[1] ?? ""
const read = (file: string) => readFileSync(join(root, file), "utf8")

const everyDependency = (manifest: Manifest): Readonly<Record<string, string>> => ({
  ...manifest.dependencies,
  ...manifest.devDependencies,
  ...manifest.optionalDependencies,
  ...manifest.peerDependencies
})
const manifests = [{ directory: ".", manifest: readManifest(".") }, ...workspaces()]
const ours = new Set(workspaces().map(({ manifest }) => manifest.name))

describe("the reader of imports", () => {
  it("finds imports, re-exports, dynamic imports and files started by URL, and knows types from values", () => {
    const text = [
      "import { A } from \"a\"",
      "import type { B } from \"b/sub\"",
      "import {",
      "  C,",
      "  type D",
      "} from './c.ts'",
      "import \"e\"",
      "export * as F from \"./f.ts\"",
      "export type { G } from \"./g.ts\"",
      "const h = await import(\"h\")",
      "const worker = new URL(\"./worker.ts\", import.meta.url)",
      "// import { X } from \"x\"",
      "/**",
      " * import { Y } from \"y\"",
      " */",
      "export const importance = \"z\""
    ].join("\n")
    expect(importsIn(text).map(({ specifier, typeOnly }) => typeOnly ? `type ${specifier}` : specifier)).toEqual(
      ["a", "type b/sub", "./c.ts", "e", "./f.ts", "type ./g.ts", "h", "./worker.ts"]
    )
  })

  it("tells the package from the module in it", () => {
    expect(["effect", "effect/testing", "@espalier/engine/Journal", "node:fs/promises"].map(packageOf)).toEqual(
      ["effect", "effect", "@espalier/engine", "node:fs"]
    )
  })

  it("finds the sources", () => {
    expect(sources.length).toBeGreaterThan(10)
  })
})

describe("imports between packages", () => {
  /** DESIGN: cli, dashboard → workflow → platform, engine. Platform does not know workflow, engine knows nobody. */
  const mayImport: Readonly<Record<string, ReadonlyArray<string>>> = {
    engine: [],
    platform: [],
    workflow: ["engine", "platform"],
    dashboard: ["engine", "platform", "workflow"],
    cli: ["engine", "platform", "workflow", "dashboard"]
  }

  it("run one way", () => {
    const wrong = [...imports].flatMap(([file, found]) =>
      found
        .filter(({ specifier }) => specifier.startsWith("@espalier/"))
        .map(({ specifier }) => packageOf(specifier).slice("@espalier/".length))
        .filter((other) => mayImport[ownerOf(file)]?.includes(other) !== true)
        .map((other) => `${shown(file)} imports @espalier/${other}`)
    )
    expect(wrong).toEqual([])
  })

  it("are declared one way in package.json and in tsconfig.json alike", () => {
    for (const { directory, manifest } of packages()) {
      const declared = Object.keys(manifest.dependencies ?? {}).filter((name) => name.startsWith("@espalier/"))
        .map((name) => name.slice("@espalier/".length)).sort()
      const own = directory.split("/")[1] ?? ""
      expect(declared.filter((other) => mayImport[own]?.includes(other) !== true), `${directory}/package.json`).toEqual(
        []
      )
      const references = (JSON.parse(read(`${directory}/tsconfig.json`)).references as ReadonlyArray<{ path: string }>)
        .map(({ path }) => path.replace("../", "")).sort()
      expect(references, `${directory}/tsconfig.json: references`).toEqual(declared)
    }
  })

  it("go by the package's name, never by a path into it, and never into its internal modules", () => {
    const wrong = [...imports].flatMap(([file, found]) =>
      found
        .filter(({ specifier }) =>
          isRelative(specifier)
            ? !shown(target(file, specifier)).startsWith(`packages/${ownerOf(file)}/src/`)
            : specifier.startsWith("@espalier/") && specifier.includes("/internal")
        )
        .map(({ specifier }) => `${shown(file)} imports ${specifier}`)
    )
    expect(wrong).toEqual([])
  })

  it("name a file that exists, with its extension", () => {
    const wrong = [...imports].flatMap(([file, found]) =>
      found
        .filter(({ specifier }) =>
          isRelative(specifier) && !(specifier.endsWith(".ts") && existsSync(target(file, specifier)))
        )
        .map(({ specifier }) => `${shown(file)} imports ${specifier}`)
    )
    expect(wrong).toEqual([])
  })
})

describe("the engine", () => {
  const engine = [...imports].filter(([file]) => ownerOf(file) === "engine")
  /** A conformance suite may assert with Node's assert, which every runtime has; it is no part of a program. */
  const mayAssert = (file: string, specifier: string) =>
    shown(file).startsWith("packages/engine/src/testing/") && packageOf(specifier).startsWith("node:assert")
  const withNode = engine
    .filter(([file, found]) =>
      found.some(({ specifier }) => specifier.startsWith("node:") && !mayAssert(file, specifier))
    )
    .map(([file]) => shown(file))

  it("imports effect and Node, and nothing else", () => {
    const wrong = engine.flatMap(([file, found]) =>
      found
        .map(({ specifier }) => specifier)
        .filter((specifier) =>
          !isRelative(specifier) && !specifier.startsWith("node:") && packageOf(specifier) !== "effect"
        )
        .map((specifier) => `${shown(file)} imports ${specifier}`)
    )
    expect(wrong).toEqual([])
  })

  it("imports Node only in JournalSqlite and WorkerPool, what these are made of, and what they start as threads and processes", () => {
    const own = [
      "JournalSqlite.ts",
      "WorkerPool.ts",
      "internal/sqliteWorker.ts",
      "internal/workerThread.ts",
      "internal/workerProcess.ts"
    ].map((file) => reachable(`packages/engine/src/${file}`))
    expect(withNode.filter((file) => !own.some((files) => files.has(file)))).toEqual([])
  })

  it("needs no Node where it is not asked for SQLite: its main module and its testing module run anywhere", () => {
    for (const entry of ["packages/engine/src/index.ts", "packages/engine/src/testing/index.ts"]) {
      const reached = reachable(entry)
      expect(withNode.filter((file) => reached.has(file)), `what ${entry} imports`).toEqual([])
    }
  })
})

describe("a source file", () => {
  it("is a room and not a hall: at most 500 lines", () => {
    const long = sources
      .map((file) => ({ file: shown(file), lines: readFileSync(file, "utf8").trimEnd().split("\n").length }))
      .filter(({ lines }) => lines > 500)
    expect(long).toEqual([])
  })

  it("of a package imports only what the package declares", () => {
    const declared = new Map(
      packages().map(({ directory, manifest }) => [
        directory.split("/")[1] ?? "",
        new Set([manifest.name, ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })])
      ])
    )
    const wrong = [...imports].flatMap(([file, found]) =>
      found
        .map(({ specifier }) => specifier)
        .filter((specifier) => !isRelative(specifier) && !specifier.startsWith("node:"))
        .filter((specifier) => declared.get(ownerOf(file))?.has(packageOf(specifier)) !== true)
        .map((specifier) => `${shown(file)} imports ${specifier}`)
    )
    expect(wrong).toEqual([])
  })
})

describe("a test", () => {
  it("is neither skipped nor alone", () => {
    const marked = /^\s*(?:it|test|describe|it\.\w+|layer)\.(?:skip|only|todo|fails)\b/m
    const tests = ["packages", "examples", "test"].flatMap((directory) =>
      filesUnder(directory, (file) => file.endsWith(".test.ts"))
    )
    expect(tests.filter((file) => marked.test(readFileSync(file, "utf8"))).map(shown)).toEqual([])
  })
})

describe("dependencies", () => {
  it("are pinned to one exact version", () => {
    const loose = manifests.flatMap(({ directory, manifest }) =>
      Object.entries(everyDependency(manifest))
        .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${directory}/package.json: ${name} ${version}`)
    )
    expect(loose).toEqual([])
  })

  it("have the same version wherever they are declared", () => {
    const versions = new Map<string, Set<string>>()
    for (const { manifest } of manifests) {
      for (const [name, version] of Object.entries(everyDependency(manifest))) {
        versions.set(name, (versions.get(name) ?? new Set()).add(version))
      }
    }
    for (const { manifest } of workspaces()) versions.get(manifest.name)?.add(manifest.version)
    expect(
      [...versions].filter(([, found]) => found.size > 1).map(([name, found]) => `${name}: ${[...found].join(", ")}`)
    )
      .toEqual([])
  })

  const listed = new Map(
    read("docs/dependencies.md").split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .filter((cells) => /^`[^`]+`/.test(cells[1] ?? ""))
      .flatMap((cells) =>
        [...(cells[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) =>
          [
            name,
            { licence: cells[2] ?? "", purpose: cells[3] ?? "", weighed: cells[4] ?? "" }
          ] as const
        )
      )
  )
  const declared = new Set(
    manifests.flatMap(({ manifest }) => Object.keys(everyDependency(manifest))).filter((name) => !ours.has(name))
  )

  it("each stand in docs/dependencies.md with what they are for and what else was weighed", () => {
    const missing = [...declared].filter((name) => {
      const line = listed.get(name)
      return line === undefined || line.purpose.length < 15 || line.weighed.length < 15
    })
    expect(missing).toEqual([])
  })

  it("that were given up are gone from docs/dependencies.md", () => {
    expect([...listed.keys()].filter((name) => !declared.has(name))).toEqual([])
  })

  it("have the licence that docs/dependencies.md says", () => {
    for (const [name, { licence }] of listed) {
      const file = `node_modules/${name}/package.json`
      if (!existsSync(join(root, file))) continue // of another platform
      expect(licence, name).toBe(JSON.parse(read(file)).license)
    }
  })
})

describe("package-lock.json", () => {
  interface Entry {
    readonly resolved?: string
    readonly optionalDependencies?: Readonly<Record<string, string>>
  }
  const entries: Readonly<Record<string, Entry>> = JSON.parse(read("package-lock.json")).packages

  it("names no registry, so that every machine uses its own", () => {
    const hosts = Object.entries(entries).filter(([, { resolved }]) => /^[a-z+]+:/.test(resolved ?? ""))
    expect(hosts.map(([path, { resolved }]) => `${path}: ${resolved}`)).toEqual([])
  })

  it("names the packages of every platform, or npm ci refuses it (node scripts/lock-platforms.mjs adds them)", () => {
    const missing = Object.entries(entries).flatMap(([owner, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) =>
        !(`node_modules/${name}` in entries || `${owner}/node_modules/${name}` in entries)
      )
    )
    expect(missing).toEqual([])
  })

  it("was made for the package.json files as they are", () => {
    for (const { directory, manifest } of manifests) {
      const locked = entries[directory === "." ? "" : directory]
      expect(locked, directory).toMatchObject({
        ...(manifest.dependencies === undefined ? {} : { dependencies: manifest.dependencies }),
        ...(manifest.devDependencies === undefined ? {} : { devDependencies: manifest.devDependencies }),
        ...(manifest.optionalDependencies === undefined ? {} : { optionalDependencies: manifest.optionalDependencies })
      })
    }
  })
})
