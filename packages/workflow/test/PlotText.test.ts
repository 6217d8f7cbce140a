import { describe, it } from "@effect/vitest"
import assert from "node:assert"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { width } from "../src/internal/plotText.ts"

/** The advance widths in a TrueType font: as much of the format as is needed to read them (OpenType 1.9: cmap 4, hmtx). */
const advances = (file: string): (character: string) => number => {
  const bytes = fs.readFileSync(file)
  const tables = new Map<string, number>()
  for (let i = 0; i < bytes.readUInt16BE(4); i++) {
    const at = 12 + 16 * i
    tables.set(bytes.toString("latin1", at, at + 4), bytes.readUInt32BE(at + 8))
  }
  const table = (name: string) => tables.get(name) ?? assert.fail(`no table ${name}`)
  const unitsPerEm = bytes.readUInt16BE(table("head") + 18)
  const cmap = table("cmap")
  let format4 = 0
  for (let i = 0; i < bytes.readUInt16BE(cmap + 2); i++) {
    const at = cmap + bytes.readUInt32BE(cmap + 4 + 8 * i + 4)
    if (bytes.readUInt16BE(at) === 4) format4 = at
  }
  const segments = bytes.readUInt16BE(format4 + 6)
  const glyph = (code: number): number => {
    for (let i = 0; i < segments; i += 2) {
      if (code > bytes.readUInt16BE(format4 + 14 + i)) continue
      const start = bytes.readUInt16BE(format4 + 16 + segments + i)
      if (code < start) return 0
      const delta = bytes.readUInt16BE(format4 + 16 + 2 * segments + i)
      const rangeAt = format4 + 16 + 3 * segments + i
      const range = bytes.readUInt16BE(rangeAt)
      return (range === 0 ? code : bytes.readUInt16BE(rangeAt + range + 2 * (code - start))) + delta & 0xffff
    }
    return 0
  }
  return (character) => bytes.readUInt16BE(table("hmtx") + 4 * glyph(character.codePointAt(0) ?? 0)) / unitsPerEm
}

const fontFile = (name: string): string =>
  createRequire(new URL("../../platform/package.json", import.meta.url)).resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`)

describe("The width of a text", () => {
  const characters = [
    ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
    ..."…×→↑↓−–·²µ≥±éüßЖ中😀"
  ]

  it.each([["DejaVuSans", false], ["DejaVuSans-Bold", true]] as const)(
    "is never less than what %s takes",
    (name, bold) => {
      const advance = advances(fontFile(name))
      for (const character of characters) {
        const measured = width(character, { size: 1000, bold })
        const real = advance(character) * 1000
        assert(measured >= real - 0.01, `${character}: ${measured} < ${real}`)
        if (character <= "~") assert(measured < real + 1, `${character} is measured too wide`)
      }
    }
  )
})
