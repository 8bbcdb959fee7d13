import { eachTokenMs, firstTokenMs, type LatencyModel } from '../../src/simulator/latency.ts'

/** A request as far as it costs a replica anything. */
export interface Size {
  readonly input: number
  readonly output: number
}

/** What a full replica's time goes into, for requests of a certain mean size. */
export interface FullReplica {
  readonly concurrencyMax: number
  readonly latency: LatencyModel
  /** One further token of every sequence in its batch, ms. */
  readonly stepMs: number
}

/**
 * The replica at its fullest. Of its slots some hold requests whose first token is not there yet; how many follows from
 * how long a request spends before it and after it, and the time per token from the rest. `networkMs`: of the way to it.
 */
export function fullReplica(
  latency: LatencyModel,
  concurrencyMax: number,
  mean: Size & { readonly kvTokens: number },
  networkMs: number,
): FullReplica {
  const promptMs = networkMs + firstTokenMs(latency, mean.input, concurrencyMax)
  let stepMs = eachTokenMs(latency, concurrencyMax, concurrencyMax * mean.kvTokens)
  // Shorter steps mean that more slots hold prompts, which makes the steps shorter: a contraction, and soon still.
  for (let round = 0; round < 50; round++) {
    const decodeMs = Math.max(0, mean.output - 1) * stepMs
    const batch = (concurrencyMax * decodeMs) / (promptMs + decodeMs)
    stepMs = eachTokenMs(latency, batch, batch * mean.kvTokens)
  }
  return { concurrencyMax, latency, stepMs }
}

/**
 * Milliseconds of a full replica that a request takes, so that those it serves in a second add up to 1,000.
 *
 * A step of a batch of n sequences takes `base + perRequest·n + perKvToken·(their tokens)`. Each of its sequences is
 * charged `perRequest + perKvToken·(its own tokens)` and an n-th of `base`, of which all are charged at least the share
 * of a full batch, an N-th. What is missing to the whole of `base` are the slots of prompts: each is charged an N-th of
 * `base` for every step that passes meanwhile.
 */
export function workMs(
  { latency, concurrencyMax, stepMs }: FullReplica,
  { input, output }: Size,
  networkMs: number,
): number {
  const { base, perRequest, perKvToken } = latency.each
  const perToken = perRequest + perKvToken * kvTokensOf({ input, output }) + base / concurrencyMax
  const promptMs = networkMs + firstTokenMs(latency, input, concurrencyMax)
  return Math.max(0, output - 1) * perToken + ((base / concurrencyMax) * promptMs) / stepMs
}

/** Tokens that a sequence holds in the cache on average over its life, as the simulator counts them. */
export function kvTokensOf({ input, output }: Size): number {
  return input + output / 2
}
