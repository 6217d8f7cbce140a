import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { stripTypeScriptTypes } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { decodeParameters } from "../pipeline/src/parameters.ts"
import { applyEdit, areInConflict, editSets, readSpace, sample, sizeOf, type Space } from "../space.ts"
import { resumeFrom } from "../sweep.ts"

const example = join(import.meta.dirname, "..")
const sourceOf = (file: string) => readFile(join(example, "pipeline", file), "utf8")

let space: Space
let directory: string
beforeAll(async () => {
  space = await readSpace(join(example, "espalier.toml"))
  directory = await mkdtemp(join(tmpdir(), "espalier-space-"))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const baseline = () => Object.fromEntries(space.parameters.map(({ baseline, name }) => [name, baseline]))

describe("the declared parameters", () => {
  it("have the baseline values that the pipeline comes with", async () => {
    expect(JSON.parse(await sourceOf("parameters.json"))).toEqual(baseline())
  })

  it("list their baseline among their values", () => {
    for (const { baseline, values } of space.parameters) expect(values).toContain(baseline)
  })

  it("take only values that the pipeline accepts", () => {
    for (const { name, values } of space.parameters) {
      for (const value of values) expect(decodeParameters({ ...baseline(), [name]: value })).toHaveProperty(name, value)
    }
  })
})

describe("the declared edits", () => {
  it("each change one place of the source, and leave TypeScript that Node can run", async () => {
    for (const edit of space.edits) {
      const source = await sourceOf(edit.file)
      const changed = applyEdit(source, edit)
      expect(changed, edit.name).not.toBe(source)
      expect(() => stripTypeScriptTypes(changed), edit.name).not.toThrow()
    }
  })

  it("name as conflicts only edits that there are", () => {
    const names = space.edits.map(({ name }) => name)
    for (const { conflicts, name } of space.edits) {
      expect(names.filter((other) => other !== name)).toEqual(expect.arrayContaining([...conflicts]))
    }
  })

  it("can all be made together, in whatever set without a conflict", async () => {
    for (const set of editSets(space.edits)) {
      const sources = new Map<string, string>()
      for (const name of set) {
        const edit = space.edits.find((edit) => edit.name === name)!
        sources.set(edit.file, applyEdit(sources.get(edit.file) ?? await sourceOf(edit.file), edit))
      }
      for (const source of sources.values()) expect(() => stripTypeScriptTypes(source)).not.toThrow()
    }
  })

  it("declare a conflict wherever one takes away the text that another searches", async () => {
    for (const a of space.edits) {
      const changed = applyEdit(await sourceOf(a.file), a)
      for (const b of space.edits) {
        if (a !== b && a.file === b.file && changed.split(b.search).length !== 2) {
          expect(areInConflict(a, b), `${a.name} and ${b.name}`).toBe(true)
        }
      }
    }
  })

  it("are refused when their text is not there exactly once", () => {
    const edit = { name: "twice", file: "a.ts", search: "x", replace: "y", conflicts: [] }
    expect(() => applyEdit("x + x", edit)).toThrow("edit twice: its search text is 2 times in a.ts, it must be once")
    expect(() => applyEdit("z", edit)).toThrow("0 times")
    expect(applyEdit("a = x", { ...edit, replace: "$&" })).toBe("a = $&")
  })
})

describe("a sample of the space", () => {
  it("is large because the space is", () => {
    expect(sizeOf(space)).toBeGreaterThan(100_000)
  })

  it("is the same for the same seed, and another for another", () => {
    expect(sample(space, 30, 1)).toEqual(sample(space, 30, 1))
    expect(sample(space, 30, 1)).not.toEqual(sample(space, 30, 2))
  })

  it("begins with the sample of fewer configurations", () => {
    expect(sample(space, 30, 1).slice(0, 10)).toEqual(sample(space, 10, 1))
  })

  it("holds no configuration twice and no edits in conflict", () => {
    const drawn = sample(space, 500, 3)
    expect(new Set(drawn.map((configuration) => JSON.stringify(configuration))).size).toBe(500)
    const sets = new Set(editSets(space.edits).map((set) => set.join()))
    for (const { edits } of drawn) expect(sets).toContain(edits.join())
  })

  it("cannot be larger than the space", () => {
    const small: Space = { ...space, edits: [], parameters: [{ name: "a", values: [1, 2], baseline: 1 }] }
    expect(sample(small, 2, 1)).toHaveLength(2)
    expect(() => sample(small, 3, 1)).toThrow("3 configurations are wanted, there are only 2")
  })
})

describe("an interrupted sweep", () => {
  const rowOf = (job: number, cells: ReadonlyArray<string>) =>
    [String(job), "ok", "1", "1", "1", "1", "1", "1700", ...cells, ""].join("\t")
  const table = async (name: string, rows: ReadonlyArray<string>, unfinished = "") => {
    const out = join(directory, name)
    expect(await resumeFrom(out, space, [])).toEqual([])
    await writeFile(out, [...(await readFile(out, "utf8")).split("\n").slice(0, 1), ...rows, unfinished].join("\n"))
    return out
  }
  const cells = (configuration: ReturnType<typeof sample>[number]) => [
    ...space.parameters.map(({ name }) => String(configuration.parameters[name])),
    configuration.edits.join("+") || "-"
  ]

  it("goes on after its last complete line", async () => {
    const jobs = sample(space, 3, 1)
    const out = await table("torn.tsv", [rowOf(1, cells(jobs[0]!)), rowOf(2, cells(jobs[1]!))], "3\tok\t12")
    expect(await resumeFrom(out, space, jobs)).toHaveLength(2)
    expect((await readFile(out, "utf8")).endsWith(`${rowOf(2, cells(jobs[1]!))}\n`)).toBe(true)
  })

  it("refuses a table of another sample", async () => {
    const out = await table("other.tsv", [rowOf(1, cells(sample(space, 1, 2)[0]!))])
    await expect(resumeFrom(out, space, sample(space, 3, 1))).rejects.toThrow(
      "line 2: not job 1 of this sample and seed"
    )
  })
})
