/** So many counted tokens are remembered; older ones fade. */
const rememberedTokens = 50_000
/** More than this is no matter of counting. */
const factorMax = 4

/**
 * How many tokens a vendor says for each that is counted here, learned from answers that came whole with the vendor's
 * word. Engines that send an event for each token stay at one; vendors that bundle them, or think out of sight, go
 * above. Never below one: what was counted was delivered.
 */
export class CountCalibration {
  #counted = 0
  #said = 0

  get factor(): number {
    return this.#counted === 0 ? 1 : Math.min(factorMax, Math.max(1, this.#said / this.#counted))
  }

  learn(counted: number, said: number): void {
    if (counted <= 0 || said <= 0) return
    const kept = Math.max(0, 1 - counted / rememberedTokens)
    this.#counted = this.#counted * kept + counted
    this.#said = this.#said * kept + said
  }
}
