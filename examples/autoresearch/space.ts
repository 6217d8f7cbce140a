/** The space that `espalier.toml` declares around the pipeline: read, drawn from, and applied to a copy. */

import { cp, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { parse } from "smol-toml"
import { randomNumbers } from "./pipeline/src/order.ts"

export type Value = string | number | boolean

export interface Parameter {
  readonly name: string
  readonly values: ReadonlyArray<Value>
  readonly baseline: Value
}

export interface Edit {
  readonly name: string
  readonly file: string
  readonly search: string
  readonly replace: string
  readonly conflicts: ReadonlyArray<string>
}

export interface Space {
  readonly argv: ReadonlyArray<string>
  readonly timeoutMillis: number
  readonly parametersFile: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly edits: ReadonlyArray<Edit>
}

/** One point of the space: a value for every parameter, and the names of edits, sorted. */
export interface Configuration {
  readonly parameters: Readonly<Record<string, Value>>
  readonly edits: ReadonlyArray<string>
}

interface Declared {
  readonly source: { readonly parametersFile: string }
  readonly job: { readonly argv: ReadonlyArray<string>; readonly timeout: string }
  readonly parameters: Readonly<Record<string, { readonly values: ReadonlyArray<Value>; readonly baseline: Value }>>
  readonly edits: ReadonlyArray<Omit<Edit, "conflicts"> & { readonly conflicts?: ReadonlyArray<string> }>
}

/** Reads the space from an `espalier.toml` in which every parameter lists its values. */
export const readSpace = async (file: string): Promise<Space> => {
  const { edits, job, parameters, source } = parse(await readFile(file, "utf8")) as unknown as Declared
  const seconds = /^(\d+) seconds$/.exec(job.timeout)
  if (seconds === null) throw new Error(`${file}: job.timeout is ${job.timeout}, a sweep reads only "<n> seconds"`)
  return {
    argv: job.argv,
    timeoutMillis: Number(seconds[1]) * 1000,
    parametersFile: source.parametersFile,
    parameters: Object.entries(parameters).map(([name, { baseline, values }]) => ({ name, values, baseline })),
    edits: edits.map((edit) => ({ ...edit, conflicts: edit.conflicts ?? [] }))
  }
}

/** Whether two edits cannot be made together; one of the two has to declare it. */
export const areInConflict = (a: Edit, b: Edit): boolean => a.conflicts.includes(b.name) || b.conflicts.includes(a.name)

/** All sets of edits without a conflict, the empty one among them, each sorted by name. */
export const editSets = (edits: ReadonlyArray<Edit>): Array<ReadonlyArray<string>> => {
  const sorted = [...edits].sort((a, b) => a.name < b.name ? -1 : 1)
  return sorted
    .reduce<Array<ReadonlyArray<Edit>>>(
      (sets, edit) => [
        ...sets,
        ...sets.filter((set) => !set.some((other) => areInConflict(edit, other))).map((set) => [...set, edit])
      ],
      [[]]
    )
    .map((set) => set.map((edit) => edit.name))
}

/** How many configurations the space has. */
export const sizeOf = ({ edits, parameters }: Space): number =>
  parameters.reduce((product, { values }) => product * values.length, editSets(edits).length)

/** Configurations drawn evenly from the whole space, no two alike: a seed gives the same ones in the same order. */
export const sample = (space: Space, count: number, seed: number): Array<Configuration> => {
  if (count > sizeOf(space)) throw new Error(`${count} configurations are wanted, there are only ${sizeOf(space)}`)
  const random = randomNumbers(seed)
  const pick = <A>(items: ReadonlyArray<A>): A => items[random() % items.length]!
  const sets = editSets(space.edits)
  const drawn = new Map<string, Configuration>()
  while (drawn.size < count) {
    const configuration = {
      parameters: Object.fromEntries(space.parameters.map(({ name, values }) => [name, pick(values)])),
      edits: pick(sets)
    }
    drawn.set(JSON.stringify(configuration), configuration)
  }
  return [...drawn.values()]
}

/** A source with an edit made; the text that is searched must be there exactly once. */
export const applyEdit = (source: string, edit: Edit): string => {
  const parts = source.split(edit.search)
  if (parts.length !== 2) {
    throw new Error(`edit ${edit.name}: its search text is ${parts.length - 1} times in ${edit.file}, it must be once`)
  }
  return parts.join(edit.replace)
}

/** Copies the pipeline into a folder, with a configuration's parameters and edits. */
export const materialise = async (
  pipeline: string,
  directory: string,
  space: Space,
  configuration: Configuration
): Promise<void> => {
  await cp(pipeline, directory, { recursive: true })
  const parameters = JSON.stringify(configuration.parameters, null, 2)
  await writeFile(join(directory, space.parametersFile), `${parameters}\n`)
  for (const name of configuration.edits) {
    const edit = space.edits.find((edit) => edit.name === name)
    if (edit === undefined) throw new Error(`there is no edit ${name}`)
    const file = join(directory, edit.file)
    await writeFile(file, applyEdit(await readFile(file, "utf8"), edit))
  }
}
