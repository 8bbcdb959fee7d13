/** Tokens of one block of a prompt, as in Mooncake's traces. */
export const blockTokens = 512

/** The blocks of prompts that one replica holds, the least recently used of them the first to go. */
export class PrefixCache {
  readonly #blocksMax: number
  /** In the order of their last use. */
  readonly #blocks = new Set<number>()

  constructor(tokensMax: number) {
    this.#blocksMax = Math.floor(tokensMax / blockTokens)
  }

  /** Takes a prompt in. Gives how many tokens of its beginning were there already. */
  use(blocks: readonly number[]): number {
    let known = 0
    while (known < blocks.length && this.#blocks.has(blocks[known] as number)) known++
    // From the last to the first, so that a beginning, which others may share, goes last.
    for (let i = blocks.length - 1; i >= 0; i--) {
      this.#blocks.delete(blocks[i] as number)
      this.#blocks.add(blocks[i] as number)
    }
    for (const block of this.#blocks) {
      if (this.#blocks.size <= this.#blocksMax) break
      this.#blocks.delete(block)
    }
    return known * blockTokens
  }

  clear(): void {
    this.#blocks.clear()
  }
}
