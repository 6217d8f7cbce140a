/** What a program prints as lines and as a tail, in bounded memory, whatever it prints. Pure. */

/** One line, without its end. `cut`: it was longer, and only its beginning is here. */
export interface Line {
  readonly text: string
  readonly cut: boolean
}

const lineFeed = 10
const carriageReturn = 13

const decode = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8")

/** What moves a cursor, colours, sets a title or a link: by its first characters, and with its end. */
const terminalSequence = new RegExp(
  [
    String.raw`(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]`,
    String.raw`\u001b\][^\u0007\u001b\n]{0,4096}(?:\u0007|\u001b\\)`,
    String.raw`\u001b[PX^_][^\u001b\n]{0,4096}\u001b\\`,
    String.raw`\u001b[ -/]*[0-~]`
  ].join("|"),
  "g"
)
/**
 * All control characters, but for tabs and line feeds, with those that turn the direction of text, and those that some take
 * for the end of a line (U+2028 and U+2029).
 */
export const controlCharacters =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const visible = (character: string): string => {
  const code = character.charCodeAt(0)
  if (code < 32) return String.fromCharCode(0x2400 + code)
  return code === 127 ? "\u2421" : "\ufffd"
}

/**
 * Text that a terminal, a page or a prompt can show as it is: terminal sequences are left out, and other control
 * characters are replaced by pictures of them.
 */
export const harmless = (text: string): string =>
  text.search(controlCharacters) >= 0
    ? text.replaceAll(terminalSequence, "").replaceAll(controlCharacters, visible)
    : text

/**
 * Takes bytes as they come and gives lines. Of a line longer than `limit` bytes only the beginning is kept.
 *
 * A carriage return ends a line too, for progress bars use it, and lines with nothing in them are left out. `exact`: neither
 * of the two, for what programs tell each other. `beginning`: a character of one byte; whole lines that begin otherwise are
 * left out, and cost no decoding.
 */
export class LineSplitter {
  private readonly limit: number
  private readonly exact: boolean
  private readonly beginning: number | undefined
  private readonly open: Array<Uint8Array> = []
  private openBytes = 0
  private cut = false

  constructor(limit: number, options: { readonly exact?: boolean; readonly beginning?: string | undefined } = {}) {
    this.limit = limit
    this.exact = options.exact === true
    this.beginning = options.beginning?.charCodeAt(0)
  }

  push(chunk: Uint8Array): Array<Line> {
    const lines: Array<Line> = []
    const find = (byte: number, from: number): number => {
      const at = chunk.indexOf(byte, from)
      return at < 0 ? chunk.length : at
    }
    let start = 0
    // Searched natively, and each sort only when the one before is passed: most output has no carriage return at all.
    let feed = find(lineFeed, 0)
    let carriage = this.exact ? chunk.length : find(carriageReturn, 0)
    for (let at = Math.min(feed, carriage); at < chunk.length; at = Math.min(feed, carriage)) {
      if (this.openBytes === 0 && !this.cut && at - start <= this.limit) {
        // Nearly every line: whole in this chunk, and short.
        if ((at > start || this.exact) && this.isWanted(chunk[start])) {
          lines.push({ text: decode(chunk, start, at), cut: false })
        }
      } else {
        this.keep(chunk.subarray(start, at))
        this.close(lines)
      }
      start = at + 1
      if (at === feed) feed = find(lineFeed, start)
      else carriage = find(carriageReturn, start)
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

  private isWanted(first: number | undefined): boolean {
    return this.beginning === undefined || first === this.beginning
  }

  private keep(part: Uint8Array): void {
    if (part.length === 0) return
    const room = this.limit - this.openBytes
    if (part.length > room) this.cut = true
    if (room <= 0) return
    // A copy: a view would keep the whole chunk alive for a few bytes of it.
    const kept = new Uint8Array(part.subarray(0, room))
    this.open.push(kept)
    this.openBytes += kept.length
  }

  private close(lines: Array<Line>): void {
    if (this.openBytes > 0 && (this.cut || this.isWanted(this.open[0]?.[0]))) {
      lines.push({ text: Buffer.concat(this.open).toString("utf8"), cut: this.cut })
    }
    this.open.length = 0
    this.openBytes = 0
    this.cut = false
  }
}

/** The end of an output. `bytes`: how many of its bytes that is. */
export interface End {
  readonly text: string
  readonly bytes: number
}

/** Keeps the last bytes, and of them the last lines, of what it is given. */
export class Tail {
  /** How many bytes there were in all. */
  total = 0
  private readonly limit: number
  private readonly lineLimit: number
  private kept: Uint8Array = new Uint8Array()

  constructor(limit: number, lineLimit = Infinity) {
    this.limit = limit
    this.lineLimit = lineLimit
  }

  push(chunk: Uint8Array): void {
    this.total += chunk.length
    this.kept = chunk.length >= this.limit
      ? chunk.slice(chunk.length - this.limit)
      : Buffer.concat([this.kept.subarray(Math.max(0, this.kept.length + chunk.length - this.limit)), chunk])
  }

  /** What was kept, harmless to show; it begins with a whole line where one begins within it. */
  end(): End {
    const from = Math.max(this.firstLine(), this.firstOfLast())
    const bytes = this.kept.length - from
    const text = harmless(overwritten(Buffer.from(this.kept.subarray(from)).toString("utf8")))
    // Pictures of control characters take more bytes than the characters.
    const shown = Buffer.from(text)
    if (shown.length <= this.limit) return { text, bytes }
    const last = shown.subarray(shown.length - this.limit)
    return { text: last.subarray(firstCharacter(last)).toString("utf8"), bytes }
  }

  private firstLine(): number {
    if (this.total <= this.limit) return 0
    const lineEnd = this.kept.indexOf(lineFeed)
    return lineEnd >= 0 && lineEnd < this.kept.length - 1 ? lineEnd + 1 : firstCharacter(this.kept)
  }

  /** Where the last lines begin. */
  private firstOfLast(): number {
    let at = this.kept.at(-1) === lineFeed ? this.kept.length - 1 : this.kept.length
    for (let lines = 0; lines < this.lineLimit; lines++) {
      at = at <= 0 ? -1 : this.kept.lastIndexOf(lineFeed, at - 1)
      if (at < 0) return 0
    }
    return at + 1
  }
}

/** As a terminal shows it: what a carriage return was printed over is gone. */
const overwritten = (text: string): string =>
  text.includes("\r")
    ? text.split("\n").map((line) => line.split("\r").findLast((part) => part !== "") ?? "").join("\n")
    : text

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
      const { bytes, text } = tail.end()
      const heading = bytes < tail.total ? `[${name}: last ${bytes} of ${tail.total} bytes]` : `[${name}]`
      return `${heading}\n${text}${text.endsWith("\n") ? "" : "\n"}`
    }
  ).join("")
