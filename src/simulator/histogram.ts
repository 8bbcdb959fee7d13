/** Octaves from 1/16 ms to 2^26 ms, each in so many equal steps: a value is known to 3%, its rank exactly; less is 0. */
const steps = 32
const lowest = 1 / 16
const octaves = 30

const places = steps * octaves + 1

/** Counts of values, in steps that grow with them; small enough to have one for every tenant. */
export class Histogram {
  readonly #counts: Uint32Array
  /** How many there are, their sum, and the largest. */
  readonly #totals: Float64Array

  constructor(counts: Uint32Array = new Uint32Array(places), totals: Float64Array = new Float64Array(3)) {
    this.#counts = counts
    this.#totals = totals
  }

  get count(): number {
    return this.#totals[0] as number
  }

  get mean(): number {
    return this.count === 0 ? 0 : (this.#totals[1] as number) / this.count
  }

  get max(): number {
    return this.#totals[2] as number
  }

  add(value: number): void {
    addTo(this.#counts, 0, this.#totals, 0, value)
  }

  addAll(other: Histogram): void {
    this.#totals[0] = this.count + other.count
    this.#totals[1] = (this.#totals[1] as number) + (other.#totals[1] as number)
    this.#totals[2] = Math.max(this.max, other.max)
    for (let place = 0; place < places; place++)
      this.#counts[place] = (this.#counts[place] as number) + (other.#counts[place] as number)
  }

  /** The value that this share of the values does not exceed, to within a step; 0 where there are none. */
  atShare(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.count))
    let before = 0
    for (let place = 0; place < places; place++) {
      const here = this.#counts[place] as number
      if (before + here >= wanted && here > 0) {
        // Nearly all of these did not wait at all.
        if (place === 0) return 0
        const low = valueAt(place)
        return Math.min(this.max, low + ((valueAt(place + 1) - low) * (wanted - before)) / here)
      }
      before += here
    }
    return this.max
  }
}

/** Many histograms in two pieces of memory: with a thousand tenants it is finding one that takes the time. */
export class Histograms {
  readonly #counts: Uint32Array
  readonly #totals: Float64Array

  constructor(count: number) {
    this.#counts = new Uint32Array(count * places)
    this.#totals = new Float64Array(count * 3)
  }

  add(which: number, value: number): void {
    addTo(this.#counts, which * places, this.#totals, which * 3, value)
  }

  /** One of them; goes on with it. */
  at(which: number): Histogram {
    return new Histogram(
      this.#counts.subarray(which * places, (which + 1) * places),
      this.#totals.subarray(which * 3, (which + 1) * 3),
    )
  }
}

function addTo(counts: Uint32Array, firstCount: number, totals: Float64Array, firstTotal: number, value: number): void {
  totals[firstTotal] = (totals[firstTotal] as number) + 1
  totals[firstTotal + 1] = (totals[firstTotal + 1] as number) + value
  if (value > (totals[firstTotal + 2] as number)) totals[firstTotal + 2] = value
  const place = firstCount + placeOf(value)
  counts[place] = (counts[place] as number) + 1
}

/** Place 0 is everything below the lowest octave. */
function placeOf(value: number): number {
  if (value < lowest) return 0
  const scaled = Math.min(value / lowest, (1 << octaves) - 1)
  // The exponent is the number of halvings to below two: 31 - clz32 for what fits 31 bits.
  const octave = 31 - Math.clz32(scaled)
  const within = scaled / (1 << octave) - 1
  return 1 + octave * steps + Math.floor(within * steps)
}

function valueAt(place: number): number {
  if (place === 0) return 0
  const octave = Math.floor((place - 1) / steps)
  return lowest * (1 << octave) * (1 + ((place - 1) % steps) / steps)
}
