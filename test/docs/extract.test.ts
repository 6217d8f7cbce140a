import { describe, expect, it } from "vitest"
import { fromMarkdown, fromSource } from "./extract.ts"

const markdown = (...lines: ReadonlyArray<string>) => fromMarkdown("docs/page.md", lines.join("\n"))
const source = (...lines: ReadonlyArray<string>) => fromSource("packages/x/src/Thing.ts", lines.join("\n"))

describe("examples in Markdown", () => {
  it("are the ts blocks, each with its line and the heading above it", () => {
    expect(markdown("# Page", "```ts", "a()", "```", "## Part", "text", "```ts", "b()", "", "c()", "```")).toEqual([
      { file: "docs/page.md", line: 3, owner: "Page", code: "a()" },
      { file: "docs/page.md", line: 8, owner: "Part", code: "b()\n\nc()" }
    ])
  })

  it("are not the blocks that are only shown", () => {
    expect(
      markdown("```ts no-run", "a()", "```", "```typescript", "b()", "```", "```sh", "c", "```", "```", "d", "```")
    )
      .toEqual([])
  })

  it("do not end at a fence inside a longer fence", () => {
    expect(markdown("````md", "```ts", "a()", "```", "````")).toEqual([])
  })

  it("lose the indentation of their list item", () => {
    expect(markdown("- item", "  ```ts", "  if (a) {", "    b()", "  }", "  ```")[0]?.code).toBe("if (a) {\n  b()\n}")
  })

  it("take no heading from inside a block", () => {
    expect(markdown("# Page", "```sh", "# comment", "```", "```ts", "a()", "```")[0]?.owner).toBe("Page")
  })

  it("refuse a word after ts that is not known, a block without an end, and an empty block", () => {
    expect(() => markdown("```ts norun", "a()", "```")).toThrow("docs/page.md:1: the fence says \"ts norun\"")
    expect(() => markdown("", "```ts", "a()")).toThrow("docs/page.md:2: the fence is never closed")
    expect(() => markdown("```ts", "", "```")).toThrow("docs/page.md:1: the block is empty")
  })
})

describe("examples in source", () => {
  it("are the ts blocks of doc comments, named for the export", () => {
    expect(
      source(
        "/**",
        " * Makes it.",
        " *",
        " * @example",
        " * ```ts",
        " * make({",
        " *   a: 1",
        " * })",
        " * ```",
        " */",
        "export const make = 1"
      )
    ).toEqual([{ file: "packages/x/src/Thing.ts", line: 6, owner: "make", code: "make({\n  a: 1\n})" }])
  })

  it("are named for whatever the comment stands before", () => {
    const owner = (following: string) =>
      source("  /**", "   * ```ts", "   * a()", "   * ```", "   */", following)[0]?.owner
    expect(owner("export class Run extends Base {}")).toBe("Run")
    expect(owner("export abstract class Run {}")).toBe("Run")
    expect(owner("export interface Spec<A> {")).toBe("Spec")
    expect(owner("export const open: {")).toBe("open")
    expect(owner("export async function* walk() {")).toBe("walk")
    expect(owner("export function walk() {")).toBe("walk")
    expect(owner("  readonly suspend: Effect<void>")).toBe("suspend")
    expect(owner("export * as Run from \"./Run.ts\"")).toBe("Run")
    expect(owner("import { Effect } from \"effect\"")).toBe("module")
  })

  it("are not in other comments or in strings", () => {
    expect(source("// ```ts", "// a()", "// ```", "const text = \"```ts\"", "/* ```ts", "a()", "``` */")).toEqual([])
  })

  it("are found in every comment of the file", () => {
    expect(
      source(
        "/** One line. */",
        "const a = 1",
        "/**",
        " * ```ts",
        " * a()",
        " * ```",
        " * ```ts",
        " * b()",
        " * ```",
        " */",
        "const b = 1"
      )
        .map(({ code, owner }) => `${owner}: ${code}`)
    ).toEqual(["b: a()", "b: b()"])
  })
})
