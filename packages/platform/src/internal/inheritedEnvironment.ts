/**
 * The environment of this process as its jobs and builds inherit it. What is meant for the engine alone (the key of a coding
 * agent) is withheld: a program that prints its environment would put it into logs, reports and the journal.
 */

/** This process' environment without the variables of these names. */
export const inherited = (withheld: ReadonlyArray<string> = []): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !withheld.includes(name)))
