import { afterAll, assert, describe, it } from "@effect/vitest"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { asideOf, ifThere, replaceFile, takeName, writeAside } from "../src/internal/files.ts"

const root = mkdtempSync(join(tmpdir(), "espalier-whole-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const directory = (): string => mkdtempSync(join(root, "case-"))

/** The code that a promise fails with. */
const failure = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(() => undefined, (error: NodeJS.ErrnoException) => error.code)

describe("a file that is written whole", () => {
  it("replaces what is there, and leaves nothing beside it", async () => {
    const file = join(directory(), "a.json")
    writeFileSync(file, "old and longer")
    await replaceFile(file, "new", { durable: true })
    assert.strictEqual(readFileSync(file, "utf8"), "new")
    assert.deepStrictEqual(readdirSync(join(file, "..")), ["a.json"])
  })

  it("that cannot have its name leaves what is there, and nothing beside it", async () => {
    const file = join(directory(), "a")
    mkdirSync(join(file, "full"), { recursive: true })
    assert.include(["EISDIR", "ENOTEMPTY", "EEXIST"], await failure(replaceFile(file, "new")))
    assert.deepStrictEqual(readdirSync(join(file, "..")), ["a"])
    assert.strictEqual(await failure(replaceFile(join(file, "none", "b"), "new")), "ENOENT")
  })

  it("has the permissions that it was given, whatever the process masks", async () => {
    const file = join(directory(), "a")
    writeFileSync(file, "old")
    chmodSync(file, 0o666)
    await replaceFile(file, "new", { permissions: () => 0o757 })
    assert.strictEqual(statSync(file).mode & 0o777, 0o757)
    await replaceFile(file, "newer", { permissions: (made) => made })
    assert.strictEqual(statSync(file).mode & 0o777, 0o666 & ~process.umask())
    await replaceFile(file, "own", { mode: 0o600 })
    assert.strictEqual(statSync(file).mode & 0o777, 0o600)
  })

  it("gets a name that is free, and of many who try at once one does", async () => {
    const file = join(directory(), "claim")
    const took = await Promise.all(Array.from({ length: 20 }, async (_, index) => {
      const aside = asideOf(file)
      await writeAside(aside, `${index}`)
      const taken = await takeName(aside, file, true)
      rmSync(aside)
      return taken
    }))
    assert.strictEqual(took.filter((taken) => taken).length, 1)
    assert.strictEqual(readFileSync(file, "utf8"), `${took.indexOf(true)}`)
  })

  it("whose name was taken by an earlier try of the same has it", async () => {
    const file = join(directory(), "claim")
    const aside = asideOf(file)
    await writeAside(aside, "mine")
    assert.isTrue(await takeName(aside, file, false))
    assert.isTrue(await takeName(aside, file, false))
  })
})

describe("a file that is missing", () => {
  it("is undefined, and any other failure stays one", async () => {
    assert.isUndefined(await ifThere(Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" }))))
    const refused = ifThere(Promise.reject(Object.assign(new Error("no"), { code: "EACCES" })))
    assert.strictEqual(await failure(refused), "EACCES")
  })
})
