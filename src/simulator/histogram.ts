/** Octaves from 1/16 ms to 2^26 ms, each in so many equal steps: a value is known to 3%, its rank exactly. */
const steps = 32
const lowest = 1 / 16
const octaves = 30

/** Counts of values, in steps that grow with them; small enough to have one for every tenant. */
export class Histogram {
  readonly #counts = new Uint32Array(steps * octaves + 1)
  #count = 0
  #sum = 0
  #max = 0

  get count(): number {
    return this.#count
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }

  get max(): number {
    return this.#max
  }

  add(value: number): void {
    this.#count++
    this.#sum += value
    if (value > this.#max) this.#max = value
    const place = placeOf(value)
    this.#counts[place] = (this.#counts[place] as number) + 1
  }

  addAll(other: Histogram): void {
    this.#count += other.#count
    this.#sum += other.#sum
    this.#max = Math.max(this.#max, other.#max)
    for (let place = 0; place < this.#counts.length; place++)
      this.#counts[place] = (this.#counts[place] as number) + (other.#counts[place] as number)
  }

  /** The value that this share of the values does not exceed, to within a step; 0 where there are none. */
  atShare(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let before = 0
    for (let place = 0; place < this.#counts.length; place++) {
      const here = this.#counts[place] as number
      if (before + here >= wanted && here > 0) {
        const low = valueAt(place)
        return Math.min(this.#max, low + ((valueAt(place + 1) - low) * (wanted - before)) / here)
      }
      before += here
    }
    return this.#max
  }
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
