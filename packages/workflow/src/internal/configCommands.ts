/**
 * Commands in a configuration: placeholders in their texts, and the names of their variables.
 */
import { didYouMean, type Mistake, valueAt } from "./configProblems.ts"

/** What may stand in braces, and what it means. */
export const placeholders = ["workdir"] as const

const placeholder = /\{\{[A-Za-z][A-Za-z0-9_]*\}\}|\{([A-Za-z][A-Za-z0-9_]*)\}/g

/** Replaces `{workdir}`; `{{workdir}}` becomes `{workdir}`. Braces around anything but a plain name are left alone. */
export const substituted = (text: string, values: Readonly<Record<(typeof placeholders)[number], string>>): string =>
  text.replace(
    placeholder,
    (whole, name: string | undefined) =>
      name === undefined ? whole.slice(1, -1) : name === "workdir" ? values.workdir : whole
  )

/** Placeholders that mean nothing, in every text in which one may stand. */
export const unknownPlaceholders = (root: unknown): ReadonlyArray<Mistake> => {
  const mistakes: Array<Mistake> = []
  const look = (path: ReadonlyArray<string | number>, value: unknown): void => {
    if (typeof value === "string") {
      for (const [, name] of value.matchAll(placeholder)) {
        if (name === undefined || (placeholders as ReadonlyArray<string>).includes(name)) continue
        mistakes.push({
          path,
          value,
          message: `has an unknown placeholder, {${name}}`,
          hint: didYouMean(name, placeholders)?.replace(/"(\w+)"/, "{$1}") ??
            `To pass the text {${name}}, write {{${name}}}.`,
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

/** Names that cannot be variables, or are the engine's. */
export const environment = (root: unknown): ReadonlyArray<Mistake> =>
  ["job", "build"].flatMap((section) => {
    const table = valueAt(root, [section, "environment"])
    return typeof table !== "object" || table === null ?
      [] :
      Object.keys(table).flatMap((name): ReadonlyArray<Mistake> =>
        !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
          ? [{
            path: [section, "environment", name],
            message: "is not the name of a variable",
            allowed: "letters, digits and \"_\", not beginning with a digit"
          }]
          : name.startsWith("ESPALIER_")
          ? [{
            path: [section, "environment", name],
            message: "is reserved",
            hint: "Names with ESPALIER_ are set by the engine."
          }]
          : []
      )
  })
