/** Tells which code and which parameters ran. */

import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"

/** SHA-256 over the names and contents of the source files, in order of their names, and of the parameters. */
export const codeHash = (): string => {
  const source = new URL("./", import.meta.url)
  const hash = createHash("sha256")
  for (const name of readdirSync(source).filter((name) => name.endsWith(".ts")).sort()) {
    hash.update(`${name}\n`).update(readFileSync(new URL(name, source)))
  }
  return hash.update("parameters.json\n").update(readFileSync(new URL("../parameters.json", source))).digest("hex")
}
