import table from './performance.json' with { type: 'json' }

export type AcceleratorName = keyof typeof table

type Point = readonly number[]

/** How fast one deployment is: measured points, straight lines between them. */
export class Accelerator {
  readonly name: string
  readonly #short: readonly Point[]
  readonly #long: readonly Point[]

  constructor(name: AcceleratorName) {
    const { accelerator, input1024, input8192 } = table[name]
    this.name = accelerator
    this.#short = input1024
    this.#long = input8192
  }

  /** Time to the first token, ms. Grows with the prompt and with what is in flight. */
  firstTokenMs(promptTokens: number, inFlight: number): number {
    const short = at(this.#short, inFlight, 1)
    const perToken = Math.max(0, at(this.#long, inFlight, 1) - short) / (8_192 - 1_024)
    return Math.max(10, short + perToken * (promptTokens - 1_024))
  }

  /** Time for each further token, ms. */
  perTokenMs(inFlight: number): number {
    return at(this.#short, inFlight, 2)
  }
}

function at(points: readonly Point[], concurrency: number, column: 1 | 2): number {
  const value = (point: Point | undefined) => point?.[column] ?? 0
  const first = points[0]
  if (first === undefined || concurrency <= (first[0] ?? 0)) return value(first)
  for (let i = 1; i < points.length; i++) {
    const [low, high] = [points[i - 1] as Point, points[i] as Point]
    const [from = 0, to = 0] = [low[0], high[0]]
    if (concurrency <= to) return value(low) + ((value(high) - value(low)) * (concurrency - from)) / (to - from)
  }
  return value(points.at(-1))
}
