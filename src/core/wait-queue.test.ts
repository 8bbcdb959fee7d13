import { describe, expect, test } from 'vitest'
import { seededRandom } from './random.ts'
import { eligibilityOf } from './request.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

interface Named extends Waiter {
  readonly name: string
}

const here = eligibilityOf([0], 2, 1)
const there = eligibilityOf([1], 2, 1)
const waiter = (name: string, setting: Partial<Waiter> = {}): Named => ({
  name,
  priority: 0,
  sequence: 0,
  arrivedMs: 0,
  waitUntilMs: 1_000,
  eligible: here,
  tries: 0,
  ...setting,
})
const anyone = () => true

function queueOf(...waiters: readonly Named[]): WaitQueue<Named> {
  const queue = new WaitQueue<Named>()
  for (const one of waiters) queue.add(one)
  return queue
}

describe('the wait queue', () => {
  test('serves the higher priority first, then who came first, over all eligibilities', () => {
    const queue = queueOf(
      waiter('late', { sequence: 4 }),
      waiter('early', { sequence: 1, eligible: there }),
      waiter('high', { sequence: 3, priority: 10, eligible: there }),
      waiter('retrying', { sequence: 2, priority: 10, tries: 1 }),
    )
    const order: string[] = []
    for (let next = queue.first(0, anyone, anyone); next; next = queue.first(0, anyone, anyone)) {
      order.push(next.name)
      queue.remove(next)
    }
    expect(order).toEqual(['retrying', 'high', 'early', 'late'])
    expect(queue.length).toBe(0)
  })

  test('gives one that comes back its place in the order of arrival', () => {
    const [first, second, third] = [1, 2, 3].map((sequence) => waiter(`${sequence}`, { sequence })) as [
      Named,
      Named,
      Named,
    ]
    const queue = queueOf(first, second, third)
    queue.remove(second)
    queue.add(second)
    queue.remove(first)
    expect(queue.first(0, anyone, anyone)?.name).toBe('2')
  })

  test('passes over those whose wait is over', () => {
    const queue = queueOf(waiter('over', { sequence: 1, waitUntilMs: 99 }), waiter('waiting', { sequence: 2 }))
    expect(queue.first(100, anyone, anyone)?.name).toBe('waiting')
  })

  test('asks every retry, each of which may have failed somewhere else, but only the head of the others', () => {
    const asked: string[] = []
    const refuse = ({ name }: Named) => {
      asked.push(name)
      return false
    }
    const queue = queueOf(
      waiter('first', { sequence: 1 }),
      waiter('second', { sequence: 2 }),
      waiter('retry', { sequence: 3, tries: 1 }),
      waiter('other retry', { sequence: 4, tries: 2 }),
    )
    expect(queue.first(0, anyone, refuse)).toBeUndefined()
    expect(asked).toEqual(['first', 'retry', 'other retry'])
    expect(queue.retryingLength).toBe(2)
  })

  test('leaves out groups that may not go there', () => {
    const queue = queueOf(
      waiter('here', { sequence: 1 }),
      waiter('there', { sequence: 2, eligible: there, arrivedMs: 7 }),
    )
    expect(queue.first(0, (eligible) => eligible === there, anyone)?.name).toBe('there')
    expect(queue.oldestMs((eligible) => eligible === there)).toBe(7)
    expect(queue.oldestMs(() => false)).toBe(Number.POSITIVE_INFINITY)
  })

  test('goes through them in order, on behind those that are taken out, past a few retries that are not', () => {
    const retries = Array.from({ length: 20 }, (_, n) => waiter(`retry ${n}`, { sequence: 10 + n, tries: 1 }))
    const queue = queueOf(
      waiter('taken', { sequence: 1 }),
      waiter('stays', { sequence: 2 }),
      waiter('behind', { sequence: 3 }),
      waiter('over', { sequence: 4, priority: 10, waitUntilMs: 50 }),
      waiter('high', { sequence: 5, priority: 10 }),
      ...retries,
    )
    const seen: string[] = []
    for (const one of queue.inOrder(100, anyone)) {
      seen.push(one.name)
      if (one.name === 'taken' || one.name === 'high') queue.remove(one)
    }
    expect(seen).toEqual(['high', 'taken', 'stays', ...retries.slice(0, 4).map(({ name }) => name)])
  })

  test('names the newest of the lowest priority as the last, and counts who is ahead', () => {
    const queue = queueOf(
      waiter('low', { sequence: 1 }),
      waiter('lower, newer', { sequence: 4, tries: 1 }),
      waiter('high', { sequence: 5, priority: 10, eligible: there }),
    )
    expect(queue.last()?.name).toBe('lower, newer')
    expect([0, 5, 10, 20].map((priority) => queue.ahead(priority))).toEqual([3, 1, 1, 0])
  })

  test('gives what a sorted list gives, whoever comes and goes', () => {
    const random = seededRandom(7)
    const int = (below: number) => Math.floor(random.next() * below)
    const queue = new WaitQueue<Named>()
    const list: Named[] = []
    for (let sequence = 0; sequence < 3_000; sequence++) {
      const one = waiter(`${sequence}`, {
        sequence,
        priority: int(3),
        tries: int(2),
        eligible: [here, there][int(2)] as typeof here,
      })
      queue.add(one)
      list.push(one)
      if (int(3) > 0) queue.remove(list.splice(int(list.length), 1)[0] as Named)
      const sorted = [...list].sort((a, b) => b.priority - a.priority || a.sequence - b.sequence)
      expect(queue.first(0, anyone, anyone)).toBe(sorted[0])
      expect(queue.last()).toBe(sorted.at(-1))
      expect(queue.length).toBe(list.length)
    }
  })
})
