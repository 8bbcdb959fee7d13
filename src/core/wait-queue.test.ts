import { describe, expect, test } from 'vitest'
import { FairShares } from './fair-shares.ts'
import { seededRandom } from './random.ts'
import { eligibilityOf, type RequestFacts } from './request.ts'
import { classOf } from './testing.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

interface Named extends Waiter {
  readonly name: string
}

const here = eligibilityOf([0], 2, 1)
const there = eligibilityOf([1], 2, 1)
const anyone = () => true

/** A queue, and the waiters of its tenants. */
class Line {
  readonly shares = new FairShares()
  readonly queue = new WaitQueue<Named>(this.shares)
  readonly #facts: RequestFacts
  #sequence = 0

  constructor() {
    const tokens = { input: 100, cachedInput: 0, output: 100 }
    const times = { arrivedAtMs: 0, waitMsMax: 1_000, deadlineMs: 1_000 }
    this.#facts = {
      id: 'req',
      tenant: 'acme',
      model: 'chat',
      serviceClass: classOf(0),
      tokens,
      eligible: here,
      ...times,
    }
  }

  waiter(name: string, { priority = 0, tenant = 'acme', ...setting }: Setting = {}): Named {
    const flow = this.shares.flowOf({ ...this.#facts, tenant, serviceClass: classOf(priority) })
    const base = { arrivedMs: 0, waitUntilMs: 1_000, deadlineMs: 9_000, eligible: here, tries: 0 }
    return { name, flow, sequence: ++this.#sequence, ...base, ...setting }
  }

  add(name: string, setting: Setting = {}): Named {
    const waiter = this.waiter(name, setting)
    this.queue.add(waiter, 0)
    return waiter
  }

  /** All in the order in which they are served, each charged as it is. */
  serveAll(): string[] {
    const order: string[] = []
    const next = () => this.queue.first(0, anyone, anyone)
    for (let waiter = next(); waiter !== undefined; waiter = next()) {
      order.push(waiter.name)
      this.queue.remove(waiter)
      if (waiter.tries === 0)
        this.shares.charge(waiter.flow, this.shares.dispatched(waiter.flow, this.#facts.tokens, true, 0))
      this.shares.released(waiter.flow)
    }
    return order
  }
}

type Setting = Partial<Omit<Waiter, 'flow'>> & { readonly priority?: number; readonly tenant?: string }

describe('the wait queue', () => {
  test('serves the larger priority first, then retries, then who came first, over all eligibilities', () => {
    const line = new Line()
    line.add('early', { eligible: there })
    line.add('retrying', { tries: 1 })
    line.add('high', { priority: 10, eligible: there })
    line.add('high, retrying', { priority: 10, tries: 1 })
    line.add('late')
    expect(line.serveAll()).toEqual(['high, retrying', 'high', 'retrying', 'early', 'late'])
    expect(line.queue.length).toBe(0)
  })

  test('serves tenants of a priority in turns, however many one sends', () => {
    const line = new Line()
    for (const name of ['a1', 'a2', 'a3']) line.add(name, { tenant: 'a' })
    line.add('b1', { tenant: 'b' })
    line.add('c1', { tenant: 'c', eligible: there })
    expect(line.serveAll()).toEqual(['a1', 'b1', 'c1', 'a2', 'a3'])
  })

  test('serves of one tenant the earliest deadline first', () => {
    const line = new Line()
    line.add('later', { deadlineMs: 5_000 })
    line.add('sooner', { deadlineMs: 3_000 })
    line.add('as soon', { deadlineMs: 3_000 })
    expect(line.serveAll()).toEqual(['sooner', 'as soon', 'later'])
  })

  test('passes over those whose wait is over', () => {
    const line = new Line()
    line.add('over', { waitUntilMs: 99 })
    line.add('over too', { tenant: 'other', waitUntilMs: 99 })
    line.add('waiting', { tenant: 'other' })
    expect(line.queue.first(100, anyone, anyone)?.name).toBe('waiting')
  })

  test('asks every retry, each of which may have failed somewhere else, but only the head of the others', () => {
    const asked: string[] = []
    const refuse = ({ name }: Named) => {
      asked.push(name)
      return false
    }
    const line = new Line()
    line.add('first')
    line.add('second')
    line.add('retry', { tries: 1 })
    line.add('other retry', { tries: 2 })
    expect(line.queue.first(0, anyone, refuse)).toBeUndefined()
    expect(asked).toEqual(['first', 'retry', 'other retry'])
    expect(line.queue.retryingLength).toBe(2)
  })

  test('leaves out groups that may not go there', () => {
    const line = new Line()
    line.add('here')
    line.add('there', { eligible: there, arrivedMs: 7 })
    expect(line.queue.first(0, (eligible) => eligible === there, anyone)?.name).toBe('there')
    expect([6, 7].map((ms) => line.queue.hasComeBefore(ms, (eligible) => eligible === there))).toEqual([false, true])
  })

  test('goes through them in order, on behind those that are taken out, past a few retries that are not', () => {
    const line = new Line()
    for (const name of ['taken', 'stays', 'behind']) line.add(name)
    line.add('over', { priority: 10, waitUntilMs: 50 })
    line.add('high', { priority: 10 })
    const retries = Array.from({ length: 20 }, (_, n) => line.add(`retry ${n}`, { tries: 1 }))
    const seen: string[] = []
    for (const one of line.queue.inOrder(100, anyone)) {
      seen.push(one.name)
      if (one.name === 'taken' || one.name === 'high') line.queue.remove(one)
    }
    expect(seen).toEqual(['high', ...retries.slice(0, 4).map(({ name }) => name), 'taken', 'stays'])
  })

  test('names as the last the newest of the longest line of the lowest priority, a retry only without such', () => {
    const line = new Line()
    const retry = line.add('retry', { tries: 1 })
    line.add('a1', { tenant: 'a' })
    const waiting = ['b1', 'b2'].map((name) => line.add(name, { tenant: 'b' }))
    line.add('a high one', { priority: 10, tenant: 'c' })
    expect(line.queue.last()?.name).toBe('b2')
    for (const one of waiting) line.queue.remove(one)
    expect(line.queue.last()?.name).toBe('a1')
    line.queue.remove(line.queue.last() as Named)
    expect(line.queue.last()).toBe(retry)
  })

  test('gives what a sorted list gives, whoever comes and goes', () => {
    const random = seededRandom(7)
    const int = (below: number) => Math.floor(random.next() * below)
    const line = new Line()
    const list: Named[] = []
    for (let round = 0; round < 3_000; round++) {
      const eligible = [here, there][int(2)] as typeof here
      const setting = { priority: int(3), tenant: `t${int(4)}`, tries: int(2), deadlineMs: int(50), eligible }
      list.push(line.add(`${round}`, setting))
      if (int(3) > 0) line.queue.remove(list.splice(int(list.length), 1)[0] as Named)
      const { flow } = list[int(list.length)] ?? {}
      if (flow !== undefined && int(2) > 0) line.shares.charge(flow, int(300))
      const sorted = [...list].sort((a, b) => (line.shares.comesBefore(a, b) ? -1 : 1))
      expect(line.queue.first(0, anyone, anyone)).toBe(sorted[0])
      expect(line.queue.length).toBe(list.length)
    }
  })
})
