/**
 * Commands in a configuration: placeholders in their texts, and the names of their variables.
 */
import { didYouMean, type Mistake, valueAt } from "./configProblems.ts"

/** What may stand in braces. What was built is known only when a job is launched. */
const placeholders = ["workdir", "artifact"] as const

const placeholder = /\{\{[A-Za-z][A-Za-z0-9_]*\}\}|\{([A-Za-z][A-Za-z0-9_]*)\}/g

/**
 * Replaces `{workdir}`; `{{workdir}}` becomes `{workdir}`. Braces around anything but a plain name are left alone. In the texts
 * of jobs (`isOfJob`) what is said of the artifact stays for {@link withArtifact}.
 */
export const substituted = (text: string, values: { readonly workdir: string }, isOfJob: boolean): string =>
  text.replace(
    placeholder,
    (whole, name: string | undefined) =>
      name === undefined
        ? isOfJob && whole === "{{artifact}}" ? whole : whole.slice(1, -1)
        : name === "workdir"
        ? values.workdir
        : whole
  )

/** Replaces `{artifact}` in a text of a job; `{{artifact}}` becomes `{artifact}`. */
export const withArtifact = (text: string, artifact: string | undefined): string =>
  text.replace(
    /\{?\{artifact\}\}?/g,
    (whole) => whole === "{{artifact}}" ? "{artifact}" : whole.replace("{artifact}", () => artifact ?? "{artifact}")
  )

/** The texts of jobs, and of builds. */
const jobTexts = [["job", "argv"], ["job", "environment"]]
const buildTexts = [["build", "argv"], ["build", "environment"]]

/** Whether what is built is named in a text of the jobs. */
const namesArtifact = (value: unknown): boolean =>
  typeof value === "string"
    ? Array.from(value.matchAll(placeholder)).some(([, name]) => name === "artifact")
    : typeof value === "object" && value !== null && Object.values(value).some(namesArtifact)

/** An image that no job is started from, and an artifact that nothing makes. */
export const artifacts = (root: unknown): ReadonlyArray<Mistake> => {
  const build = valueAt(root, ["build"])
  const argv = valueAt(root, ["job", "argv"])
  const isNamed = jobTexts.some((path) => namesArtifact(valueAt(root, path)))
  if (valueAt(build, ["kind"]) === "container" && Array.isArray(argv) && !isNamed) {
    return [{
      path: ["job", "argv"],
      value: argv,
      message: "does not run the image that [build] makes",
      hint: "Name it {artifact}, such as [\"docker\", \"run\", \"--rm\", \"{artifact}\", ...]."
    }]
  }
  const named = [...jobTexts, ["seeds"]].find((path) => namesArtifact(valueAt(root, path)))
  return build === undefined && named !== undefined
    ? [{ path: named, message: "names {artifact}, and there is no [build] that makes one", hint: "Declare [build]." }]
    : []
}

/** Placeholders that mean nothing, in every text in which one may stand. */
export const unknownPlaceholders = (root: unknown): ReadonlyArray<Mistake> => {
  const mistakes: Array<Mistake> = []
  const look = (path: ReadonlyArray<string | number>, value: unknown): void => {
    const known: ReadonlyArray<string> = path[0] === "build" ? ["workdir"] : placeholders
    if (typeof value === "string") {
      for (const [, name] of value.matchAll(placeholder)) {
        if (name === undefined || known.includes(name)) continue
        mistakes.push({
          path,
          value,
          message: `has an unknown placeholder, {${name}}`,
          hint: didYouMean(name, known)?.replace(/"(\w+)"/, "{$1}") ??
            `To pass the text {${name}}, write {{${name}}}.`,
          allowed: known.map((each) => `{${each}}`).join(", ")
        })
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, item] of Object.entries(value)) look([...path, Array.isArray(value) ? Number(key) : key], item)
    }
  }
  for (const path of [...jobTexts, ...buildTexts]) {
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
