import { describe, it } from "@effect/vitest"
import * as WorkspaceSuite from "../../src/testing/WorkspaceSuite.ts"
import { subjectLayer } from "./support/gitSource.ts"

describe("git worktrees keep what every workspace promises", () => {
  for (const { effect, name } of WorkspaceSuite.cases({ layer: subjectLayer })) it.live(name, () => effect)
})
