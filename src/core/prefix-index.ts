import type { EndpointState } from './endpoint-state.ts'
import { FlatMap } from './flat-map.ts'
import type { PromptPrefix } from './request.ts'

/** A place that likely has the beginning of a prompt in its cache. */
export interface Warmth {
  readonly state: EndpointState
  readonly tokens: number
}

/** Blocks that are remembered, at least, and at most twice as many: what two hours of Mooncake's clients make. */
const blocksRemembered = 1 << 17
/** A beginning that more places hold than this is as good as everywhere. */
const holdersMax = 32
/** So many places are found for one prompt, those that hold the most of it. */
const warmMax = 32

/**
 * What each place has likely in its cache: the blocks of the prompts that it was given last. Nobody tells us; a place
 * that has forgotten costs a prompt read once more. Old blocks go a generation at a time, so that no list is kept of
 * their use.
 */
export class PrefixIndex {
  #young = new FlatMap<number, EndpointState[]>()
  #old = new FlatMap<number, EndpointState[]>()

  /** A prompt that begins so goes to this place, which will hold it. */
  add({ hashes }: PromptPrefix, state: EndpointState): void {
    for (let block = 0; block < hashes.length; block++) {
      const hash = hashes[block] as number
      const holders = this.#holders(hash)
      if (holders === undefined) this.#remember(hash, [state])
      else if (!holders.includes(state)) {
        if (holders.length === holdersMax) holders.shift()
        holders.push(state)
      }
    }
  }

  /** Who holds how much of such a prompt; first who holds the most. */
  warmest({ hashes, blockTokens }: PromptPrefix): readonly Warmth[] {
    const found: Warmth[] = []
    // Who holds a block holds those before it: the last block that anybody holds is found by halving.
    let known = 0
    let unknown = hashes.length + 1
    while (unknown - known > 1) {
      const middle = (known + unknown) >> 1
      if (this.#holders(hashes[middle - 1] as number) === undefined) unknown = middle
      else known = middle
    }
    for (let blocks = known; blocks > 0 && found.length < warmMax; blocks--)
      for (const state of this.#holders(hashes[blocks - 1] as number) ?? [])
        if (!found.some((warmth) => warmth.state === state)) found.push({ state, tokens: blocks * blockTokens })
    return found
  }

  /** How much of such a prompt this place holds, in tokens. */
  tokensAt({ hashes, blockTokens }: PromptPrefix, state: EndpointState): number {
    let blocks = 0
    while (blocks < hashes.length && this.#holders(hashes[blocks] as number)?.includes(state)) blocks++
    return blocks * blockTokens
  }

  #holders(hash: number): EndpointState[] | undefined {
    const young = this.#young.get(hash)
    if (young !== undefined) return young
    const old = this.#old.get(hash)
    if (old !== undefined) this.#remember(hash, old)
    return old
  }

  #remember(hash: number, holders: EndpointState[]): void {
    if (this.#young.size >= blocksRemembered) {
      this.#old = this.#young
      this.#young = new FlatMap()
    }
    this.#young.set(hash, holders)
  }
}
