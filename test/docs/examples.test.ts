// Every example in the documentation is type checked and run, as a reader would run it: a file of its own,
// that imports the packages by name and asserts what it claims.
import { execFile } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { filesUnder, root, shown } from "../../scripts/sources.ts"
import { type Example, fromMarkdown, fromSource } from "./extract.ts"

const publicSource = (file: string) =>
  file.endsWith(".ts") && /^packages\/[^/]+\/src\//.test(shown(file)) && !shown(file).includes("/internal/")
const page = (file: string) => file.endsWith(".md")

const examples: ReadonlyArray<Example> = [
  ...filesUnder("packages", publicSource).flatMap((file) => fromSource(shown(file), readFileSync(file, "utf8"))),
  ...[
    ...readdirSync(root).filter(page).map((file) => join(root, file)),
    ...filesUnder("docs", page),
    ...filesUnder("packages", page)
  ]
    .flatMap((file) => fromMarkdown(shown(file), readFileSync(file, "utf8")))
]

// Outside node_modules, where Node strips no types, and inside the repository, so that the packages' names resolve.
const scratch = join(root, ".cache", "examples", String(process.pid))

/** The example's file. The code starts at the line that it has in the documentation, so that errors name that line. */
const place = (example: Example) => {
  const directory = join(scratch, `${example.file.replaceAll(/[^\w.-]+/g, "_")}_${example.line}`)
  return { directory, file: join(directory, "example.ts") }
}

interface Result {
  readonly status: number | string | null
  readonly output: string
}

const run = (args: ReadonlyArray<string>, cwd: string, timeout: number) =>
  new Promise<Result>((resolve) => {
    // Every example loads the same modules: the cache saves reading them again.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(scratch, "compiled") }
    const options = { cwd, env, timeout, killSignal: "SIGKILL", maxBuffer: 1 << 26 } as const
    execFile(process.execPath, args, options, (error, out, err) => {
      const status = error === null
        ? 0
        : error.killed === true
        ? `killed after ${timeout} ms`
        : error.code ?? error.signal
      resolve({ status: status ?? null, output: `${out}${err}` })
    })
  })

const typeErrors = async (): Promise<Result> => {
  const project = join(scratch, "tsconfig.json")
  const extended = JSON.stringify(join(root, "tsconfig.base.json"))
  writeFileSync(
    project,
    `{ "extends": ${extended}, "compilerOptions": { "noEmit": true, "composite": false }, "include": ["*/example.ts"] }`
  )
  const tsc = join(createRequire(import.meta.url).resolve("typescript/package.json"), "..", "bin", "tsc")
  return run([tsc, "--pretty", "false", "-p", project], scratch, 120_000)
}

/** As many at a time as there are processors, in order: a test waits only for its own. */
const runAll = (): ReadonlyMap<Example, Promise<Result>> => {
  const free: Array<() => void> = []
  let running = 0
  const started = async (example: Example) => {
    if (running >= availableParallelism()) {
      await new Promise<void>((resolve) => {
        free.push(resolve)
      })
    }
    running++
    const { directory, file } = place(example)
    return run(["--conditions=espalier-source", file], directory, 30_000).finally(() => {
      running--
      free.shift()?.()
    })
  }
  return new Map(examples.map((example) => [example, started(example)]))
}

/** Names the documentation's file where the output names the example's. */
const readable = (example: Example, output: string) =>
  output.replaceAll(place(example).file, join(root, example.file)).replaceAll("file://", "").trim()

describe("the documentation", () => {
  let checked: Result = { status: 0, output: "" }
  let executed: ReadonlyMap<Example, Promise<Result>>

  beforeAll(async () => {
    for (const example of examples) {
      const { directory, file } = place(example)
      mkdirSync(directory, { recursive: true })
      writeFileSync(file, `${"\n".repeat(example.line - 1)}${example.code}\n`)
    }
    if (examples.length === 0) return
    checked = await typeErrors()
    executed = runAll()
  }, 180_000)

  afterAll(() => rmSync(scratch, { recursive: true, force: true }))

  it("has examples", () => {
    expect(examples.length).toBeGreaterThan(0)
  })

  it("has examples that the type checker can read", () => {
    // An error with no example's file in it is one of the set-up: no example would have been checked.
    const other = checked.output.split("\n").filter((line) => /error TS\d+/.test(line) && !line.includes("example.ts("))
    expect(other.filter((line) => !/^(?:\.\.\/)+packages\//.test(line))).toEqual([])
  })

  for (const example of examples) {
    it(`${example.file}:${example.line} ${example.owner}`, async () => {
      const path = `${place(example).directory.slice(scratch.length + 1)}/example.ts(`
      const errors = checked.output.split("\n").filter((line) => line.startsWith(path))
      expect(errors.map((line) => line.replace(path, `${example.file}(`)), "type errors").toEqual([])
      const { output, status } = await executed.get(example)!
      expect(status, readable(example, output)).toBe(0)
    })
  }
})
