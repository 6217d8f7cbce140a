/**
 * The address of a provider that somebody gave. It gets into errors, records and argument lists, so nothing secret may stand
 * in it: a name and a password are refused, and what is wrong is told without the address itself.
 */

/** What is wrong with it, in words that do not repeat it; undefined where nothing is. */
export const addressRefused = (baseUrl: string | undefined): string | undefined => {
  if (baseUrl === undefined) return undefined
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^https?:\/\/[^\s/]/i.test(baseUrl)) {
    return "`baseUrl` is no address. Give one that begins with http:// or https://"
  }
  return url.username === "" && url.password === ""
    ? undefined
    : "`baseUrl` holds a name or a password, which would be shown in errors and records. Take it out; a key is given as `apiKey`"
}
