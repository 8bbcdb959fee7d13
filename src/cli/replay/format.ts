/** A time of any size as people read it: `0.83 ms`, `52 ms`, `1.4 s`, `12 s`. */
export function duration(ms: number): string {
  if (ms < 10) return `${Number(ms.toPrecision(2))} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  return `${Number((ms / 1_000).toPrecision(ms < 99_950 ? 3 : 4))} s`
}

/** `1234567` as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

export function percentage(share: number, digits = 2): string {
  return `${(share * 100).toFixed(digits)}%`
}
