import { assert, describe, it } from "@effect/vitest"
import * as Ids from "../ids.ts"

describe("an id", () => {
  it("that was given out is known as such", () => {
    assert.isTrue(Ids.isOurs(Ids.make()))
    assert.isTrue(Ids.isOurs(Ids.ofKey("order 17")))
  })

  it("that is mistyped or made up is not", () => {
    const id = Ids.make()
    assert.isFalse(Ids.isOurs(id.slice(0, -1)))
    assert.isFalse(Ids.isOurs(`${id.slice(1)}${id.slice(0, 1)}`))
    assert.isFalse(Ids.isOurs(""))
    assert.isFalse(Ids.isOurs("report"))
  })

  it("is the same for the same key, and its own for each job without one", () => {
    assert.strictEqual(Ids.ofKey("a"), Ids.ofKey("a"))
    assert.notStrictEqual(Ids.ofKey("a"), Ids.ofKey("b"))
    assert.notStrictEqual(Ids.make(), Ids.make())
  })
})
