/**
 * Text in a picture: how wide it is, how to shorten it, how to write it safely into SVG.
 *
 * The pictures are rasterised with DejaVu Sans and nothing else, in a process that may have no font
 * engine at hand when the layout is computed. So the advance widths of that font are kept here as a
 * table (thousandths of an em, rounded up, kerning ignored: kerning only ever narrows a line of this
 * font noticeably). A character outside the table counts as wide: a label may come out shorter than
 * it could be, never longer than its place.
 */

const widths = (table: string): ReadonlyArray<number> => table.trim().split(/\s+/).map(Number)

/** Advance widths of U+0020..U+007E in DejaVu Sans, in thousandths of an em. */
const REGULAR = widths(`
  318 401 460 838 637 951 780 275 391 391 500 838 318 361 318 337 637 637 637 637 637 637 637 637 637 637
  337 337 838 838 838 531 1000 685 687 699 771 632 576 775 752 295 295 656 558 863 749 788 604 788 695 635
  611 732 685 989 686 611 686 391 337 391 838 500 500 613 635 550 635 616 353 635 634 278 278 580 278 975
  634 612 635 635 412 521 393 634 592 818 592 592 525 637 337 637 838
`)

/** The same for DejaVu Sans Bold. */
const BOLD = widths(`
  349 457 521 838 696 1002 873 307 458 458 523 838 380 416 380 366 696 696 696 696 696 696 696 696 696 696
  400 400 838 838 838 581 1000 774 763 734 831 684 684 821 837 373 373 775 638 996 837 851 733 851 771 721
  683 813 774 1104 771 725 726 458 366 458 838 500 500 675 716 593 716 679 436 716 712 343 343 666 343
  1042 712 688 716 716 494 596 479 712 652 924 646 652 583 712 366 712 838
`)

/** The characters outside ASCII that the pictures themselves use. */
const OTHERS: Record<string, number> = {
  "…": 1000,
  "×": 838,
  "→": 838,
  "↑": 838,
  "↓": 838,
  "−": 838,
  "–": 500,
  "·": 380,
  "²": 438,
  µ: 736,
  "≥": 838,
  "±": 838
}

const WIDE = 1300

/** What a text looks like, as far as its width goes. */
export interface Face {
  /** in pixels */
  readonly size: number
  readonly bold?: boolean
}

/** The width of a line of text in pixels; never less than what the rasteriser draws. */
export const width = (text: string, face: Face): number => {
  const table = face.bold === true ? BOLD : REGULAR
  let total = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    total += table[code - 32] ?? OTHERS[character] ?? WIDE
  }
  return (total * face.size) / 1000
}

/** The text itself if it fits, else its beginning and an ellipsis; empty if not even that fits. */
export const fit = (text: string, face: Face, available: number): string => {
  if (width(text, face) <= available) return text
  const characters = Array.from(text)
  let low = 0
  let high = characters.length
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (width(`${characters.slice(0, middle).join("").trimEnd()}…`, face) <= available) low = middle
    else high = middle - 1
  }
  return low === 0 ? "" : `${characters.slice(0, low).join("").trimEnd()}…`
}

// Control characters are not allowed in XML 1.0 at all, not even escaped; direction marks and other
// invisible characters would let a name rearrange the text around it.
const UNPRINTABLE =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]/g

/** One printable line: white space collapsed, and what cannot or should not be shown replaced. */
export const printable = (text: string): string =>
  text.toWellFormed().replace(/\s+/g, " ").replace(UNPRINTABLE, "\ufffd").trim()

/** Text as it may stand between tags and inside quoted attributes of an SVG file. */
export const escapeXml = (text: string): string =>
  printable(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\"", "&quot;")
    .replaceAll("'", "&#39;")
