/**
 * What one key of a configuration demands of another. Each check looks only at those parts that are well-formed by
 * themselves, so that mistakes of both sorts are reported together, and none twice.
 */
import * as ContainerImage from "@espalier/platform/artifacts/ContainerImage"
import { MetricName } from "@espalier/platform/Evidence"
import * as Rules from "@espalier/platform/evidence/Rules"
import * as Slurm from "@espalier/platform/execution/Slurm"
import { Option, Result, Schema } from "effect"
import { baselineSeed } from "../Experiment.ts"
import { AgentTable } from "./configAgent.ts"
import { artifacts, environment, unknownPlaceholders } from "./configCommands.ts"
import { keyOf } from "./configKeys.ts"
import { kinds } from "./configKinds.ts"
import { buildOf, BuildTable, ExecutionTable } from "./configLayers.ts"
import { parameters } from "./configParameters.ts"
import { metricOf, ruleOf } from "./configMetrics.ts"
import { didYouMean, type Mistake, valueAt } from "./configProblems.ts"
import { EditTable, LimitsTable, MetricTable, ObjectiveTable, SeedTable, Source } from "./configSchema.ts"

interface Element<A> {
  readonly index: number
  readonly value: A
}

/** The elements of a list of tables that are well-formed; `undefined` when there is no list. */
const elements = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  root: unknown,
  key: string
): ReadonlyArray<Element<S["Type"]>> | undefined => {
  const list = valueAt(root, [key])
  if (!Array.isArray(list)) return undefined
  const decode = Schema.decodeUnknownOption(schema)
  return list.flatMap((each: unknown, index) => Option.toArray(Option.map(decode(each), (value) => ({ index, value }))))
}

/** Names as they stand in the file, also those of elements that are wrong elsewhere: they can still be referred to. */
const namesIn = (root: unknown, key: string): ReadonlyArray<string> => {
  const list = valueAt(root, [key])
  return Array.isArray(list)
    ? list.map((each: unknown) => valueAt(each, ["name"])).filter((name) => typeof name === "string")
    : []
}

const list = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "none is declared" : [...new Set(names)].join(", ")

const duplicates = (
  key: string,
  entries: ReadonlyArray<Element<{ readonly name: string }>>
): ReadonlyArray<Mistake> => {
  const first = new Map<string, number>()
  return entries.flatMap(({ index, value: { name } }) => {
    const before = first.get(name)
    first.set(name, before ?? index)
    return before === undefined
      ? []
      : [{
        path: [key, index, "name"],
        value: name,
        message: `is the name of ${key}[${before + 1}] already`,
        hint: "Choose another name."
      }]
  })
}

const metrics = (root: unknown): ReadonlyArray<Mistake> => {
  const found = elements(MetricTable, root, "metrics") ?? []
  const mistakes: Array<Mistake> = [...duplicates("metrics", found)]
  for (const { index, value } of found) {
    const own = [...place(root, value, index), ...warmup(value, index)]
    mistakes.push(...own.length > 0 ? own : unusable(value, index))
  }
  return mistakes
}

type Metric = typeof MetricTable.Type

/** Where a metric is looked for: in what is printed, or in files, and not in both. */
const place = (root: unknown, metric: Metric, index: number): ReadonlyArray<Mistake> => {
  const { files, stream, within } = metric
  const isWritten = (key: string): boolean => valueAt(root, ["metrics", index, key]) !== undefined
  return [
    ...(files !== undefined && isWritten("stream")
      ? [{
        path: ["metrics", index, "stream"],
        value: stream,
        message: "cannot stand beside files: a metric is looked for in one place",
        hint: "Remove one of them."
      }]
      : []),
    ...(files === undefined && isWritten("within")
      ? [{
        path: ["metrics", index, "within"],
        value: within,
        message: "has no meaning without files",
        hint: "Remove it, or write files."
      }]
      : [])
  ]
}

/** One of the three ways to say what is warm-up. */
const warmup = ({ warmup: table }: Metric, index: number): ReadonlyArray<Mistake> => {
  if (table === undefined) return []
  const path = ["metrics", index, "warmup"]
  const { field, fraction, from, values } = table
  const ways = [values !== undefined, fraction !== undefined, field !== undefined || from !== undefined]
  if (ways.filter((isUsed) => isUsed).length !== 1) {
    return [{
      path,
      value: table,
      message: "says it in no way, or in several",
      hint: "Write one of { values = 3 }, { fraction = 0.1 } and { field = \"step\", from = 100 }."
    }]
  }
  if ((field === undefined) !== (from === undefined)) {
    return [{
      path: [...path, field === undefined ? "field" : "from"],
      message: "is missing: field and from belong together"
    }]
  }
  return []
}

/** What is wrong with the rule that it makes, by the key that has the name of the rule's field. */
const unusable = (metric: Metric, index: number): ReadonlyArray<Mistake> => {
  if (metric.from === "regex" && metric.pattern === undefined) return []
  const found = Rules.check([ruleOf(metricOf(metric))])
  if (Result.isSuccess(found)) return []
  const { field, message } = found.failure
  const key = field?.split(".") ?? []
  return [{ path: ["metrics", index, ...key], value: valueAt(metric, key), message: "cannot be used", hint: message }]
}

const objective = (root: unknown): ReadonlyArray<Mistake> => {
  const declared = namesIn(root, "metrics")
  const metric = valueAt(root, ["objective", "metric"])
  const unit = valueAt(root, ["objective", "unit"])
  if (typeof metric !== "string" || metric === "") return []
  if (valueAt(root, ["metrics"]) === undefined) {
    return Schema.is(MetricName)(metric)
      ? []
      : [{
        path: ["objective", "metric"],
        value: metric,
        message: "is not the name of a metric",
        allowed: keyOf("metrics[].name")?.allowed
      }]
  }
  if (!declared.includes(metric)) {
    return [{
      path: ["objective", "metric"],
      value: metric,
      message: "is not declared in [[metrics]]",
      hint: didYouMean(metric, declared) ?? `Declare it: [[metrics]] with name = "${metric}".`,
      allowed: list(declared)
    }]
  }
  const own = (elements(MetricTable, root, "metrics") ?? []).find(({ value }) => value.name === metric)
  if (own === undefined) return []
  return [
    ...(own.value.required ? [] : [{
      path: ["metrics", own.index, "required"],
      value: false,
      message: "cannot be false for the objective",
      hint: "A job without it has no value. Remove this line."
    }]),
    ...(own.value.direction === undefined || own.value.direction === valueAt(root, ["objective", "direction"]) ? [] : [{
      path: ["metrics", own.index, "direction"],
      value: own.value.direction,
      message: "differs from objective.direction",
      hint: "Remove this line."
    }]),
    ...(typeof unit !== "string" || own.value.unit === "" || own.value.unit === unit ? [] : [{
      path: ["objective", "unit"],
      value: unit,
      message: `differs from the unit of the metric, ${JSON.stringify(own.value.unit)}`,
      hint: "Write it in one place only."
    }])
  ]
}

const edits = (root: unknown): ReadonlyArray<Mistake> => {
  const found = elements(EditTable, root, "edits") ?? []
  const names = namesIn(root, "edits")
  const tables = valueAt(root, ["parameters"])
  const parameterNames = typeof tables === "object" && tables !== null ? Object.keys(tables) : []
  const source = Option.getOrUndefined(Schema.decodeUnknownOption(Source)(valueAt(root, ["source"])))
  const mistakes: Array<Mistake> = [...duplicates("edits", found)]
  for (const { index, value } of found) {
    if (parameterNames.includes(value.name)) {
      mistakes.push({
        path: ["edits", index, "name"],
        value: value.name,
        message: "is the name of a parameter already",
        hint: "Choose another name."
      })
    }
    if (value.search === value.replace) {
      mistakes.push({
        path: ["edits", index, "replace"],
        value: value.replace,
        message: "is the same as search: the edit changes nothing"
      })
    }
    if (source !== undefined && value.file === source.parametersFile) {
      mistakes.push({
        path: ["edits", index, "file"],
        value: value.file,
        message: "is source.parametersFile, which is written anew for every experiment",
        hint: "Declare a parameter instead."
      })
    }
    for (const [i, other] of value.conflicts.entries()) {
      if (other === value.name) {
        mistakes.push({ path: ["edits", index, "conflicts", i], value: other, message: "is the edit itself" })
      } else if (!names.includes(other)) {
        mistakes.push({
          path: ["edits", index, "conflicts", i],
          value: other,
          message: "is no declared edit",
          hint: didYouMean(other, names),
          allowed: list(names.filter((name) => name !== value.name))
        })
      }
    }
  }
  return mistakes
}

const seeds = (root: unknown): ReadonlyArray<Mistake> => {
  const found = elements(SeedTable, root, "seeds") ?? []
  return [
    ...duplicates("seeds", found),
    ...found.filter(({ value }) => value.name === baselineSeed).map(({ index, value }): Mistake => ({
      path: ["seeds", index, "name"],
      value: value.name,
      message: "is reserved: the program without any change is always measured",
      hint: "Remove this seed, or choose another name."
    })),
    ...found.filter(({ value }) => /^e\d+$/.test(value.name)).map(({ index, value }): Mistake => ({
      path: ["seeds", index, "name"],
      value: value.name,
      message: "is the form of an experiment's id",
      hint: "Choose another name, one that is not \"e\" and digits."
    }))
  ]
}

/**
 * The smallest limit from `jobs` on with which an experiment is proposed: besides the seeds and one experiment it holds
 * what `Planning.decide` keeps back, the pairs of the final comparison and of one crowning, or of two where many jobs
 * are allowed. So a larger limit may not do where a smaller one does.
 */
const jobsNeeded = (jobs: number, o: { readonly seeds: number; readonly repeats: number; readonly pairs: number }) => {
  const pairJobs = 2 * o.pairs
  const measured = (o.seeds + 2) * o.repeats
  const small = Math.max(jobs, measured + 2 * pairJobs)
  return small < 8 * pairJobs ? small : Math.max(jobs, measured + 3 * pairJobs)
}

const limits = (root: unknown): ReadonlyArray<Mistake> => {
  const found = Option.getOrUndefined(Schema.decodeUnknownOption(LimitsTable)(valueAt(root, ["limits"]) ?? {}))
  const compared = Option.getOrUndefined(Schema.decodeUnknownOption(ObjectiveTable)(valueAt(root, ["objective"])))
  if (found === undefined || compared === undefined) return []
  const declared = valueAt(root, ["seeds"])
  const { jobs, repeats } = found
  const seeds = Array.isArray(declared) ? declared.length : 0
  const needed = jobsNeeded(jobs, { seeds, repeats, pairs: compared.pairs })
  return needed <= jobs ? [] : [{
    path: ["limits", "jobs"],
    value: jobs,
    message: `does not suffice for a single experiment: ${(seeds + 1) * repeats} are for the baseline and the seeds, ` +
      `${repeats} for an experiment, ${needed - (seeds + 2) * repeats} are kept for the confirmations`,
    hint: `Allow at least ${needed}, or lower objective.pairs or limits.repeats.`
  }]
}

const nothingToSearch = (root: unknown): ReadonlyArray<Mistake> => {
  const parameters = valueAt(root, ["parameters"])
  const edits = valueAt(root, ["edits"])
  const isEmpty = (value: unknown) =>
    value === undefined || typeof value === "object" && value !== null && Object.keys(value).length === 0
  return isEmpty(parameters) && isEmpty(edits)
    ? [{
      path: ["parameters"],
      message: "is missing, and so are [[edits]]: there is nothing to search",
      hint: "Declare at least one [parameters.<name>] or [[edits]]."
    }]
    : []
}

/** What the keys of an agent demand of each other. */
const agent = (root: unknown): ReadonlyArray<Mistake> => {
  const table = Option.getOrUndefined(Schema.decodeUnknownOption(AgentTable)(valueAt(root, ["agent"])))
  if (table === undefined) return []
  const { costLimitUsd, kind, login, price, recordings, rounds, secret } = table
  return [
    ...(login === undefined ? [] : Object.entries({ costLimitUsd, rounds })).flatMap(([key, value]) =>
      value === undefined ? [] : [{
        path: ["agent", key],
        value,
        message: "cannot be kept with login: what a call uses is known only when it has ended",
        hint: "Remove it and limit agent.timeLimit, or use a key instead of the login."
      }]
    ),
    ...(costLimitUsd !== undefined && price === undefined && kind !== "claude" && login === undefined
      ? [{
        path: ["agent", "costLimitUsd"],
        value: costLimitUsd,
        message: "cannot be kept: what the model costs is not known",
        hint: "Write its price: agent.price = { inputUsd = ..., outputUsd = ... }, in US dollars for a million tokens."
      }]
      : []),
    ...(login !== undefined && secret !== undefined
      ? [{
        path: ["agent", "login"],
        value: login,
        message: "cannot stand beside secret: one of them pays",
        hint: "Remove one of them."
      }]
      : []),
    ...(recordings === undefined && valueAt(root, ["agent", "recording"]) !== undefined
      ? [{
        path: ["agent", "recording"],
        value: table.recording,
        message: "has no meaning without recordings",
        hint: "Name the directory in agent.recordings."
      }]
      : [])
  ]
}

/** What the layer of container images says of its options. */
const container = (root: unknown): ReadonlyArray<Mistake> => {
  const table = Option.getOrUndefined(Schema.decodeUnknownOption(BuildTable)(valueAt(root, ["build"])))
  if (table?.kind !== "container") return []
  const build = buildOf(table)
  return build.kind !== "container"
    ? []
    : ContainerImage.problems(build.image).map((problem) => ({ path: ["build"], message: `cannot be: ${problem}` }))
}

/** How the keys of what a job asks for are called in the file. */
const inFile = (problem: string): string =>
  problem.replace(/resources\.(\w+)/, (_, name: string) => `execution.${name.replace(/(Bytes|Millis)$/, "")}`)

/** What the layer of Slurm says of its options. Those that are no options at all are the schema's to tell. */
const slurm = (root: unknown): ReadonlyArray<Mistake> => {
  const table = Option.getOrUndefined(Schema.decodeUnknownOption(ExecutionTable)(valueAt(root, ["execution"])))
  if (table?.kind !== "slurm") return []
  return table.options.flatMap((option, index) => {
    const problem = Slurm.argumentRefused(option)
    return problem === undefined
      ? []
      : [{ path: ["execution", "options", index], value: option, message: `is not possible: ${inFile(problem)}` }]
  })
}

/** Every mistake between keys, in the order of the file's sections. */
export const crossChecks = (root: unknown): ReadonlyArray<Mistake> => [
  ...environment(root),
  ...unknownPlaceholders(root),
  ...artifacts(root),
  ...container(root),
  ...slurm(root),
  ...agent(root),
  ...kinds(root),
  ...objective(root),
  ...metrics(root),
  ...parameters(root),
  ...edits(root),
  ...nothingToSearch(root),
  ...seeds(root),
  ...limits(root)
]
