import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AttemptId } from './ids.ts'
import { seededRandom } from './random.ts'
import { Desk, endpointOf } from './testing.ts'

const at = (id: string, usd: number, concurrencyMax = 20) =>
  endpointOf(id, { concurrencyMax, prices: { input: usd, cachedInput: usd, output: usd } })

/** Gives where the request went, and the attempt. */
function ask(desk: Desk, affinity?: string): { readonly place: string; readonly id: AttemptId } {
  desk.arrive(affinity === undefined ? {} : { affinity })
  const { id, endpoint } = desk.attempt
  return { place: endpoint.id, id }
}

/** Teaches that a place answers its first token after so long. */
function teach(desk: Desk, place: string, firstTokenMs: number): void {
  desk.arrive({ eligible: desk.word(place) })
  const { id } = desk.attempt
  desk.nowMs += firstTokenMs
  desk.answering(id)
  desk.complete(id)
}

describe('spilling over in the order of prices', () => {
  test('fills the cheapest to 0.85, then the next, and one without a price last', () => {
    const desk = new Desk([endpointOf('unknown', { concurrencyMax: 20 }), at('dear', 9), at('cheap', 1)], 'spill-over')
    const places = Array.from({ length: 36 }, () => ask(desk).place)
    expect(places.slice(0, 17)).toEqual(new Array(17).fill('cheap'))
    expect(places.slice(17, 34)).toEqual(new Array(17).fill('dear'))
    expect(places.slice(34)).toEqual(['unknown', 'unknown'])
  })

  test('goes back to the cheaper one when that is down to 0.7, not at the edge', () => {
    const desk = new Desk([at('cheap', 1), at('dear', 9)], 'spill-over')
    const attempts = Array.from({ length: 17 }, () => ask(desk).id)
    expect(ask(desk).place).toBe('dear')
    for (const left of [16, 15]) {
      desk.complete(attempts[left] as number)
      expect(ask(desk).place).toBe('dear')
    }
    desk.complete(attempts[14] as number)
    expect(ask(desk).place).toBe('cheap')
  })

  test('comes back late also to a place so small that it is full at once', () => {
    const desk = new Desk([at('cheap', 1, 4), at('dear', 9)], 'spill-over')
    const attempts = Array.from({ length: 4 }, () => ask(desk).id)
    desk.complete(attempts[0] as number)
    expect(ask(desk).place).toBe('dear')
    desk.complete(attempts[1] as number)
    expect(ask(desk).place).toBe('cheap')
  })

  test('leaves no slot free where somebody would have to wait', () => {
    const desk = new Desk([at('cheap', 1, 4), at('dear', 9, 4)], 'spill-over')
    const places = Array.from({ length: 8 }, () => ask(desk).place)
    expect(places.filter((place) => place === 'cheap')).toHaveLength(4)
  })

  test('keeps each place warm with at least one request in a hundred, all together with one in twenty at the most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 0, max: 1_000 }), (count, seed) => {
        const random = seededRandom(seed)
        const places = Array.from({ length: count }, (_, n) => at(`${n}`, n + 1))
        const desk = new Desk(places, 'spill-over', {}, seed)
        const running: AttemptId[] = []
        const asked = new Map<string, number>()
        const total = 2_000
        for (let n = 0; n < total; n++) {
          desk.nowMs += 10
          const { place, id } = ask(desk)
          asked.set(place, (asked.get(place) ?? 0) + 1)
          running.push(id)
          // Never so many that the cheapest spills over.
          while (running.length > 10 || (running.length > 0 && random.next() < 0.4))
            desk.complete(running.splice(Math.floor(random.next() * running.length), 1)[0] as number)
        }
        for (let n = 1; n < count; n++) {
          expect(asked.get(`${n}`)).toBeGreaterThanOrEqual(0.009 * total)
          expect(asked.get(`${n}`)).toBeLessThanOrEqual(0.05 * total)
        }
        expect(asked.get('0')).toBeGreaterThanOrEqual(0.95 * total)
      }),
      { seed: 20_261_125, numRuns: 20 },
    )
  })

  test('is never outside what the law allows, warm or not', () => {
    const desk = new Desk([at('cheap', 1), at('dear', 9), at('forbidden', 0)], 'spill-over')
    const allowed = desk.word('cheap', 'dear')
    for (let n = 0; n < 300; n++) {
      desk.arrive({ eligible: allowed })
      expect(desk.attempt.endpoint.id).not.toBe('forbidden')
      desk.complete(desk.attempt.id)
    }
  })
})

describe('a conversation under spill-over', () => {
  const equals = ['a', 'b', 'c', 'd'].map((id) => at(id, 1))

  test('keeps to one of the places of one price, though others have less to do', () => {
    const desk = new Desk([...equals, at('dear', 9)], 'spill-over')
    const { place } = ask(desk, 'acme/1')
    for (let n = 0; n < 10; n++) expect(ask(desk, 'acme/1').place).toBe(place)
    const homes = Array.from({ length: 40 }, (_, n) => ask(new Desk(equals, 'spill-over'), `acme/${n}`).place)
    expect(new Set(homes).size).toBe(4)
  })

  test('leaves it where the first token would come later by more than half of the time that is left', () => {
    const home = ask(new Desk(equals, 'spill-over'), 'acme/1').place
    const desk = new Desk(equals, 'spill-over')
    teach(desk, home, 900)
    expect(ask(desk, 'acme/1').place).toBe(home)
    teach(desk, home, 1_500)
    expect(ask(desk, 'acme/1').place).not.toBe(home)
  })
})
