/** Something that wants to be looked at as time goes on. Gives false when it is over. */
export type Turn = (nowMs: number) => boolean

const tickMs = 4

/** One timer for everything that runs: a timer for each token of each stream would be most of the work. */
export class Wheel {
  readonly #turns = new Set<Turn>()
  #timer: NodeJS.Timeout | undefined

  add(turn: Turn): void {
    this.#turns.add(turn)
    this.#timer ??= setInterval(() => this.#tick(), tickMs)
  }

  remove(turn: Turn): void {
    this.#turns.delete(turn)
  }

  #tick(): void {
    const nowMs = performance.now()
    for (const turn of this.#turns) if (!turn(nowMs)) this.#turns.delete(turn)
    if (this.#turns.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
