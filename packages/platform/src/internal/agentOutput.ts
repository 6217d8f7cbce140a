/**
 * Cuts what a program prints into lines, in bounded memory: of a line that is too long only the beginning is kept, and
 * that it was cut is told.
 */

/** A line without its end. */
export interface Line {
  readonly text: string
  /** False where the line was longer than is kept: `text` is then its beginning. */
  readonly whole: boolean
}

/** Takes bytes as they come. `push` gives the lines that they complete, `flush` the last one where it has no end. */
export interface LineCutter {
  readonly push: (chunk: Buffer) => ReadonlyArray<Line>
  readonly flush: () => ReadonlyArray<Line>
}

/** How much of a line that is too long is kept: enough to see what it was. */
const keptOfLong = 4096
const newline = 0x0a

/** How long a line may be that holds an answer: JSON can make six bytes of a character, and there is more in a line. */
export const lineBytesFor = (answerCharacters = 1_000_000): number => 8 * answerCharacters + 1_000_000

/** Lines of at most this many bytes. */
export const lineCutter = (longestBytes: number): LineCutter => {
  let parts: Array<Buffer> = []
  let length = 0

  const add = (part: Buffer): void => {
    length += part.length
    if (length <= longestBytes) {
      parts.push(part)
    } else if (parts.length !== 1 || parts[0]!.length > keptOfLong) {
      // Copied, so that the large buffer it was cut from is not held.
      parts = [Buffer.from(Buffer.concat([...parts, part]).subarray(0, keptOfLong))]
    }
  }
  const take = (): Line => {
    const line = { text: Buffer.concat(parts).toString("utf8"), whole: length <= longestBytes }
    parts = []
    length = 0
    return line
  }
  return {
    push: (chunk) => {
      const lines: Array<Line> = []
      let start = 0
      for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, start)) {
        add(chunk.subarray(start, at))
        lines.push(take())
        start = at + 1
      }
      if (start < chunk.length) add(chunk.subarray(start))
      return lines
    },
    flush: () => length === 0 ? [] : [take()]
  }
}
