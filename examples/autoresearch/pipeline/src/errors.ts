/** Something that the caller can put right: shown as its message alone, without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}
