/** Wall time for people, in UTC, such as `2026-11-24 21:31`. */
export function minuteOf(wallMs: number): string {
  return isoOf(wallMs).slice(0, 16).replace('T', ' ')
}

/** ISO 8601 in UTC, to the millisecond. */
export function isoOf(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
