// A model edits an experiment's tree, on git worktrees; its call is recorded, and replayed in a tree of its own.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as Agent from "../../src/agent/LanguageModel.ts"
import * as Recorded from "../../src/agent/Recorded.ts"
import { CodingAgent } from "../../src/CodingAgent.ts"
import { Workspace } from "../../src/Workspace.ts"
import * as GitWorktree from "../../src/workspace/GitWorktree.ts"
import { calls, outcomes, played, prices, says } from "../support/playedModel.ts"
import { gitSource } from "./support/gitSource.ts"

describe("an agent in a tree of an experiment", () => {
  it.live("changes it by tools, and a replay makes the same commit's content", () =>
    Effect.gen(function*() {
      const source = yield* gitSource({ "src/main.ts": "const workers = 1\n", ".gitignore": "*.log\n" })
      const model = played((_, index) =>
        [
          calls(["read_file", { file: ".git" }], ["list_files", {}]),
          calls(
            ["replace_in_file", { file: "src/main.ts", search: "workers = 1", replace: "workers = 4" }],
            ["write_file", { file: "src/new/module.ts", content: "export {}\n" }],
            ["write_file", { file: "kept.log", content: "by name\n" }],
            ["write_file", { file: ".git", content: "gitdir: /elsewhere\n" }]
          ),
          says("{\"summary\":\"Four workers.\"}")
        ][index]!
      )
      const tape = { directory: `${source.home}/tape`, identity: "a model" }
      const recording = Recorded.layer({
        ...tape,
        mode: "record",
        state: ({ directory }) => Recorded.contentOf(directory),
        agent: (hooks) => Layer.provide(Agent.layer({ model: "a-model", prices, ...hooks }), model.layer)
      })
      const replay = Recorded.layer({
        ...tape,
        mode: "replay",
        state: ({ directory }) => Recorded.contentOf(directory)
      })

      const experiment = (node: string, agent: Layer.Layer<CodingAgent, unknown>) =>
        Effect.scoped(Effect.gen(function*() {
          const workspace = yield* Workspace
          const tree = yield* workspace.open({ run: "run", node, base: "HEAD" })
          const { answer, costUsd } = yield* Effect.flatMap(CodingAgent, (agent) =>
            agent.run({
              prompt: `Work in ${tree.path}. Make it faster.`,
              schema: Schema.Struct({ summary: Schema.String }),
              directory: tree.path,
              phase: "code_change",
              write: (file, content) => workspace.write(tree, file, content)
            })).pipe(Effect.provide(agent))
          assert.strictEqual(answer.summary, "Four workers.")
          return { costUsd, commit: yield* workspace.commit(tree, { message: node }) }
        }))

      const made = yield* Effect.gen(function*() {
        return [yield* experiment("first", recording), yield* experiment("second", replay)] as const
      }).pipe(Effect.provide(GitWorktree.layer(source.options)))

      assert.deepStrictEqual(outcomes(model.requests).map(({ isFailure }) => isFailure), [
        true,
        false,
        false,
        false,
        false,
        true
      ])
      const treeOf = (commit: string) => source.git("rev-parse", `${commit}^{tree}`)
      assert.strictEqual(treeOf(made[0].commit), treeOf(made[1].commit))
      assert.strictEqual(made[0].costUsd, made[1].costUsd)
      assert.strictEqual(source.git("show", `${made[1].commit}:src/main.ts`), "const workers = 4\n")
      assert.strictEqual(source.git("show", `${made[1].commit}:kept.log`), "by name\n")
      assert.strictEqual(
        source.git("diff", "--name-only", `${made[1].commit}^`, made[1].commit).trim().split("\n").length,
        3
      )
    }))
})
