/**
 * Names of branches and directories for ids that may be any text.
 *
 * An id that is plain already stays as it is. Any other becomes a readable slug, a `+`, and a part
 * of its hash. A plain id has no `+`, so the two sorts never meet, and different ids get different
 * names also where the file system folds upper and lower case (capitals are not plain).
 */
import { createHash } from "node:crypto"

const plain = /^[a-z0-9_](?:[a-z0-9_-]|\.(?=[a-z0-9_-]))*$/

/** A name that is one valid component of a git ref and of a path, different for different ids. */
export const safeName = (id: string): string => {
  if (id.length <= 80 && plain.test(id) && !id.endsWith(".lock")) return id
  const slug = id
    .normalize("NFKD")
    .replaceAll(/\p{M}+/gu, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, "-")
    .slice(0, 40)
    .replaceAll(/^-+|-+$/g, "")
  // Hashed as UTF-16, because UTF-8 maps every lone surrogate to one and the same character.
  const hash = createHash("sha256").update(Buffer.from(id, "utf16le")).digest("hex").slice(0, 16)
  return slug === "" ? `x+${hash}` : `${slug}+${hash}`
}

/** The branch of an experiment, below `refs/heads/`. */
export const branchName = (run: string, node: string): string => `espalier/${safeName(run)}/${safeName(node)}`
