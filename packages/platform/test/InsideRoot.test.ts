import { afterAll, assert, describe, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { readBytes } from "../src/internal/files.ts"
import { followPath, isBelow, openPlainFile, type Place } from "../src/internal/insideRoot.ts"

const home = realpathSync(mkdtempSync(join(tmpdir(), "espalier-inside-")))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** A root with a file, beside a directory with another. */
const make = () => {
  const place = mkdtempSync(join(home, "case-"))
  const root = join(place, "root")
  const outside = join(place, "outside")
  mkdirSync(join(root, "a"), { recursive: true })
  mkdirSync(outside)
  writeFileSync(join(root, "a", "file"), "inside")
  writeFileSync(join(outside, "file"), "outside")
  return { root, outside }
}
const follow = (root: string, path: string, throughLinks?: boolean): Promise<Place> =>
  followPath(root, path.split("/"), throughLinks)

describe("a path below a root", () => {
  it("is found, is free, or has no directory on its way", async () => {
    const { root } = make()
    assert.deepInclude(await follow(root, "a/file"), { _tag: "Found", path: join(root, "a/file") })
    assert.deepInclude(await followPath(root, []), { _tag: "Found", path: root })
    assert.deepStrictEqual(await follow(root, "a/b/c"), { _tag: "Free", path: join(root, "a/b/c") })
    assert.deepStrictEqual(await follow(root, "a/file/c/d"), { _tag: "NoDirectory", index: 1 })
  })

  it("is followed through links that stay inside, and through none that do not", async () => {
    const { outside, root } = make()
    symlinkSync("a", join(root, "in"))
    symlinkSync("../outside", join(root, "a", "still"))
    symlinkSync(outside, join(root, "out"))
    symlinkSync("../root/a", join(root, "around"))
    symlinkSync("out", join(root, "chain"))
    symlinkSync("none", join(root, "nowhere"))
    symlinkSync("circle", join(root, "circle"))
    // A directory whose name begins like the root's is another one.
    mkdirSync(`${root}-other`)
    symlinkSync(`${root}-other`, join(root, "beside"))
    assert.deepInclude(await follow(root, "in/file"), { _tag: "Found", path: join(root, "a/file") })
    assert.deepInclude(await follow(root, "around/new"), { _tag: "Free", path: join(root, "a/new") })
    for (
      const [path, index] of [["out", 0], ["out/file", 0], ["out/none", 0], ["chain/file", 0], ["beside", 0]] as const
    ) {
      assert.deepStrictEqual(await follow(root, path), { _tag: "Outside", index }, path)
    }
    for (const path of ["nowhere", "nowhere/x", "circle/x", "a/still"]) {
      assert.deepInclude(await follow(root, path), { _tag: "Nowhere" }, path)
    }
    assert.deepStrictEqual(await follow(root, "in/file", false), { _tag: "Link", index: 0 })
  })

  it("may be below the root of the file system", async () => {
    assert.isTrue(isBelow("/", "/etc"))
    assert.isFalse(isBelow("/a", "/ab"))
    assert.strictEqual((await follow("/", "no such name"))._tag, "Free")
  })
})

describe("a file that is opened", () => {
  it("is a plain one: a link, a directory and a socket are not read", async () => {
    const { root } = make()
    symlinkSync("a/file", join(root, "link"))
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(join(root, "socket"), resolve)
    })
    for (const name of ["link", "a", "socket"]) assert.isUndefined(await openPlainFile(join(root, name), root), name)
    server.close()
    const file = await openPlainFile(join(root, "a/file"), root)
    assert.strictEqual((await readBytes(file!.handle, 2, 100)).toString(), "side")
    await file!.handle.close()
  })

  it("is not read where a directory on the way became a link that leads out", async () => {
    const { outside, root } = make()
    const place = await follow(root, "a/file")
    renameSync(join(root, "a"), join(root, "b"))
    symlinkSync(outside, join(root, "a"))
    assert.isUndefined(await openPlainFile("path" in place ? place.path : "", root))
  })
})
