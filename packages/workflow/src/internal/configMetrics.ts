/**
 * `[[metrics]]` in `espalier.toml`: how each is read from what a job prints or writes.
 */
import type { MetricRule, Warmup } from "@espalier/platform/Evidence"
import { present } from "./configLayers.ts"
import type { MetricTable as Table } from "./configSchema.ts"

/** How a metric is read from a job's output. */
export type Metric =
  & {
    readonly name: string
    /** What is looked through: what the job prints, or files by a glob. */
    readonly place:
      | { readonly stream: "stdout" | "stderr" | "metrics" }
      | { readonly files: string; readonly within: "tree" | "job" }
    readonly take: "last" | "first" | "mean" | "median" | "min" | "max" | "sum"
    readonly warmup: Warmup | null
    readonly unit: string
    readonly direction: "maximize" | "minimize" | null
    readonly required: boolean
  }
  & (
    | { readonly from: "key-value"; readonly key: string }
    | { readonly from: "json-lines"; readonly field: string }
    | { readonly from: "regex"; readonly pattern: string }
    | {
      readonly from: "csv"
      readonly column: string | number
      readonly delimiter: string
      readonly header: boolean
    }
  )

type MetricTable = typeof Table.Type

export const metricOf = (table: MetricTable): Metric => {
  const { column, delimiter, field, files, from, header, key, name, pattern, required, stream, take, unit, within } =
    table
  const common = {
    name,
    place: files === undefined ? { stream } : { files, within },
    take,
    warmup: table.warmup === undefined ? null : warmupOf(table.warmup),
    unit,
    direction: table.direction ?? null,
    required
  } as const
  switch (from) {
    case "key-value":
      return { ...common, from, key: key ?? name }
    case "json-lines":
      return { ...common, from, field: field ?? name }
    case "regex":
      return { ...common, from, pattern: present(pattern, "metrics[].pattern") }
    case "csv":
      return { ...common, from, column: column ?? name, delimiter, header }
  }
}

const warmupOf = ({ field, fraction, from, values }: NonNullable<MetricTable["warmup"]>): Warmup =>
  values !== undefined
    ? { _tag: "Values", count: values }
    : fraction !== undefined
    ? { _tag: "Fraction", fraction }
    : { _tag: "Until", field: present(field, "metrics[].warmup.field"), from: present(from, "metrics[].warmup.from") }

/** The rule by which `Evidence` reads a metric. */
export const ruleOf = (metric: Metric): MetricRule => {
  const { direction, name, place, required, take, unit, warmup } = metric
  const common = {
    name,
    required,
    take,
    ...place,
    ...(warmup === null ? {} : { warmup }),
    ...(unit === "" ? {} : { unit }),
    ...(direction === null ? {} : { direction })
  }
  switch (metric.from) {
    case "key-value":
      return { ...common, _tag: "KeyValue", key: metric.key }
    case "json-lines":
      return { ...common, _tag: "JsonLines", field: metric.field }
    case "regex":
      return { ...common, _tag: "Regex", pattern: metric.pattern }
    case "csv":
      return {
        ...common,
        _tag: "Csv",
        column: metric.column,
        delimiter: metric.delimiter,
        header: metric.header
      }
  }
}
