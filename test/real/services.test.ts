// The first of the tests that use what the machine has installed. It shows that the machine is what the
// others take for granted; each of them names its own services in the same way.
import { execFileSync } from "node:child_process"
import { expect, it } from "vitest"
import { requireServices } from "../../scripts/require-services.ts"

const services = requireServices([
  { program: "git", debianPackage: "git", purpose: "give every experiment a tree of its own" }
])

it("finds a git that knows worktrees with branches of their own (2.5 or later)", () => {
  const [, major = "0", minor = "0"] = /version (\d+)\.(\d+)/.exec(
    execFileSync(services.git, ["--version"], { encoding: "utf8" })
  ) ?? []
  expect(Number(major) * 1000 + Number(minor)).toBeGreaterThanOrEqual(2005)
})
