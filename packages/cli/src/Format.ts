/**
 * Numbers for people.
 */

/** `950 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`. */
export const formatDuration = (millis: number): string => {
  if (millis < 1_000) return `${Math.round(millis)} ms`
  const seconds = millis / 1_000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`
}

/** Four significant digits and the unit. */
export const formatValue = (value: number, unit: string): string => {
  const digits = Math.abs(value) >= 1_000 ? String(Math.round(value)) : String(Number(value.toPrecision(4)))
  return unit === "" ? digits : `${digits} ${unit}`
}
