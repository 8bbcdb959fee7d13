/** Gives the next number of a stream in [0, 1). The same seed gives the same stream on every machine. */
export interface Random {
  next(): number
}

/**
 * sfc32 (Chris Doty-Humphrey's Small Fast Counting generator): 128 bits of state, integer operations only,
 * so that a decision replays bit for bit on any engine.
 */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = seed | 0
  let d = 1
  function next(): number {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 4294967296
  }
  // The author's advice: let the seed spread over the whole state before the first use.
  for (let round = 0; round < 15; round++) next()
  return { next }
}
