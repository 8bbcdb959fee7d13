/** One family of series in Prometheus' text format. */
export interface Family {
  render(): string
}

type Labels = readonly string[]

/** Label values may hold anything that comes from a configuration: escaped as the format asks. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

function series(name: string, labelNames: Labels, values: Labels, extra = ''): string {
  const labels = labelNames.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`)
  if (extra !== '') labels.push(extra)
  return labels.length === 0 ? name : `${name}{${labels.join(',')}}`
}

function header(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
}

/**
 * The series of one family, found label by label: several are counted for every request, and to join their labels into
 * one key would make a new text, and hash it, for each.
 */
class SeriesTree<T extends { readonly labels: Labels }> {
  readonly #root: SeriesNode<T> = { one: undefined, next: new Map() }
  readonly #make: (labels: Labels) => T
  readonly #all: T[] = []

  constructor(make: (labels: Labels) => T) {
    this.#make = make
  }

  /** In the order in which they came up. */
  get all(): readonly T[] {
    return this.#all
  }

  /** That of these label values; made where there is none. */
  of(labels: Labels): T {
    let node = this.#root
    for (const label of labels) {
      let next = node.next.get(label)
      if (next === undefined) {
        next = { one: undefined, next: new Map() }
        node.next.set(label, next)
      }
      node = next
    }
    if (node.one === undefined) {
      node.one = this.#make(labels)
      this.#all.push(node.one)
    }
    return node.one
  }
}

interface SeriesNode<T> {
  one: T | undefined
  readonly next: Map<string, SeriesNode<T>>
}

/** Counts up. */
export class Counter implements Family {
  readonly #name: string
  readonly #help: string
  readonly #labels: Labels
  readonly #series = new SeriesTree((labels) => ({ labels, value: 0 }))

  constructor(name: string, help: string, labels: Labels = []) {
    this.#name = name
    this.#help = help
    this.#labels = labels
  }

  add(amount: number, ...labels: string[]): void {
    this.#series.of(labels).value += amount
  }

  render(): string {
    let text = header(this.#name, this.#help, 'counter')
    for (const { labels, value } of this.#series.all) text += `${series(this.#name, this.#labels, labels)} ${value}\n`
    return text
  }
}

/** Read when asked: `read` gives label values and a number for each series. */
export class Reading implements Family {
  readonly #type: 'gauge' | 'counter'
  readonly #name: string
  readonly #help: string
  readonly #labels: Labels
  readonly #read: () => Iterable<readonly [labels: Labels, value: number]>

  constructor(
    type: 'gauge' | 'counter',
    name: string,
    help: string,
    labels: Labels,
    read: () => Iterable<readonly [labels: Labels, value: number]>,
  ) {
    this.#type = type
    this.#name = name
    this.#help = help
    this.#labels = labels
    this.#read = read
  }

  render(): string {
    let text = header(this.#name, this.#help, this.#type)
    for (const [labels, value] of this.#read()) text += `${series(this.#name, this.#labels, labels)} ${value}\n`
    return text
  }
}

interface Buckets {
  readonly labels: Labels
  readonly counts: Float64Array
  sum: number
  count: number
}

/** Counts values by upper bounds. */
export class Histogram implements Family {
  readonly #name: string
  readonly #help: string
  readonly #labels: Labels
  readonly #bounds: readonly number[]
  readonly #series: SeriesTree<Buckets>

  /** `bounds` ascending; the last bucket, without a bound, is added. */
  constructor(name: string, help: string, labels: Labels, bounds: readonly number[]) {
    this.#name = name
    this.#help = help
    this.#labels = labels
    this.#bounds = bounds
    this.#series = new SeriesTree((each) => ({
      labels: each,
      counts: new Float64Array(bounds.length),
      sum: 0,
      count: 0,
    }))
  }

  observe(value: number, ...labels: string[]): void {
    const buckets = this.#series.of(labels)
    let at = 0
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++
    if (at < this.#bounds.length) buckets.counts[at] = (buckets.counts[at] as number) + 1
    buckets.sum += value
    buckets.count++
  }

  render(): string {
    let text = header(this.#name, this.#help, 'histogram')
    for (const { labels, counts, sum, count } of this.#series.all) {
      let below = 0
      this.#bounds.forEach((bound, index) => {
        below += counts[index] as number
        text += `${series(`${this.#name}_bucket`, this.#labels, labels, `le="${bound}"`)} ${below}\n`
      })
      text += `${series(`${this.#name}_bucket`, this.#labels, labels, 'le="+Inf"')} ${count}\n`
      text += `${series(`${this.#name}_sum`, this.#labels, labels)} ${sum}\n${series(`${this.#name}_count`, this.#labels, labels)} ${count}\n`
    }
    return text
  }
}
