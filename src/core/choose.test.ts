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

describe('routing by what places have read', () => {
  const prefix = (...hashes: number[]) => ({ blockTokens: 512, hashes })
  const ask = (desk: Desk, ...hashes: number[]) => {
    desk.arrive({ prefix: prefix(...hashes), tokens: { input: 512 * hashes.length, cachedInput: 0, output: 100 } })
    return desk.attempt
  }

  test('follows a conversation as it grows, also where the place is a little busier', () => {
    const desk = new Desk(places())
    const hashes = Array.from({ length: 20 }, (_, n) => n + 1)
    const home = ask(desk, ...hashes).endpoint.id
    for (let turn = 0; turn < 4; turn++) {
      hashes.push(100 + turn)
      expect(ask(desk, ...hashes).endpoint.id).toBe(home)
    }
  })

  test('reads different prompts at different places, also where all begin alike', () => {
    const desk = new Desk(places({ concurrencyMax: 100 }))
    const read = new Map<string, number>()
    for (let n = 0; n < 90; n++) {
      const { id } = ask(desk, 1, ...Array.from({ length: 10 }, (_, at) => 100 * (n + 1) + at)).endpoint
      read.set(id, (read.get(id) ?? 0) + 1)
    }
    expect(Math.max(...read.values()) - Math.min(...read.values())).toBeLessThan(6)
  })

  test('leaves a place that is full, or that failed the request', () => {
    const desk = new Desk(places({ concurrencyMax: 2 }))
    const home = ask(desk, 1, 2, 3).endpoint.id
    const second = ask(desk, 1, 2, 3)
    expect(second.endpoint.id).toBe(home)
    expect(ask(desk, 1, 2, 3).endpoint.id).not.toBe(home)
    desk.fail(second.id, 'server-error')
    expect(desk.attempt.endpoint.id).not.toBe(home)
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

describe('routing among very many places', () => {
  const many = (count: number, setting: Partial<Endpoint> = {}) =>
    Array.from({ length: count }, (_, n) => endpointOf(`${n}`, { subProcessor: `vendor ${n % 3}`, ...setting }))

  test('finds the one free slot there is, and waits where there is none until one is free', () => {
    const desk = new Desk(many(600))
    const dispatched = Array.from({ length: 600 }, () => {
      desk.arrive()
      return desk.attempt
    })
    expect(new Set(dispatched.map(({ endpoint }) => endpoint.id)).size).toBe(600)
    const waiter = desk.arrive()
    expect(desk.attempts).toEqual([])
    const freed = dispatched[123]
    desk.complete(freed?.id ?? 0)
    expect(desk.dispatched).toEqual([`${waiter} to ${freed?.endpoint.id}`])
  })

  test('spreads load nearly evenly', () => {
    const desk = new Desk(many(600, { concurrencyMax: 100 }))
    for (let n = 0; n < 600 * 20; n++) desk.arrive()
    const inFlight = desk.scheduler.snapshot(desk.nowMs).endpoints.map((endpoint) => endpoint.inFlight)
    expect(Math.max(...inFlight)).toBeLessThanOrEqual(24)
  })

  test('keeps conversations at their places, also when others go', () => {
    const homesOf = (endpoints: readonly Endpoint[]) => {
      const desk = new Desk(endpoints)
      return Array.from({ length: 40 }, (_, n) => {
        const home = choiceOf(desk, `acme/${n}`)
        desk.complete(desk.attempt.id)
        expect(choiceOf(desk, `acme/${n}`), 'the same again').toBe(home)
        desk.complete(desk.attempt.id)
        return home
      })
    }
    const all = many(1_000, { concurrencyMax: 8 })
    const before = homesOf(all)
    const after = homesOf(all.filter(({ id }) => Number(id) % 100 !== 7))
    const moved = before.filter((home, n) => after[n] !== home)
    expect(moved.length).toBeLessThan(6)
    expect(new Set(before).size).toBeGreaterThan(30)
  })

  test('explains the same two homes of an affinity as are used', () => {
    const desk = new Desk(many(600, { concurrencyMax: 8 }))
    const explained = desk.scheduler.explain('chat', desk.word(), 'acme/1', desk.nowMs)
    const scores = explained.map(({ score = 0 }) => score)
    const homes = explained.filter(({ score }) => score === Math.max(...scores)).map(({ endpointId }) => endpointId)
    expect(homes).toHaveLength(2)
    expect(homes).toContain(choiceOf(desk, 'acme/1'))
  })

  test('tries out an ejected place when its time is over, and another vendor after a failure', () => {
    const desk = new Desk(many(600, { concurrencyMax: 8 }))
    desk.eject('5')
    expect(Array.from({ length: 100 }, () => choiceOf(desk))).not.toContain('5')
    desk.nowMs += 30_000
    // Seen at the first event after it, used at the next.
    expect([choiceOf(desk), choiceOf(desk)]).toContain('5')
    desk.arrive()
    const first = desk.attempt
    desk.fail(first.id, 'server-error')
    expect(desk.attempt.endpoint.subProcessor).not.toBe(first.endpoint.subProcessor)
  })

  test('asks all of them when most are ejected, and none outside the word', () => {
    const desk = new Desk(many(600, { concurrencyMax: 8 }))
    for (let n = 0; n < 301; n++) {
      desk.nowMs += 1_000 / 301
      desk.eject(String(n))
    }
    const chosen = new Set(Array.from({ length: 200 }, () => choiceOf(desk)))
    expect([...chosen].some((id) => Number(id) < 301)).toBe(true)
    const few = desk.word(...Array.from({ length: 550 }, (_, n) => String(n)))
    for (let n = 0; n < 200; n++) {
      desk.arrive({ eligible: few, affinity: `acme/${n}` })
      expect(Number(desk.attempt.endpoint.id)).toBeLessThan(550)
    }
  })
})
