/** Cases of `EvidenceSuite` about metrics in files of the job. */
import * as Effect from "effect/Effect"
import assert from "node:assert"
import type { Evidence } from "../Evidence.ts"
import type { Collect, SuiteCase } from "./evidenceCases.ts"

export const fileCases = <E, R>(collect: Collect<E, R>): ReadonlyArray<SuiteCase<Evidence | R>> => [
  {
    name: "every form of rule reads files that match a glob, in the order of their paths",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=1\n",
        files: {
          "results/b.csv": "score, final,\"score, final\"\n1,2,3\n",
          "results/a/deep/x.csv": "\ufeffname,\"score, final\"\r\n\"two\r\nlines\",4\r\nplain,5\r\n",
          "results/notes.txt": "x,\"score, final\"\n1,99\n",
          "table.txt": "name     mean   max\nfirst    1.5    9\nsecond   2      10\n",
          "out/shard-1.jsonl": "{\n  \"name\": \"one document\",\n  \"rate\": 11\n}\n",
          "out/shard-0.jsonl": "{\"rate\":10}\n",
          "out/shard-x.jsonl": "{\"rate\":99}\n",
          "report.txt": "total 1\n",
          "summary.txt": "total 2\n"
        },
        jobFiles: { "kept.txt": "kept=6\n" }
      })
      assert.deepStrictEqual(record.metrics, {
        throughput: [1],
        score: [4, 5, 3],
        aligned: [1.5, 2],
        shard: [10, 11],
        report: [1, 2],
        kept: [6]
      })
    })
  },
  {
    name: "names that begin with a dot are read only when they are named",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=1\n",
        files: { "results/.hidden/a.csv": "\"score, final\"\n1\n", "results/.b.csv": "\"score, final\"\n2\n" }
      })
      assert.ok(!("score" in record.metrics), JSON.stringify(record.metrics))
    })
  },
  {
    name: "a row of a file that does not fit its header, or is never closed, is left out with a note, and no other row",
    run: Effect.gen(function*() {
      const record = yield* collect({
        stdout: "throughput=1\n",
        files: { "results/a.csv": "x,\"score, final\"\n1,2\n1,2,3\n4,5\n\"never closed,6\n7,8\n" }
      })
      assert.deepStrictEqual(record.metrics["score"], [2, 5, 8])
      const notes = record.notes.filter((note) => note.metric === "score").map(({ message }) => message).join("\n")
      assert.match(notes, /another number of fields/)
      assert.match(notes, /never closed/)
    })
  }
]
