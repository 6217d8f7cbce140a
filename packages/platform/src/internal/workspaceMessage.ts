/** The text of a commit: made of message and body, and taken apart again. The same on every layer. */

/** What a commit can hold of a text: everything but NUL, which ends texts. */
const clean = (text: string): string => text.replaceAll("\0", "").toWellFormed()

/** Message, a blank line, body. */
export const messageText = (message: string, body: string | undefined): string => {
  const head = clean(message).replace(/\n+$/, "")
  const rest = clean(body ?? "").replace(/^\n+|\n+$/g, "")
  return rest === "" ? `${head}\n` : `${head}\n\n${rest}\n`
}

/** The first paragraph as one line, and what follows it. */
export const messageParts = (text: string): { readonly message: string; readonly body: string } => {
  const lines = text.replace(/^\n+|\n+$/g, "").split("\n")
  const end = lines.indexOf("")
  const [head, rest] = end < 0 ? [lines, []] : [lines.slice(0, end), lines.slice(end)]
  return { message: head.join(" "), body: rest.join("\n").replace(/^\n+/, "") }
}
