/**
 * How long one replica takes, as straight lines in what it has to do: a form that holds over accelerators because it is
 * what the hardware does (a fixed cost for a step, one for each sequence in it, one for each token read from the KV
 * cache), and needs nothing but sums and products, so that it gives the same bits everywhere. All in milliseconds.
 */
export interface LatencyModel {
  /** To the first token: `base + perToken·input + (perRequest + perTokenAndRequest·input)·inFlight`. */
  readonly first: {
    readonly base: number
    readonly perToken: number
    readonly perRequest: number
    readonly perTokenAndRequest: number
  }
  /** For each further token: `base + perRequest·batch + perKvToken·kvTokens`. */
  readonly each: { readonly base: number; readonly perRequest: number; readonly perKvToken: number }
}

/** Time to the first token, ms. `input`: tokens that no cache holds; `inFlight`: requests at the replica, this one too. */
export function firstTokenMs({ first }: LatencyModel, input: number, inFlight: number): number {
  return first.base + first.perToken * input + (first.perRequest + first.perTokenAndRequest * input) * inFlight
}

/** Time for one further token of each sequence, ms. `kvTokens`: tokens of all sequences of the batch together. */
export function eachTokenMs({ each }: LatencyModel, batch: number, kvTokens: number): number {
  return each.base + each.perRequest * batch + each.perKvToken * kvTokens
}
