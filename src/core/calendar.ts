/** Counts calendar months (UTC). Remembers the one it was asked for last, since it is asked for every request. */
export class Calendar {
  #month = 0
  #beginsMs = 0
  #endsMs = 0

  /** A number that is one larger for each month; `wallMs` since 1970. */
  monthOf(wallMs: number): number {
    if (wallMs < this.#beginsMs || wallMs >= this.#endsMs) {
      const date = new Date(wallMs)
      const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
      this.#month = year * 12 + month
      this.#beginsMs = Date.UTC(year, month, 1)
      this.#endsMs = Date.UTC(year, month + 1, 1)
    }
    return this.#month
  }
}
