/** A wait as OpenAI writes it in `x-ratelimit-reset-*`: `1s`, `6m0s`, `820ms`. */
export function formatResetDuration(ms: number): string {
  const whole = Math.max(0, Math.ceil(ms))
  if (whole < 1_000) return `${whole}ms`
  const seconds = Math.ceil(whole / 1_000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes}m${seconds % 60}s` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds % 60}s`
}
