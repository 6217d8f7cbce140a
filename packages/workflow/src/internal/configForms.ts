/**
 * The forms of single values in `espalier.toml`: names, paths, durations, sizes, commands; and defaults.
 */
import { Duration, Effect, Option, Schema, SchemaGetter } from "effect"

/** A value for a key that is absent; it appears again when the configuration is encoded. */
export const or = <S extends Schema.Constraint>(fallback: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(fallback))

/** The kinds of a section; the first is what a section is that does not say. */
export const kindOf = <const K extends readonly [string, ...ReadonlyArray<string>]>(kinds: K) =>
  Schema.Literals(kinds).pipe(or<Schema.Literals<K>>(kinds[0]))

export const wholeNumber = (minimum: number, maximum: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Begins with a letter: it becomes part of a branch's and a folder's name. */
export const PlainName = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9_-]{0,59}$/))

export const DeclaredName = Schema.String.check(Schema.isPattern(/^[A-Za-z][A-Za-z0-9._-]*$/))

/** Only a number and a unit: "Infinity" is a limit that someone forgot to choose. */
const isDuration = (text: string): boolean => {
  const duration = /^\d/.test(text) ? Duration.fromInput(text as Duration.Input) : Option.none()
  return Option.isSome(duration) && Duration.toMillis(duration.value) >= 1
}

/** "60 seconds". A plain number is refused: nobody can see its unit. */
export const DurationText = Schema.String.check(Schema.makeFilter(isDuration)).pipe(Schema.decodeTo(Schema.Duration, {
  decode: SchemaGetter.transform((text) => Duration.fromInputUnsafe(text as Duration.Input)),
  encode: SchemaGetter.transform((duration) => `${Duration.toMillis(duration)} millis`)
}))

/** From the largest on, those that count in powers of two first. */
const units: ReadonlyArray<readonly [name: string, bytes: number]> = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3]
]

const bytesOf = (text: string): number => {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?(\w+)$/.exec(text) ?? []
  const [, bytes = 0] = units.find(([name]) => name === unit) ?? []
  return Math.ceil(Number(number) * bytes)
}

const sizeOf = (bytes: number): string => {
  const [unit, size] = units.find(([, each]) => bytes % each === 0) ?? ["kB", 1e3]
  return `${bytes / size} ${unit}`
}

/** "16 GiB", in bytes. */
export const SizeText = Schema.String.check(Schema.makeFilter((text: string) => bytesOf(text) > 0)).pipe(
  Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transform(bytesOf),
    encode: SchemaGetter.transform(sizeOf)
  })
)

/** Below the tree, whatever the operating system: no root, no drive, no way up, nothing of git's own. */
const isInside = (path: string): boolean =>
  path !== "" && !/[\\\0]|^\/|^[A-Za-z]:/.test(path) &&
  path.split("/").every((part) => part !== ".." && part !== "" && part.toLowerCase() !== ".git")

export const InsidePath = Schema.String.check(Schema.makeFilter((path: string) => isInside(path.replace(/\/$/, ""))))

export const FilePath = Schema.String.check(
  Schema.makeFilter((path: string) => isInside(path) && !path.split("/").includes("."))
)

export const Argv = Schema.TupleWithRest(Schema.Tuple([Schema.NonEmptyString]), [Schema.String])

export const Environment = Schema.Record(Schema.String, Schema.String)

/** A text that can stand behind a `--name=` of somebody's program. */
export const PlainText = Schema.NonEmptyString.check(Schema.isPattern(/^[^\u0000-\u001f\u007f]+$/))

/** A path, absolute or from the file on. What a shell would make of `~` is not known here. */
export const PathText = PlainText.check(Schema.isPattern(/^(?!~)/))

/** The name of a variable, in capitals as such names are: a secret that somebody wrote here by mistake is hardly one. */
export const VariableName = Schema.String.check(Schema.isPattern(/^[A-Z_][A-Z0-9_]{0,99}$/))
