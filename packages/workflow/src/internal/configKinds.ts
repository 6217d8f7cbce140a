/**
 * Sections of which there are several kinds, told apart by one key: which of the other keys belong to which kind, and which
 * of them a kind cannot do without. A key of another kind is a mistake: it would do nothing, and its author believes it does.
 */
import { keyOf, type KeyPath, patternOf } from "./configKeys.ts"
import { type Mistake, valueAt } from "./configProblems.ts"
import { agentKinds } from "./configAgent.ts"
import { buildKinds, executionKinds, workspaceKinds } from "./configLayers.ts"
import { metricForms } from "./configSchema.ts"

/** The kinds that a key belongs to; those in `needed` cannot do without it. */
interface KindKey {
  readonly of: ReadonlyArray<string>
  readonly needed?: ReadonlyArray<string>
}

interface Section {
  /** The key that names the kind, and the kind of a section that does not say. */
  readonly by: string
  readonly kinds: ReadonlyArray<string>
  readonly fallback: string
  readonly keys: Readonly<Record<string, KindKey>>
}

const only = (...of: ReadonlyArray<string>): KindKey => ({ of })
const needs = (...of: ReadonlyArray<string>): KindKey => ({ of, needed: of })

const sections: Readonly<Record<string, Section>> = {
  workspace: {
    by: "kind",
    kinds: workspaceKinds,
    fallback: "detect",
    keys: { ignored: only("copy", "detect"), maxSource: only("copy", "detect") }
  },
  build: {
    by: "kind",
    kinds: buildKinds,
    fallback: "command",
    keys: {
      argv: needs("command"),
      outputs: only("command"),
      engine: only("container"),
      program: only("container"),
      engineArguments: only("container"),
      file: only("container"),
      context: only("container"),
      target: only("container"),
      arguments: only("container"),
      options: only("container"),
      repository: only("container")
    }
  },
  execution: {
    by: "kind",
    kinds: executionKinds,
    fallback: "local",
    keys: {
      partition: only("slurm"),
      account: only("slurm"),
      nodes: only("slurm"),
      cpus: only("slurm"),
      memory: only("slurm"),
      gpus: only("slurm"),
      gres: only("slurm"),
      timeLimit: only("slurm"),
      options: only("slurm"),
      configuration: only("slurm"),
      node: only("slurm"),
      pollEvery: only("slurm")
    }
  },
  agent: {
    by: "kind",
    kinds: agentKinds,
    fallback: "",
    keys: {
      model: { of: agentKinds, needed: ["anthropic", "openai-compatible"] },
      subscription: only("claude"),
      login: only("codex"),
      program: only("claude", "codex"),
      price: only("codex", "anthropic", "openai-compatible"),
      maxTokens: only("anthropic", "openai-compatible"),
      maxOutputTokens: only("anthropic", "openai-compatible"),
      commands: only("claude"),
      network: only("codex")
    }
  },
  metrics: {
    by: "from",
    kinds: metricForms,
    fallback: "key-value",
    keys: {
      key: only("key-value"),
      field: only("json-lines"),
      pattern: needs("regex"),
      column: only("csv"),
      delimiter: only("csv"),
      header: only("csv")
    }
  }
}

const list = (kinds: ReadonlyArray<string>, by: string): string =>
  kinds.map((kind) => `${by} = ${JSON.stringify(kind)}`).join(" or ")

const mistakesIn = (table: unknown, path: KeyPath, { by, fallback, keys, kinds }: Section): ReadonlyArray<Mistake> => {
  if (typeof table !== "object" || table === null) return []
  const kind = valueAt(table, [by]) ?? fallback
  // A kind that is none is the schema's to tell.
  if (typeof kind !== "string" || !kinds.includes(kind)) return []
  return Object.entries(keys).flatMap(([key, { needed = [], of }]): ReadonlyArray<Mistake> => {
    const value = valueAt(table, [key])
    if (value !== undefined && !of.includes(kind)) {
      return [{
        path: [...path, key],
        value,
        message: `has no meaning with ${by} = "${kind}"`,
        hint: `Remove it, or write ${list(of, by)}.`
      }]
    }
    return value === undefined && needed.includes(kind)
      ? [{ path: [...path, key], message: "is missing", allowed: keyOf(patternOf([...path, key]))?.allowed }]
      : []
  })
}

/** Keys that do not belong to their section's kind, and such that it lacks, in every section that has kinds. */
export const kinds = (root: unknown): ReadonlyArray<Mistake> =>
  Object.entries(sections).flatMap(([name, section]) => {
    const value = valueAt(root, [name])
    return Array.isArray(value)
      ? value.flatMap((table: unknown, index) => mistakesIn(table, [name, index], section))
      : mistakesIn(value, [name], section)
  })
