import { defineConfig } from "vitest/config"

const shared = {
  environment: "node" as const,
  pool: "forks" as const,
  execArgv: ["--conditions=espalier-source"]
}

const project = (name: string, include: Array<string>, options: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { ...shared, name, include, ...options }
})

// Deterministic tests that own no process run in `unit`; whatever starts, kills or waits for real
// processes is in `process`; what needs Debian packages is in `real`; campaigns are in `long`.
export default defineConfig({
  resolve: { conditions: ["espalier-source"] },
  ssr: { resolve: { conditions: ["espalier-source"], externalConditions: ["espalier-source"] } },
  test: {
    maxWorkers: 2,
    projects: [
      project("unit", [
        "packages/*/test/*.test.ts",
        "packages/*/test/unit/**/*.test.ts",
        "test/unit/**/*.test.ts",
        "examples/*/test/*.test.ts"
      ], { testTimeout: 30_000 }),
      project("process", [
        "packages/*/test/process/**/*.test.ts",
        "test/process/**/*.test.ts",
        "examples/*/test/process/**/*.test.ts"
      ], {
        // A guard against what hangs, not a measure: a busy machine takes several times as long.
        testTimeout: 180_000,
        hookTimeout: 60_000
      }),
      project("docs", ["test/docs/**/*.test.ts"], { testTimeout: 180_000 }),
      project("real", ["packages/*/test/real/**/*.test.ts", "test/real/**/*.test.ts"], {
        testTimeout: 300_000,
        passWithNoTests: true
      }),
      project("long", ["packages/*/test/long/**/*.test.ts", "test/long/**/*.test.ts"], { testTimeout: 3_600_000 })
    ]
  }
})
