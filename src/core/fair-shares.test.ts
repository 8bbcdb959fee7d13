import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairShares, outputWeight } from './fair-shares.ts'
import { eligibilityOf, type RequestFacts, type TokenCount } from './request.ts'
import type { ServiceClass } from './service-class.ts'
import { classOf } from './testing.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

const everywhere = eligibilityOf([0], 1, 1)

interface Asking extends Waiter {
  readonly facts: RequestFacts
}

/** So many slots, all taken as soon as somebody waits. What a request takes is known when it comes. */
class Counter {
  readonly shares: FairShares
  readonly queue: WaitQueue<Asking>
  readonly tokens = new Map<string, number>()
  readonly #running: { readonly asking: Asking; readonly charge: number }[] = []
  readonly #slots: number
  #sequence = 0

  constructor(slots: number, leastShare?: number) {
    this.#slots = slots
    this.shares = new FairShares(leastShare)
    this.queue = new WaitQueue<Asking>(this.shares)
  }

  ask(tenant: string, serviceClass: ServiceClass, tokens: TokenCount): void {
    const times = { arrivedAtMs: 0, waitMsMax: 1e9, deadlineMs: 1e9 }
    const facts = { id: '', tenant, model: 'chat', serviceClass, tokens, eligible: everywhere, ...times }
    const standing = { sequence: ++this.#sequence, tries: 0, deadlineMs: 1e9, arrivedMs: 0, waitUntilMs: 1e9 }
    this.queue.add({ facts, flow: this.shares.flowOf(facts), eligible: everywhere, ...standing }, 0)
  }

  /** Gives a slot to who is first, ending the oldest request where there is none. Gives whose it was. */
  serve(): string {
    if (this.#running.length === this.#slots) {
      const { asking, charge } = this.#running.shift() as { asking: Asking; charge: number }
      this.shares.released(asking.flow)
      this.shares.settled(asking.flow, charge, asking.facts.tokens, asking.facts.tokens)
    }
    const next = this.queue.first(
      0,
      () => true,
      () => true,
    ) as Asking
    const { tenant, tokens } = next.facts
    const charge = this.shares.dispatched(next.flow, tokens, true, 0)
    this.queue.remove(next)
    this.shares.charge(next.flow, charge)
    this.#running.push({ asking: next, charge })
    this.tokens.set(tenant, (this.tokens.get(tenant) ?? 0) + tokens.input + outputWeight * tokens.output)
    return tenant
  }
}

const one: TokenCount = { input: 100, cachedInput: 0, output: 100 }

describe('tenants that all ask for more than there is', () => {
  test('differ by no more than the bound of VTC, at any time and whatever they ask, by weight', () => {
    const size = fc.record({ input: fc.integer({ min: 1, max: 2_000 }), output: fc.integer({ min: 1, max: 1_000 }) })
    const ask = fc.record({ tenant: fc.integer({ min: 0, max: 5 }), size })
    fc.assert(
      fc.property(fc.array(ask, { minLength: 50, maxLength: 300 }), fc.integer({ min: 1, max: 8 }), (asks, slots) => {
        const counter = new Counter(slots)
        const classes = [classOf(0), classOf(0, { name: 'double/default', weight: 2 })]
        const tenants = Array.from({ length: 6 }, (_, n) => ({ name: `t${n}`, of: classes[n % 2] as ServiceClass }))
        const tokensOf = ({ input, output }: { input: number; output: number }) => ({ input, cachedInput: 0, output })
        // Each has a line that outlasts the test, of requests as they were drawn.
        for (const { name, of } of tenants) for (const { size: drawn } of asks) counter.ask(name, of, tokensOf(drawn))
        const bound = 2 * Math.max(2_000, outputWeight * 1_000)
        for (const { tenant } of asks) {
          const { name, of } = tenants[tenant] as (typeof tenants)[number]
          counter.ask(name, of, one)
          counter.serve()
          const shares = tenants.map((one) => (counter.tokens.get(one.name) ?? 0) / one.of.weight)
          expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(bound)
        }
      }),
      { numRuns: 40, seed: 1 },
    )
  })

  test('do not save up while they ask for nothing', () => {
    const counter = new Counter(1)
    counter.ask('late', classOf(0), one)
    for (let n = 0; n < 200; n++) counter.ask('busy', classOf(0), one)
    for (let n = 0; n < 100; n++) counter.serve()
    for (let n = 0; n < 50; n++) counter.ask('late', classOf(0), one)
    const served = Array.from({ length: 20 }, () => counter.serve())
    const late = served.filter((tenant) => tenant === 'late').length
    expect(Math.abs(late - 10)).toBeLessThanOrEqual(1)
  })
})

describe('classes that wait', () => {
  const served = (slots: number, rounds: number, classes: readonly ServiceClass[], leastShare?: number) => {
    const counter = new Counter(slots, leastShare)
    for (const of of classes) for (let n = 0; n < rounds; n++) counter.ask(of.name, of, one)
    for (let n = 0; n < rounds; n++) counter.serve()
    return classes.map(({ name }) => (counter.tokens.get(name) ?? 0) / 400 / rounds)
  }

  test('get a twentieth of the tokens, however many of larger priority wait', () => {
    const [high, low] = served(10, 1_000, [classOf(10), classOf(0)]) as [number, number]
    expect(low).toBeGreaterThanOrEqual(0.048)
    expect(high).toBeGreaterThanOrEqual(0.94)
  })

  test('get what they are given in its place, also nothing', () => {
    const lowOf = (leastShare: number) => served(10, 1_000, [classOf(10), classOf(0)], leastShare)[1]
    expect(lowOf(0.2)).toBeGreaterThanOrEqual(0.19)
    expect(lowOf(0)).toBe(0)
  })

  test('give way for as long as they had more than that within the hour', () => {
    const counter = new Counter(10)
    for (let n = 0; n < 200; n++) counter.ask('low', classOf(0), one)
    for (let n = 0; n < 100; n++) counter.serve()
    for (let n = 0; n < 1_000; n++) counter.ask('high', classOf(10), one)
    // A twentieth of a hundred is saved up: that lasts for a hundred more, and then comes one in twenty.
    expect(Array.from({ length: 100 }, () => counter.serve())).not.toContain('low')
    expect(Array.from({ length: 200 }, () => counter.serve()).filter((tenant) => tenant === 'low').length).toBe(10)
  })

  test('are not judged by the pace of a line that is no more', () => {
    const counter = new Counter(1)
    for (let n = 0; n < 30; n++) counter.ask('a', classOf(0), one)
    for (let n = 0; n < 29; n++) counter.serve()
    const [account] = counter.shares.accounts
    expect(account?.paceMs(5_000)).toBe(5_000)
    counter.serve()
    expect(account?.paceMs(5_000)).toBeUndefined()
  })

  test('get the share they are promised', () => {
    const sure = classOf(0, { name: 'sure', floor: 0.4 })
    const [, low] = served(10, 1_000, [classOf(10), sure]) as [number, number]
    expect(low).toBeGreaterThanOrEqual(0.39)
    expect(low).toBeLessThan(0.42)
  })

  test('leave half of all to priority, however many they are', () => {
    const many = Array.from({ length: 30 }, (_, n) => classOf(n))
    expect(served(10, 2_000, many).at(-1)).toBeGreaterThanOrEqual(0.5)
  })
})

test('a class that a reload gave other figures is served by these, and forgotten as it was once nobody of it is left', () => {
  const counter = new Counter(2)
  counter.ask('a', classOf(5, { name: 'team/default' }), one)
  counter.ask('b', classOf(9), one)
  counter.ask('c', classOf(50, { name: 'team/default' }), one)
  expect([counter.serve(), counter.serve(), counter.serve()]).toEqual(['c', 'b', 'a'])
  expect(counter.shares.accounts.map(({ priority }) => priority)).toEqual([50, 9, 5])
})
