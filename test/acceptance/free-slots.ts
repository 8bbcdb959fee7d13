import type { FaultChange, ServedRequest } from '../../demo/cloud-log.ts'

/** A cloud in a country. */
export interface Place {
  readonly cloud: string
  readonly country: string
  readonly slots: number
  /** As callers name them. */
  readonly models: readonly string[]
}

/** Something that holds from one moment to the next change. */
interface Step<T> {
  readonly atMs: number
  readonly value: T
}

interface Timeline {
  readonly place: Place
  readonly inUse: readonly Step<number>[]
  readonly canServe: readonly Step<boolean>[]
}

/**
 * Who had room, and when, by the clouds' own logs alone. A place has a free slot while it is not down, resetting,
 * silent or refusing, and fewer of its slots are in use than it has; a slow place counts like any other.
 */
export class FreeSlots {
  readonly #newsMs: number
  readonly #timelines: readonly Timeline[]

  /**
   * `newsMs`: what it takes for news to get about. So long a slot must have been free before a request failed, since
   * sooner nobody could have known; and so long before its request came a slot was taken, since it was on its way.
   */
  constructor(
    places: readonly Place[],
    served: readonly ServedRequest[],
    faults: readonly FaultChange[],
    newsMs: number,
  ) {
    this.#newsMs = newsMs
    this.#timelines = places.map((place) => ({
      place,
      inUse: slotsInUse(
        served.filter((line) => isAt(place, line)),
        newsMs,
      ),
      canServe: faults
        .filter((change) => isAt(place, change))
        .sort((a, b) => a.atMs - b.atMs)
        .map(({ atMs, how }) => ({ atMs, value: how === null || how === 'slow' })),
    }))
  }

  /** A place of those allowed that had a free slot until `failedMs`, and long enough; undefined if none. */
  find(failedMs: number, isAllowed: (place: Place) => boolean): Place | undefined {
    const fromMs = failedMs - this.#newsMs
    return this.#timelines.find(
      ({ place, inUse, canServe }) =>
        isAllowed(place) &&
        during(canServe, fromMs, failedMs, true).every((can) => can) &&
        Math.max(...during(inUse, fromMs, failedMs, 0)) < place.slots,
    )?.place
  }
}

function isAt(place: Place, line: { readonly cloud: string; readonly country: string }): boolean {
  return line.cloud === place.cloud && line.country === place.country
}

/** What was rejected, reset on arrival or met with silence never held a slot. */
function slotsInUse(served: readonly ServedRequest[], newsMs: number): Step<number>[] {
  const changes = served
    .filter(({ status }) => status === 200)
    .flatMap(({ startMs, endMs }) => [
      { atMs: startMs - newsMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by)
  let value = 0
  return changes.map(({ atMs, by }) => {
    value += by
    return { atMs, value }
  })
}

/** Every value that held at some time from `fromMs` to `toMs`; `before` holds until the first step. */
function during<T>(steps: readonly Step<T>[], fromMs: number, toMs: number, before: T): T[] {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((steps[middle] as Step<T>).atMs <= fromMs) low = middle + 1
    else high = middle
  }
  const values = [steps[low - 1]?.value ?? before]
  for (let index = low; index < steps.length; index++) {
    const step = steps[index] as Step<T>
    if (step.atMs > toMs) break
    values.push(step.value)
  }
  return values
}
