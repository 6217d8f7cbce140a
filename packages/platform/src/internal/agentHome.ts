/**
 * The private home of one call of an agent's program, and the environment that the program gets: a list of what is
 * handed on from this process, what the layer needs, and what the user adds. Nothing else: what else this
 * process has in its environment (other keys, tokens, settings of the same program) is not the agent's business.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"

/** Values of variables; a secret one is never shown. */
export type Environment = Readonly<Record<string, string | Redacted.Redacted>>

/** What is handed on from this process: how to find programs, how to speak, whom to trust. */
export const handedOn = [
  "PATH",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "USER",
  "LOGNAME",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "LD_LIBRARY_PATH"
] as const

/** Directories that exist for one call. */
export interface AgentHome {
  /** All of it. */
  readonly root: string
  /** `HOME`. */
  readonly home: string
  /** Where the program keeps its own settings and state. */
  readonly config: string
  /** `TMPDIR`. */
  readonly temporary: string
}

/** Makes a home that nobody else can read, and removes it when the scope closes. Its failure is its message. */
export const agentHome: Effect.Effect<AgentHome, string, Scope.Scope> = Effect.acquireRelease(
  Effect.tryPromise({
    try: async () => {
      const root = await fs.realpath(await fs.mkdtemp(Path.join(tmpdir(), "espalier-agent-")))
      const made = { root, home: Path.join(root, "h"), config: Path.join(root, "c"), temporary: Path.join(root, "t") }
      for (const directory of [made.home, made.config, made.temporary]) await fs.mkdir(directory)
      return made
    },
    catch: (error) => `no directory for it can be made in ${tmpdir()}: ${(error as Error).message}`
  }),
  ({ root }) =>
    Effect.tryPromise(() => fs.rm(root, { recursive: true, force: true, maxRetries: 3 })).pipe(
      Effect.catch(() => Effect.logWarning(`The directory of an agent's call could not be removed: ${root}`))
    )
)

/** The environment of a program. What comes later wins. */
export const agentEnvironment = (
  process: NodeJS.ProcessEnv,
  home: AgentHome,
  ...layers: ReadonlyArray<Environment>
): Record<string, string> => {
  const environment: Record<string, string> = {}
  for (const name of handedOn) {
    const value = process[name]
    if (value !== undefined) environment[name] = value
  }
  Object.assign(environment, { HOME: home.home, TMPDIR: home.temporary })
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer)) {
      environment[name] = Redacted.isRedacted(value) ? Redacted.value(value) : value
    }
  }
  return environment
}

/**
 * What of these variables cannot be handed to a program, in words that name the variable and never its value; undefined
 * where all can. The system would refuse it too, and show it.
 */
export const environmentRefused = (
  ...layers: ReadonlyArray<Environment>
): { readonly reason: "unauthorized" | "refused"; readonly detail: string } | undefined => {
  for (const [name, given] of Object.entries(Object.assign({}, ...layers) as Environment)) {
    if (name === "" || /[=\0]/.test(name)) {
      return {
        reason: "refused",
        detail: `${JSON.stringify(name)} in \`environment\` cannot be the name of a variable`
      }
    }
    const isSecret = Redacted.isRedacted(given)
    const value = isSecret ? Redacted.value(given) : given
    const reason = isSecret ? "unauthorized" : "refused"
    const what = `${isSecret ? "the secret" : "what is given"} for the variable ${name}`
    if (value.includes("\0")) {
      const where = value.indexOf("\0") === value.trimEnd().length - 1 ? "ends with" : "contains"
      return {
        reason,
        detail: `${what} ${where} a zero byte, which no variable can hold: look at where it was read from`
      }
    }
    // Of several lines, such as a certificate's, the last may well end.
    if (isSecret && /^[^\r\n]+[\r\n]+$/.test(value)) {
      return { reason, detail: `${what} ends with a line break: take it off where it was read` }
    }
  }
  return undefined
}

/** Names of the variables that hold a secret. */
export const secretNames = (environment: Environment): ReadonlyArray<string> =>
  Object.keys(environment).filter((name) => Redacted.isRedacted(environment[name]))

/** The secrets among variables. */
export const secretsAmong = (environment: Environment): ReadonlyArray<Redacted.Redacted> =>
  Object.values(environment).filter((value) => Redacted.isRedacted(value))
