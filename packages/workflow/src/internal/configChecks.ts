/**
 * What one key of a configuration demands of another. Each check looks only at those parts that are well-formed by
 * themselves, so that mistakes of both sorts are reported together, and none twice.
 */
import { MetricName } from "@espalier/platform/Evidence"
import { Option, Result, Schema } from "effect"
import { baselineSeed, describeValue } from "../Experiment.ts"
import * as SearchSpace from "../SearchSpace.ts"
import { keyOf } from "./configKeys.ts"
import { type Mistake, nearest, valueAt } from "./configProblems.ts"
import { EditTable, LimitsTable, MetricTable, ParameterTable, SeedTable, Source } from "./configSchema.ts"

const namePattern = /^[A-Za-z][A-Za-z0-9._-]*$/

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

const didYouMean = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const meant = nearest(name, known)
  return meant === undefined ? undefined : `Did you mean "${meant}"?`
}

const list = (names: ReadonlyArray<string>): string => names.length === 0 ? "none is declared" : [...new Set(names)].join(", ")

const duplicates = (key: string, entries: ReadonlyArray<Element<{ readonly name: string }>>): ReadonlyArray<Mistake> => {
  const first = new Map<string, number>()
  return entries.flatMap(({ index, value: { name } }) => {
    const before = first.get(name)
    first.set(name, before ?? index)
    return before === undefined
      ? []
      : [{ path: [key, index, "name"], value: name, message: `is the name of ${key}[${before + 1}] already`, hint: "Choose another name." }]
  })
}

const metrics = (root: unknown): ReadonlyArray<Mistake> => {
  const found = elements(MetricTable, root, "metrics") ?? []
  const owners = { "key-value": "key", "json-lines": "field", regex: "pattern" } as const
  const mistakes: Array<Mistake> = [...duplicates("metrics", found)]
  for (const { index, value } of found) {
    for (const [from, key] of Object.entries(owners)) {
      if (value[key] !== undefined && value.from !== from) {
        mistakes.push({
          path: ["metrics", index, key],
          value: value[key],
          message: `has no meaning with from = "${value.from}"`,
          hint: `Remove it, or write from = "${from}".`
        })
      }
    }
    if (value.from !== "regex") continue
    if (value.pattern === undefined) {
      mistakes.push({ path: ["metrics", index, "pattern"], message: "is missing", allowed: keyOf("metrics[].pattern")?.allowed })
      continue
    }
    const wrong = wrongPattern(value.pattern)
    if (wrong !== undefined) mistakes.push({ path: ["metrics", index, "pattern"], value: value.pattern, ...wrong })
  }
  return mistakes
}

const wrongPattern = (pattern: string): { readonly message: string; readonly hint: string } | undefined => {
  try {
    // With an empty alternative it matches the empty text, and the result has a place for every group.
    const groups = (new RegExp(`(?:${pattern})|`).exec("")?.length ?? 1) - 1
    return groups > 0
      ? undefined
      : { message: "has no group", hint: "Put parentheses around the number, such as \"loss: ([0-9.]+)\"." }
  } catch (error) {
    return { message: "is not a regular expression", hint: error instanceof Error ? `${error.message}.` : "" }
  }
}

const objective = (root: unknown): ReadonlyArray<Mistake> => {
  const declared = namesIn(root, "metrics")
  const metric = valueAt(root, ["objective", "metric"])
  const unit = valueAt(root, ["objective", "unit"])
  if (typeof metric !== "string" || metric === "") return []
  if (valueAt(root, ["metrics"]) === undefined) {
    return Schema.is(MetricName)(metric)
      ? []
      : [{ path: ["objective", "metric"], value: metric, message: "is not the name of a metric", allowed: keyOf("metrics[].name")?.allowed }]
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
    ...(typeof unit !== "string" || own.value.unit === "" || own.value.unit === unit ? [] : [{
      path: ["objective", "unit"],
      value: unit,
      message: `differs from the unit of the metric, ${JSON.stringify(own.value.unit)}`,
      hint: "Write it in one place only."
    }])
  ]
}

const parameters = (root: unknown): ReadonlyArray<Mistake> => {
  const tables = valueAt(root, ["parameters"])
  if (typeof tables !== "object" || tables === null || Array.isArray(tables)) return []
  return Object.entries(tables).flatMap(([name, table]) => [
    ...(namePattern.test(name) ? [] : [{
      path: ["parameters", name],
      message: "is not allowed as a name",
      allowed: "letters, digits, \".\", \"-\" and \"_\", beginning with a letter"
    }]),
    ...Option.match(Schema.decodeUnknownOption(ParameterTable)(table), {
      onNone: () => [],
      onSome: (parameter) => parameterMistakes(name, parameter)
    })
  ])
}

const parameterMistakes = (name: string, table: typeof ParameterTable.Type): ReadonlyArray<Mistake> => {
  const { baseline, max, min, step, type, values } = table
  const at = (key: string) => ["parameters", name, key]
  const isNumeric = type === "integer" || type === "number"
  const fits = (value: unknown) =>
    type === "integer"
      ? Number.isSafeInteger(value)
      : type === "number"
      ? typeof value === "number"
      : type === "choice" || typeof value === "boolean"
  const what = type === "integer" ? "whole numbers" : type === "number" ? "numbers" : "true or false"
  const mistakes: Array<Mistake> = []
  for (const key of ["min", "max", "step"] as const) {
    const value = table[key]
    if (value === undefined) continue
    if (!isNumeric) {
      mistakes.push({ path: at(key), value, message: `has no meaning for type = "${type}"`, hint: "Remove it." })
    } else if (values !== undefined) {
      mistakes.push({ path: at(key), value, message: "cannot stand beside values", hint: "Declare either values, or min and max." })
    } else if (!fits(value)) {
      mistakes.push({ path: at(key), value, message: "is no whole number, as type = \"integer\" demands" })
    }
  }
  if (type === "boolean" && values !== undefined) {
    mistakes.push({ path: at("values"), value: values, message: "has no meaning for type = \"boolean\"", hint: "Remove it." })
  } else if (values !== undefined) {
    const wrong = values.findIndex((value) => !fits(value))
    const twice = values.findIndex((value, i) => values.indexOf(value) !== i)
    if (values.length === 0) {
      mistakes.push({ path: at("values"), value: values, message: "is empty", hint: "List at least the baseline." })
    } else if (wrong !== -1) {
      mistakes.push({ path: [...at("values"), wrong], value: values[wrong], message: `does not fit type = "${type}"`, allowed: what })
    } else if (twice !== -1) {
      mistakes.push({ path: [...at("values"), twice], value: values[twice], message: "is listed twice" })
    }
  } else if (type === "choice") {
    mistakes.push({ path: at("values"), message: "is missing", allowed: keyOf("parameters.<name>.values")?.allowed })
  } else if (isNumeric) {
    for (const key of ["min", "max"] as const) {
      if (table[key] === undefined) {
        mistakes.push({ path: at(key), message: "is missing", hint: "Declare values, or both min and max." })
      }
    }
    if (min !== undefined && max !== undefined && min > max) {
      mistakes.push({ path: at("max"), value: max, message: `is below min, ${min}` })
    }
    if (step !== undefined && step <= 0) {
      mistakes.push({ path: at("step"), value: step, message: "is not above 0", allowed: keyOf("parameters.<name>.step")?.allowed })
    }
  }
  if (mistakes.length > 0) return mistakes
  // The space itself says what is allowed: with an allowed value in its place, the real baseline can be looked up.
  const declaration = parameterOf(name, table)
  const stand = type === "boolean" ? false : values?.[0] ?? min ?? 0
  const made = SearchSpace.make({
    parameters: [{ ...declaration, name: "parameter", baseline: stand } as SearchSpace.Parameter],
    edits: []
  })
  if (Result.isFailure(made)) {
    return [{ path: ["parameters", name], message: `makes no sense: ${made.failure.message.replace("Parameter \"parameter\"", "it")}` }]
  }
  const dimension = made.success.parameters[0]
  return dimension === undefined || SearchSpace.levelOf(dimension, baseline) !== -1
    ? []
    : [{
      path: at("baseline"),
      value: baseline,
      message: "is not one of the allowed values",
      hint: typeof baseline !== "string"
        ? undefined
        : type === "choice"
        ? didYouMean(baseline, (values ?? []).map(describeValue))
        : "Write it without quotes.",
      allowed: SearchSpace.allowedValues(dimension)
    }]
}

/** A parameter's table as the search space wants it. Its baseline is checked before this is relied on. */
export const parameterOf = (name: string, table: typeof ParameterTable.Type): SearchSpace.Parameter => {
  const { baseline, description, max, min, step, type, values } = table
  const common = { name, type, baseline, description }
  const range = {
    ...(values === undefined ? {} : { values }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(step === undefined ? {} : { step })
  }
  return (type === "boolean" ? common : { ...common, ...range }) as SearchSpace.Parameter
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
      mistakes.push({ path: ["edits", index, "replace"], value: value.replace, message: "is the same as search: the edit changes nothing" })
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
    }))
  ]
}

const limits = (root: unknown): ReadonlyArray<Mistake> => {
  const written = valueAt(root, ["limits"])
  const found = Option.getOrUndefined(Schema.decodeUnknownOption(LimitsTable)(written ?? {}))
  if (found === undefined || found.jobs >= found.repeats) return []
  return [{
    path: ["limits", "jobs"],
    value: found.jobs,
    message: `does not suffice for the baseline, which takes limits.repeats = ${found.repeats}`
  }]
}

const nothingToSearch = (root: unknown): ReadonlyArray<Mistake> => {
  const parameters = valueAt(root, ["parameters"])
  const edits = valueAt(root, ["edits"])
  const isEmpty = (value: unknown) => value === undefined || typeof value === "object" && value !== null && Object.keys(value).length === 0
  return isEmpty(parameters) && isEmpty(edits)
    ? [{
      path: ["parameters"],
      message: "is missing, and so are [[edits]]: there is nothing to search",
      hint: "Declare at least one [parameters.<name>] or [[edits]]."
    }]
    : []
}

/** What may stand in braces, and what it means. */
export const placeholders = ["workdir"] as const

const placeholder = /\{\{[A-Za-z][A-Za-z0-9_]*\}\}|\{([A-Za-z][A-Za-z0-9_]*)\}/g

/** Replaces `{workdir}`; `{{workdir}}` becomes `{workdir}`. Braces around anything but a plain name are left alone. */
export const substituted = (text: string, values: Readonly<Record<(typeof placeholders)[number], string>>): string =>
  text.replace(placeholder, (whole, name: string | undefined) =>
    name === undefined ? whole.slice(1, -1) : name === "workdir" ? values.workdir : whole)

const unknownPlaceholders = (root: unknown): ReadonlyArray<Mistake> => {
  const mistakes: Array<Mistake> = []
  const look = (path: ReadonlyArray<string | number>, value: unknown): void => {
    if (typeof value === "string") {
      for (const [, name] of value.matchAll(placeholder)) {
        if (name === undefined || (placeholders as ReadonlyArray<string>).includes(name)) continue
        mistakes.push({
          path,
          value,
          message: `has an unknown placeholder, {${name}}`,
          hint: didYouMean(name, placeholders)?.replace(/"(\w+)"/, "{$1}") ?? `To pass the text {${name}}, write {{${name}}}.`,
          allowed: placeholders.map((each) => `{${each}}`).join(", ")
        })
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, item] of Object.entries(value)) look([...path, Array.isArray(value) ? Number(key) : key], item)
    }
  }
  for (const path of [["job", "argv"], ["job", "environment"], ["build", "argv"], ["build", "environment"]]) {
    look(path, valueAt(root, path))
  }
  const list = valueAt(root, ["seeds"])
  if (Array.isArray(list)) list.forEach((seed, i) => look(["seeds", i, "arguments"], valueAt(seed, ["arguments"])))
  return mistakes
}

const environment = (root: unknown): ReadonlyArray<Mistake> =>
  ["job", "build"].flatMap((section) => {
    const table = valueAt(root, [section, "environment"])
    return typeof table !== "object" || table === null ? [] : Object.keys(table).flatMap((name): ReadonlyArray<Mistake> =>
      !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
        ? [{
          path: [section, "environment", name],
          message: "is not the name of a variable",
          allowed: "letters, digits and \"_\", not beginning with a digit"
        }]
        : name.startsWith("ESPALIER_")
        ? [{ path: [section, "environment", name], message: "is reserved", hint: "Names with ESPALIER_ are set by the engine." }]
        : []
    )
  })

/** Every mistake between keys, in the order of the file's sections. */
export const crossChecks = (root: unknown): ReadonlyArray<Mistake> => [
  ...environment(root),
  ...unknownPlaceholders(root),
  ...objective(root),
  ...metrics(root),
  ...parameters(root),
  ...edits(root),
  ...nothingToSearch(root),
  ...seeds(root),
  ...limits(root)
]
