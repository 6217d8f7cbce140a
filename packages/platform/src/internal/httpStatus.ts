/** What a status of HTTP means that a provider of models answers with: to its programs and to its APIs the same. */

/** `none` is no failure that a provider can mean: no status, or one of success. */
export type StatusMeaning =
  | "account-limit"
  | "overloaded"
  | "unauthorized"
  | "out-of-credit"
  | "too-long"
  | "unreachable"
  | "refused"
  | "none"

const exact: Readonly<Record<number, StatusMeaning>> = {
  401: "unauthorized",
  402: "out-of-credit",
  403: "unauthorized",
  // The same request may do at another time: it took too long, met another one, or came too early.
  408: "unreachable",
  409: "unreachable",
  413: "too-long",
  425: "unreachable",
  429: "account-limit",
  // Of the server's own errors those that are no fault of it: it has too much to do.
  503: "overloaded",
  529: "overloaded"
}

/** The general meaning of a status. A redirect is refused: a key would go along. */
export const meaningOf = (status: number): StatusMeaning =>
  exact[status] ?? (status >= 500 ? "unreachable" : status >= 300 ? "refused" : "none")
