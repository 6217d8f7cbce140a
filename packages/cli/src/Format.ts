/**
 * Numbers and texts for people.
 */
import { stripVTControlCharacters } from "node:util"

/** `950 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`. */
export const formatDuration = (millis: number): string => {
  const whole = Math.round(millis)
  if (whole < 1_000) return `${whole} ms`
  // By what is shown after rounding, so that no "60.0 s" and no "60 min" appears.
  const tenths = Math.round(millis / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const seconds = Math.round(millis / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`
  const minutes = Math.round(millis / 60_000)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`
}

/** Four significant digits and the unit. */
export const formatValue = (value: number, unit: string): string => {
  const digits = Math.abs(value) >= 1_000 ? String(Math.round(value)) : String(Number(value.toPrecision(4)))
  return unit === "" ? digits : `${digits} ${unit}`
}

/** A gain as `+4.2 %`; a gain that is not known as `?`. */
export const formatGain = (gain: number | null): string =>
  gain === null ? "?" : `${gain >= 0 ? "+" : ""}${(gain * 100).toFixed(1)} %`

/** Without what would steer a terminal: what a job printed may be quoted anywhere. Line ends stay. */
export const plainText = (text: string): string =>
  stripVTControlCharacters(text).replace(/\r\n/g, "\n").replace(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/g,
    " "
  )

/** The same on one line. */
export const plainLine = (text: string): string => plainText(text).replace(/\s*\n\s*/g, " ")

const isWide =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u
const isNarrow = /[\p{Mn}\p{Me}\p{Cf}]/u

/** A line cut to so many columns of a terminal, in which an ideograph takes two; what is cut ends in `…`. */
export const clipLine = (line: string, columns: number): string => {
  let width = 0
  let kept = ""
  let whole = ""
  for (const character of line) {
    width += isWide.test(character) ? 2 : isNarrow.test(character) ? 0 : 1
    if (width > columns) return `${kept}…`
    whole += character
    if (width < columns) kept = whole
  }
  return whole
}

/** A path or word as a shell takes it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
