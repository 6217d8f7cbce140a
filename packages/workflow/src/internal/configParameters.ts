/**
 * What the keys of a parameter's table demand of each other.
 */
import { Option, Result, Schema } from "effect"
import { describeValue } from "../Experiment.ts"
import * as SearchSpace from "../SearchSpace.ts"
import { keyOf } from "./configKeys.ts"
import { didYouMean, type Mistake, valueAt } from "./configProblems.ts"
import { ParameterTable } from "./configSchema.ts"

const namePattern = /^[A-Za-z][A-Za-z0-9._-]*$/

/** Mistakes in the tables below `parameters`. */
export const parameters = (root: unknown): ReadonlyArray<Mistake> => {
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
      mistakes.push({
        path: at(key),
        value,
        message: "cannot stand beside values",
        hint: "Declare either values, or min and max."
      })
    } else if (!fits(value)) {
      mistakes.push({ path: at(key), value, message: "is no whole number, as type = \"integer\" demands" })
    }
  }
  if (type === "boolean" && values !== undefined) {
    mistakes.push({
      path: at("values"),
      value: values,
      message: "has no meaning for type = \"boolean\"",
      hint: "Remove it."
    })
  } else if (values !== undefined) {
    const wrong = values.findIndex((value) => !fits(value))
    const twice = values.findIndex((value, i) => values.indexOf(value) !== i)
    if (values.length === 0) {
      mistakes.push({ path: at("values"), value: values, message: "is empty", hint: "List at least the baseline." })
    } else if (wrong !== -1) {
      mistakes.push({
        path: [...at("values"), wrong],
        value: values[wrong],
        message: `does not fit type = "${type}"`,
        allowed: what
      })
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
      mistakes.push({
        path: at("step"),
        value: step,
        message: "is not above 0",
        allowed: keyOf("parameters.<name>.step")?.allowed
      })
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
    return [{
      path: ["parameters", name],
      message: `makes no sense: ${made.failure.message.replace("Parameter \"parameter\"", "it")}`
    }]
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
