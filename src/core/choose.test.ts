import { describe, expect, test } from 'vitest'
import type { Endpoint } from './endpoint.ts'
import { Desk, endpointOf } from './testing.ts'

const places = (setting: Partial<Endpoint> = {}) =>
  ['a', 'b', 'c'].map((id) => endpointOf(id, { concurrencyMax: 8, ...setting }))

/** Teaches that a place answers its first token after so long. */
function teach(desk: Desk, id: string, firstTokenMs: number): void {
  desk.arrive({ eligible: desk.word(id) })
  const { id: attemptId } = desk.attempt
  desk.nowMs += firstTokenMs
  desk.answering(attemptId)
  desk.complete(attemptId)
}

const choiceOf = (desk: Desk, affinity?: string) => {
  desk.arrive(affinity === undefined ? {} : { affinity })
  return desk.attempt.endpoint.id
}

describe('interactive routing', () => {
  test('prefers who answers soonest', () => {
    const desk = new Desk(places())
    teach(desk, 'a', 800)
    teach(desk, 'b', 100)
    teach(desk, 'c', 600)
    expect(choiceOf(desk)).toBe('b')
  })

  test('prefers who has less to do of those that are as fast', () => {
    const desk = new Desk(places())
    for (const id of ['a', 'a', 'b', 'c', 'c']) desk.arrive({ eligible: desk.word(id) })
    expect(choiceOf(desk)).toBe('b')
  })

  test('keeps a conversation at its place while that is as good as others, and finds it again', () => {
    const desk = new Desk(places())
    const home = choiceOf(desk, 'acme/1')
    desk.complete(desk.attempt.id)
    for (let n = 0; n < 5; n++) {
      expect(choiceOf(desk, 'acme/1')).toBe(home)
      desk.complete(desk.attempt.id)
    }
    for (let n = 0; n < 4; n++) desk.arrive({ eligible: desk.word(home) })
    expect(choiceOf(desk, 'acme/1')).not.toBe(home)
    expect(new Set(Array.from({ length: 40 }, (_, n) => choiceOf(new Desk(places()), `acme/${n}`))).size).toBe(3)
  })

  test('tells equals apart by chance, so that gateways that see the same do not all go to the same', () => {
    const chosen = Array.from({ length: 30 }, (_, seed) => choiceOf(new Desk(places(), 'interactive', {}, seed)))
    expect(new Set(chosen).size).toBe(3)
  })
})

describe('cheapest routing', () => {
  const priced = () =>
    new Desk(
      [
        endpointOf('unknown', { concurrencyMax: 2 }),
        endpointOf('dear', { concurrencyMax: 2, prices: { input: 5, cachedInput: 0, output: 15 } }),
        endpointOf('cheap', { concurrencyMax: 2, prices: { input: 0.1, cachedInput: 0, output: 0.4 } }),
      ],
      'cheapest',
    )

  test('fills the cheapest, then the next; one without a price last', () => {
    const desk = priced()
    expect(Array.from({ length: 6 }, () => choiceOf(desk))).toEqual([
      'cheap',
      'cheap',
      'dear',
      'dear',
      'unknown',
      'unknown',
    ])
  })

  test('does not trade the price for speed', () => {
    const desk = priced()
    teach(desk, 'cheap', 3_000)
    teach(desk, 'dear', 50)
    expect(choiceOf(desk)).toBe('cheap')
  })

  test('finds the cheapest of many, however many there are', () => {
    const many = Array.from({ length: 600 }, (_, n) =>
      endpointOf(`${n}`, { prices: { input: 1 + n / 100, cachedInput: 0, output: 1 } }),
    )
    const desk = new Desk(many, 'cheapest')
    expect(Array.from({ length: 5 }, () => choiceOf(desk))).toEqual(['0', '1', '2', '3', '4'])
  })
})
