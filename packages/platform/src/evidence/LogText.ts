/** A job's output as lines and as a tail, in bounded memory, whatever the job printed. Pure. */

/** One line, without its end. `cut`: it was longer, and only its beginning is here. */
export interface Line {
  readonly text: string
  readonly cut: boolean
}

const lineFeed = 10
const carriageReturn = 13

const decode = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8")

/**
 * Takes bytes as they come and gives lines. A carriage return ends a line too: progress bars use it. Of a line longer
 * than `limit` bytes only the beginning is kept.
 */
export class LineSplitter {
  private readonly limit: number
  private readonly open: Array<Uint8Array> = []
  private openBytes = 0
  private cut = false

  constructor(limit: number) {
    this.limit = limit
  }

  push(chunk: Uint8Array): Array<Line> {
    const lines: Array<Line> = []
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte !== lineFeed && byte !== carriageReturn) continue
      if (this.openBytes === 0 && at - start <= this.limit) {
        // Nearly every line: whole in this chunk, and short.
        if (at > start) lines.push({ text: decode(chunk, start, at), cut: false })
      } else {
        this.keep(chunk.subarray(start, at))
        this.close(lines)
      }
      start = at + 1
    }
    this.keep(chunk.subarray(start))
    return lines
  }

  /** The last line, if no line end follows it. */
  end(): Array<Line> {
    const lines: Array<Line> = []
    this.close(lines)
    return lines
  }

  private keep(part: Uint8Array): void {
    if (part.length === 0) return
    const room = this.limit - this.openBytes
    if (part.length > room) this.cut = true
    if (room <= 0) return
    // A copy: a view would keep the whole chunk alive for a few bytes of it.
    const kept = part.slice(0, room)
    this.open.push(kept)
    this.openBytes += kept.length
  }

  private close(lines: Array<Line>): void {
    if (this.openBytes > 0) lines.push({ text: Buffer.concat(this.open).toString("utf8"), cut: this.cut })
    this.open.length = 0
    this.openBytes = 0
    this.cut = false
  }
}

/** Keeps the last bytes of what it is given. */
export class Tail {
  /** How many bytes there were in all. */
  total = 0
  private readonly limit: number
  private kept: Uint8Array = new Uint8Array()

  constructor(limit: number) {
    this.limit = limit
  }

  push(chunk: Uint8Array): void {
    this.total += chunk.length
    this.kept = chunk.length >= this.limit
      ? chunk.slice(-this.limit)
      : Buffer.concat([this.kept.subarray(Math.max(0, this.kept.length + chunk.length - this.limit)), chunk])
  }

  /** The text kept; it begins with a whole line where one begins within it. */
  text(): string {
    if (this.total <= this.limit) return Buffer.from(this.kept).toString("utf8")
    const lineEnd = this.kept.indexOf(lineFeed)
    const from = lineEnd >= 0 && lineEnd < this.kept.length - 1 ? lineEnd + 1 : firstCharacter(this.kept)
    return Buffer.from(this.kept.subarray(from)).toString("utf8")
  }
}

/** Where the first whole UTF-8 character begins. */
const firstCharacter = (bytes: Uint8Array): number => {
  let at = 0
  while (at < 4 && at < bytes.length && (bytes[at]! & 0xc0) === 0x80) at++
  return at
}

/** The ends of both outputs under headings. An output that is empty has none. */
export const logTail = (stdout: Tail, stderr: Tail): string =>
  [["stdout", stdout] as const, ["stderr", stderr] as const].filter(([, tail]) => tail.total > 0).map(
    ([name, tail]) => {
      const text = tail.text()
      const shown = Buffer.byteLength(text)
      const heading = shown < tail.total ? `[${name}: last ${shown} of ${tail.total} bytes]` : `[${name}]`
      return `${heading}\n${text}${text.endsWith("\n") ? "" : "\n"}`
    }
  ).join("")
