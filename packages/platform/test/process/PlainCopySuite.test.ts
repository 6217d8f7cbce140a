import { describe, it } from "@effect/vitest"
import * as WorkspaceSuite from "../../src/testing/WorkspaceSuite.ts"
import { subjectLayer } from "./support/copySource.ts"

const subject: WorkspaceSuite.Subject = { head: "as it stands", onDisk: true, layer: subjectLayer }

describe("plain copies keep what every workspace promises", () => {
  for (const { effect, name } of WorkspaceSuite.cases(subject)) it.live(name, () => effect)
})
