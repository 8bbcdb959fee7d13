/**
 * Also a prompt that is known to its end takes as long as reading so many tokens, and with so many in flight reading
 * takes twice as long: the medians of the fits to InferenceMAX's measurements (`latency-table.json`).
 */
const tokensMin = 3_000
const inFlightToHalve = 16
/** What was read is forgotten by half after this long: the longest pause in a conversation that a cache outlasts. */
const memoryMs = 600_000
/** Differences of less than a few prompts say nothing, or who began to read first would never be given more. */
const tokensOfNoMatter = 100_000
/** The weight of one more sample of a place's speed. */
const weight = 1 / 64
/** Speeds this near to each other are taken for equal: more of the difference comes from what was asked than from who. */
const sameWithin = 1.5

/** What a place, or all of a model together, has read of prompts lately, and how fast. */
export class Reading {
  #msPerToken = 0
  #tokens = 0
  #atMs = 0

  /** Tokens of prompts read lately: what caches held not counted, what is longer ago counted less. */
  tokens(nowMs: number): number {
    return this.#tokens * (memoryMs / (memoryMs + nowMs - this.#atMs))
  }

  began(tokens: number, nowMs: number): void {
    this.#tokens = this.tokens(nowMs) + tokens
    this.#atMs = nowMs
  }

  /** A first token came after so long, of a request that had so much to read and so many beside it. */
  learn(firstTokenMs: number, tokens: number, inFlight: number): void {
    const msPerToken = firstTokenMs / work(tokens, inFlight)
    this.#msPerToken = this.#msPerToken === 0 ? msPerToken : this.#msPerToken + (msPerToken - this.#msPerToken) * weight
  }

  /** How many times slower than others of the same model; 1 where it is about as fast, or not known. */
  slowness(others: Reading): number {
    if (this.#msPerToken === 0 || others.#msPerToken === 0) return 1
    const times = this.#msPerToken / others.#msPerToken
    if (times > sameWithin) return times / sameWithin
    return times * sameWithin < 1 ? times * sameWithin : 1
  }
}

/**
 * What reading so many tokens here costs, to be compared between places: the product of what is left to read and of how
 * busy the place is (LMetric, arXiv 2603.15202), so that the place that has the beginning of a prompt is taken until it
 * has too much to do. Busy is who has much in flight, and, since what is in flight says little of long and short
 * prompts, who has read more than the mean lately: a tenth more costs half as much again, a third more five times.
 */
export function readingCost(
  { reading, inFlight }: Reader,
  all: Reading,
  places: number,
  tokens: number,
  nowMs: number,
): number {
  const share = (reading.tokens(nowMs) + tokensOfNoMatter) / (all.tokens(nowMs) / places + tokensOfNoMatter)
  const squared = share * share
  const fourth = squared * squared
  return reading.slowness(all) * work(tokens, inFlight) * (1 + fourth * fourth)
}

/** A place, as far as it reads. */
interface Reader {
  readonly reading: Reading
  readonly inFlight: number
}

function work(tokens: number, inFlight: number): number {
  return (tokens + tokensMin) * (1 + inFlight / inFlightToHalve)
}
