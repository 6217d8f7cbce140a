import { describe, it } from "@effect/vitest"
import * as WorkspaceSuite from "../../src/testing/WorkspaceSuite.ts"
import { subjectLayer } from "./support/gitSource.ts"

const subject: WorkspaceSuite.Subject = { head: "committed", onDisk: true, layer: subjectLayer }

describe("git worktrees keep what every workspace promises", () => {
  for (const { effect, name } of WorkspaceSuite.cases(subject)) it.live(name, () => effect)
})
