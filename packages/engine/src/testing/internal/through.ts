/**
 * A handle (a run, a job, a selection) whose every effect is carried out by somebody else: in a process.
 */
import { Effect, Stream } from "effect"

/** Carries an effect out somewhere else. */
export type Guard = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** Handles are plain objects that hold effects; everything else that comes out of one is data. */
const isHandle = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype &&
  Object.values(value).some((each) => Effect.isEffect(each) || Stream.isStream(each))

/**
 * The same handle, with every effect and every pull of a stream in it carried out by `guard`, and so on for the handles that come
 * out of it. Written once for all handles, so that an operation that is added to `Run` cannot be forgotten here.
 */
export const through = <A extends object>(guard: Guard, handle: A): A => {
  const wrap = (value: unknown): unknown => {
    if (Effect.isEffect(value)) return Effect.map(guard(value as Effect.Effect<unknown, unknown>), handles)
    if (Stream.isStream(value)) return Stream.transformPull(value, (pull) => Effect.succeed(guard(pull)))
    if (typeof value === "function") return (...args: ReadonlyArray<unknown>) => handles(wrap(value(...args)))
    return value
  }
  const handles = (value: unknown): unknown => isHandle(value) ? all(value) : value
  const all = (each: object): object =>
    Object.fromEntries(Object.entries(each).map(([name, value]) => [name, wrap(value)]))
  return all(handle) as A
}
