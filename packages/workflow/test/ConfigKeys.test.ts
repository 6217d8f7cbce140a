/** The keys of a configuration are the same in the table of keys, in the schema, and on the page. */
import { describe, it } from "@effect/vitest"
import { Duration, Result, Schema, SchemaAST } from "effect"
import assert from "node:assert"
import * as fs from "node:fs"
import * as Config from "../src/Config.ts"
import { ConfigFile } from "../src/internal/configSchema.ts"

describe("The documentation of the keys", () => {
  it("holds every key with what is allowed, the default and what it is for, and no other", () => {
    const page = fs.readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8")
    const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;")
    const rows = page.split("\n").filter((line) => line.startsWith("| `"))
    assert.deepEqual(
      rows.toSorted(),
      Config.keys.map(({ allowed, default: fallback, description, key }) =>
        `| \`${key}\` | ${cell(allowed)} | ${cell(fallback)} | ${cell(description)} |`
      ).toSorted()
    )
  })

  it("has the keys of the schema", () => {
    const keysOf = (ast: SchemaAST.AST, path: string): ReadonlyArray<string> => {
      if (SchemaAST.isArrays(ast)) return ast.rest.flatMap((each) => keysOf(each, `${path}[]`))
      if (!SchemaAST.isObjects(ast)) return []
      return [
        ...ast.propertySignatures.flatMap(({ name, type }) => {
          const key = path === "" ? String(name) : `${path}.${String(name)}`
          return [key, ...keysOf(type, key)]
        }),
        ...ast.indexSignatures.filter(({ type }) => SchemaAST.isObjects(type)).flatMap(({ type }) => [
          `${path}.<name>`,
          ...keysOf(type, `${path}.<name>`)
        ])
      ]
    }
    assert.deepEqual(
      Config.keys.map(({ key }) => key).toSorted(),
      keysOf(Schema.toEncoded(ConfigFile).ast, "").toSorted()
    )
  })

  it("tells the defaults that are applied", () => {
    const decoded = Result.getOrThrow(
      Schema.decodeUnknownResult(ConfigFile)({
        name: "x",
        source: { repository: "." },
        job: { argv: ["x"] },
        build: { argv: ["x"] },
        agent: { kind: "claude" },
        objective: { metric: "x", direction: "maximize" },
        metrics: [{ name: "x" }],
        parameters: { x: { type: "boolean", baseline: true } },
        edits: [{ name: "x", file: "x", search: "x", replace: "y" }],
        seeds: [{ name: "x" }]
      })
    )
    const encoded: unknown = Schema.encodeSync(ConfigFile)(decoded)
    for (const { default: fallback, key } of Config.keys) {
      if (!/^(\d|"|true|false|\[\]$)/.test(fallback) || key === "parameters.<name>.step") continue
      let at: unknown = encoded
      for (const part of key.replaceAll("[]", ".0").replace("<name>", "x").split(".")) {
        at = Reflect.get(Object(at), part)
      }
      const expected: unknown = JSON.parse(fallback)
      const isDuration = typeof expected === "string" && /^\d+ (seconds|minutes)$/.test(expected)
      const written = isDuration ? `${Duration.toMillis(expected as Duration.Input)} millis` : expected
      assert.deepEqual(at, written, key)
    }
  })
})
