import { afterAll, describe, it } from "@effect/vitest"
import * as LocalProcess from "@espalier/platform/execution/LocalProcess"
import * as ExecutionSuite from "@espalier/platform/testing/ExecutionSuite"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = mkdtempSync(join(tmpdir(), "espalier-execution-"))
const directory = join(root, "jobs")
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe("local processes do what every Execution does", () => {
  const cases = ExecutionSuite.cases({
    command: ExecutionSuite.nodeCommand,
    directory: root,
    otherEngine: LocalProcess.layer({ directory })
  })
  for (const { name, run } of cases) {
    it.live(name, () => run.pipe(Effect.scoped, Effect.provide(LocalProcess.layer({ directory }))))
  }
})
