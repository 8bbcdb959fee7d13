import { describe, expect, test } from 'vitest'
import { classOf, Desk, endpointOf } from './testing.ts'

describe('a request that arrives', () => {
  test('goes to a place at once where there is one', () => {
    const desk = new Desk([endpointOf('a')])
    const id = desk.arrive()
    expect(desk.attempt).toMatchObject({ requestId: id, number: 1, endpoint: { id: 'a' } })
    expect(desk.scheduler.nextWakeMs()).toBeUndefined()
  })

  test('is refused at once where no place may serve it', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive({ eligible: desk.word('nowhere') })
    expect(desk.rejections).toMatchObject([{ code: 'no_eligible_endpoint', attempts: 0 }])
  })

  test('waits where its places are full, behind those of a higher priority, and then of its own that came before', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive()
    let running = desk.attempt.id
    const ids = [0, 10, 0, 20, 10].map((priority) => desk.arrive({ serviceClass: classOf(priority) }))
    const served = ids.map(() => {
      desk.complete(running)
      running = desk.attempt.id
      return desk.attempt.requestId
    })
    expect(served).toEqual([3, 1, 4, 0, 2].map((at) => ids[at]))
  })

  test('does not wait behind one that may not go where there is room', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.arrive({ eligible: desk.word('a') })
    desk.arrive({ eligible: desk.word('a'), serviceClass: classOf(30) })
    const id = desk.arrive()
    expect(desk.dispatched).toEqual([`${id} to b`])
  })

  test('waits no longer than it may', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive()
    const id = desk.arrive({ waitMsMax: 1_000 })
    desk.pass(999)
    expect(desk.rejections).toEqual([])
    desk.pass(1)
    expect(desk.rejections).toMatchObject([{ id, code: 'queue_timeout' }])
  })

  test('takes the place of the newest of the lowest priority where as many wait as may', () => {
    const desk = new Desk([endpointOf('a')], 'interactive', { queueLengthMax: 3 })
    desk.arrive()
    const [, newest] = [desk.arrive(), desk.arrive(), desk.arrive({ serviceClass: classOf(10) })]
    desk.arrive({ serviceClass: classOf(10) })
    expect(desk.rejections).toMatchObject([{ id: newest, code: 'overloaded' }])
    const late = desk.arrive()
    expect(desk.rejections).toMatchObject([{ id: late, code: 'overloaded' }])
  })

  test('twice is a bug', () => {
    const desk = new Desk([endpointOf('a')])
    const id = desk.arrive()
    expect(() => desk.arrive({ id })).toThrow('arrived twice')
  })
})

describe('a deadline that will be missed', () => {
  /** One place with two slots, both taken, where each of twenty requests took a second. */
  const busy = () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 2 })])
    for (let n = 0; n < 20; n++) {
      desk.arrive()
      const { id } = desk.attempt
      desk.nowMs += 400
      desk.answering(id)
      desk.nowMs += 600
      desk.complete(id)
    }
    desk.arrive()
    const { id } = desk.attempt
    desk.arrive()
    return { desk, id }
  }

  test('is told at once, with the wait that the line says', () => {
    const { desk } = busy()
    const facts = { waitMsMax: 2_000, eligible: desk.word() }
    for (let n = 0; n < 6; n++) {
      desk.arrive(facts)
      expect(desk.rejections).toEqual([])
    }
    desk.arrive(facts)
    // Six stand before it, two at a time, and one of the two that run has to end first: three seconds and a half.
    expect(desk.rejections).toMatchObject([{ code: 'overloaded', retryAfterMs: 3_500 }])
  })

  test('is not told for a line that may go elsewhere', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    for (let n = 0; n < 20; n++) {
      desk.arrive()
      const { id } = desk.attempt
      desk.nowMs += 1_000
      desk.complete(id)
    }
    const both = desk.word()
    for (let n = 0; n < 12; n++) desk.arrive({ eligible: both, serviceClass: classOf(20) })
    // Ten wait for either place; nobody but this one waits for the one alone, and it is not sure that they come here.
    const one = desk.arrive({ eligible: desk.word('a'), waitMsMax: 4_000 })
    expect(desk.rejections).toEqual([])
    desk.nowMs += 4_000
    desk.tell({ kind: 'woken' })
    expect(desk.rejections).toMatchObject([{ id: one, code: 'queue_timeout' }])
  })

  test('is that of the first token where somebody waits for it, else that of the end', () => {
    const { desk } = busy()
    // Half a second until a slot is free, two fifths until the first token, a whole one until the end.
    desk.arrive({ deadlineMs: desk.nowMs + 950 })
    expect(desk.rejections).toEqual([])
    desk.arrive({ deadlineMs: desk.nowMs + 950, serviceClass: classOf(10, { name: 'any/flex', tier: 'flex' }) })
    expect(desk.rejections).toMatchObject([{ code: 'overloaded' }])
  })

  test('takes nobody else a slot away, but one that nobody else wants', () => {
    const { desk, id } = busy()
    const late = desk.arrive({ deadlineMs: desk.nowMs + 1_000 })
    const next = desk.arrive({ serviceClass: classOf(0) })
    desk.nowMs += 700
    desk.complete(id)
    expect(desk.dispatched).toEqual([`${next} to a`])
    expect(desk.rejections).toMatchObject([{ id: late, code: 'queue_timeout' }])
    const running = desk.attempt.id
    const only = desk.arrive({ deadlineMs: desk.nowMs + 1_000 })
    desk.nowMs += 700
    desk.complete(running)
    expect(desk.dispatched).toEqual([`${only} to a`])
  })

  test('is not foreseen before it is known how long requests take', () => {
    const desk = new Desk([endpointOf('a')])
    for (let n = 0; n < 9; n++) desk.arrive({ waitMsMax: 10 })
    expect(desk.rejections).toEqual([])
  })
})

describe('a caller who leaves', () => {
  test('ends the try, and its slot goes to who waits', () => {
    const desk = new Desk([endpointOf('a')])
    const leaving = desk.arrive()
    const { id: attemptId } = desk.attempt
    const waiting = desk.arrive()
    desk.tell({ kind: 'request-cancelled', requestId: leaving })
    expect(desk.aborted).toEqual([attemptId])
    expect(desk.dispatched).toEqual([`${waiting} to a`])
    expect(() => desk.complete(attemptId)).toThrow('not running')
  })

  test('may leave twice', () => {
    const desk = new Desk([endpointOf('a')])
    const requestId = desk.arrive()
    desk.tell({ kind: 'request-cancelled', requestId })
    expect(desk.tell({ kind: 'request-cancelled', requestId })).toEqual([])
  })
})

describe('a try that fails', () => {
  test('is made again elsewhere, at another vendor first', () => {
    const desk = new Desk(
      [
        endpointOf('a/NL', { subProcessor: 'a', prices: { input: 1, cachedInput: 0, output: 1 } }),
        endpointOf('a/NO', { subProcessor: 'a', prices: { input: 2, cachedInput: 0, output: 2 } }),
        endpointOf('b/NL', { subProcessor: 'b', prices: { input: 9, cachedInput: 0, output: 9 } }),
      ],
      'cheapest',
    )
    const id = desk.arrive()
    expect(desk.attempt.endpoint.id).toBe('a/NL')
    desk.fail(desk.attempt.id, 'reset')
    expect(desk.attempt).toMatchObject({ requestId: id, number: 2, endpoint: { id: 'b/NL' } })
    desk.fail(desk.attempt.id, 'reset')
    expect(desk.attempt).toMatchObject({ number: 3, endpoint: { id: 'a/NO' } })
  })

  test('is made as often as it may be, and then refused with the last failure', () => {
    const desk = new Desk(
      ['a', 'b', 'c'].map((id) => endpointOf(id)),
      'interactive',
      { attemptsMax: 2 },
    )
    desk.arrive()
    desk.fail(desk.attempt.id, 'server-error')
    desk.fail(desk.attempt.id, { kind: 'broken', status: 200 })
    expect(desk.rejections).toMatchObject([
      { code: 'upstream_invalid_answer', attempts: 2, failure: { kind: 'broken', status: 200 } },
    ])
  })

  test('is not made again after the first byte: the request ends', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    const requestId = desk.arrive()
    const { id } = desk.attempt
    desk.answering(id)
    desk.fail(id, 'reset')
    expect(desk.attempts).toEqual([])
    expect(desk.tell({ kind: 'request-cancelled', requestId })).toEqual([])
  })

  test('is made once more, not twice, where no byte came in time', () => {
    const desk = new Desk(['a', 'b', 'c'].map((id) => endpointOf(id)))
    desk.arrive()
    desk.nowMs = 30_000
    desk.fail(desk.attempt.id, 'timed-out')
    desk.nowMs = 60_000
    desk.fail(desk.attempt.id, 'timed-out')
    expect(desk.rejections).toMatchObject([{ code: 'upstream_timeout', attempts: 2 }])
  })

  test('may be made again later than anybody may wait, and not after its deadline', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b'), endpointOf('c')])
    desk.arrive({ waitMsMax: 1_000, deadlineMs: 5_000 })
    desk.nowMs = 4_000
    desk.fail(desk.attempt.id, 'reset')
    expect(desk.attempt.number).toBe(2)
    desk.nowMs = 5_001
    desk.fail(desk.attempt.id, 'reset')
    expect(desk.rejections).toMatchObject([{ code: 'upstream_error', attempts: 2 }])
  })

  test('is made again at the only place, once, after a reset', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive()
    desk.fail(desk.attempt.id, 'reset')
    desk.fail(desk.attempt.id, 'reset')
    expect(desk.rejections).toMatchObject([{ code: 'upstream_error', attempts: 2 }])
  })

  test('for rate is made again at the only place, once its Retry-After is over', () => {
    const desk = new Desk([endpointOf('a')])
    const id = desk.arrive()
    desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 1_500 })
    desk.pass(1_499)
    expect(desk.attempts).toEqual([])
    desk.pass(1)
    expect(desk.dispatched).toEqual([`${id} to a`])
  })

  test('for rate is refused at once where Retry-After is longer than it may wait', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive({ waitMsMax: 1_000 })
    desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 7_000 })
    expect(desk.rejections).toMatchObject([{ code: 'overloaded', retryAfterMs: 7_000 }])
  })
})

describe('a try that a reload withdrew before it was made', () => {
  test('costs a request nothing, however often it happens', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 64 })])
    // Thirty at once: far above what the budget for retries allows.
    for (let request = 0; request < 30; request++) {
      desk.arrive()
      for (let number = 1; number < 7; number++) {
        expect(desk.attempt.number).toBe(number)
        desk.fail(desk.attempt.id, 'withdrawn')
      }
    }
  })
})

describe('a retry without leave', () => {
  const withoutLeave = () => {
    const desk = new Desk([endpointOf('bad', { concurrencyMax: 64 }), endpointOf('good', { concurrencyMax: 64 })])
    // Three retries are free; nothing else has been tried.
    const running = Array.from({ length: 8 }, () => {
      desk.arrive({ eligible: desk.word('bad') })
      return desk.attempt
    })
    const everywhere = desk.word()
    for (const { requestId } of running) desk.tell({ kind: 'eligibility-changed', requestId, eligible: everywhere })
    for (const { id } of running.slice(0, 4)) desk.fail(id, 'reset')
    expect(desk.attempts.map(({ number }) => number)).toEqual([2])
    return { desk, running: running.slice(4), everywhere }
  }

  test('waits for leave as long as others wait for room, while an open place is left', () => {
    const { desk, running, everywhere } = withoutLeave()
    const [first] = running
    desk.fail(first?.id as number, 'reset')
    expect(desk.attempts).toEqual([])
    desk.pass(5_000)
    expect(desk.rejections).toEqual([])
    // Others earn the leave; who comes next finds the retry ahead of it.
    const served = Array.from({ length: 3 }, () => {
      desk.arrive({ eligible: everywhere })
      return desk.attempts.map(({ requestId }) => requestId)
    })
    expect(served[2]?.[0]).toBe(first?.requestId)
  })

  test('gives up within a second where only bad places are left', () => {
    const { desk, running } = withoutLeave()
    desk.tell({ kind: 'endpoint-probed', endpointId: 'good', reachable: false })
    const [first] = running
    desk.fail(first?.id as number, 'reset')
    desk.pass(999)
    expect(desk.rejections).toEqual([])
    desk.pass(1)
    expect(desk.rejections).toMatchObject([{ id: first?.requestId, code: 'unavailable' }])
  })
})

describe('an ejected place', () => {
  const beside = () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 8 }), endpointOf('b', { concurrencyMax: 2 })])
    desk.eject('a')
    expect(desk.health('a')).toBe('ejected')
    return desk
  }

  test('is not asked while another has room', () => {
    const desk = beside()
    desk.arrive()
    desk.arrive()
    expect(desk.attempt.endpoint.id).toBe('b')
  })

  test('is asked where it is the only one: the last place is never ejected', () => {
    const desk = beside()
    const only = desk.word('a')
    for (let n = 0; n < 3; n++) {
      desk.arrive({ eligible: only })
      expect(desk.attempt.endpoint.id).toBe('a')
    }
  })

  test('is tried by one request when its time is over, and open once that is answered', () => {
    const desk = beside()
    desk.pass(30_000)
    expect(desk.health('a')).toBe('probing')
    desk.arrive()
    const trial = desk.attempt
    expect(trial.endpoint.id).toBe('a')
    desk.arrive()
    expect(desk.attempt.endpoint.id).toBe('b')
    desk.answering(trial.id)
    expect(desk.health('a')).toBe('open')
  })

  test('is tried ahead of its time, by one at a time, for those who wait in vain', () => {
    const desk = beside()
    desk.arrive()
    desk.arrive()
    const [first, second] = [desk.arrive(), desk.arrive()]
    desk.pass(900)
    expect(desk.attempts).toEqual([])
    desk.pass(200)
    expect(desk.dispatched).toEqual([`${first} to a`])
    desk.answering(desk.attempt.id)
    expect(desk.dispatched).toEqual([`${second} to a`])
  })

  test('is tried by one that is refused otherwise, also right after another failed there', () => {
    const desk = beside()
    desk.arrive()
    desk.arrive()
    const id = desk.arrive({ waitMsMax: 600 })
    desk.pass(549)
    expect(desk.attempts).toEqual([])
    desk.pass(1)
    expect(desk.dispatched).toEqual([`${id} to a`])
    desk.fail(desk.attempt.id, 'reset')
    desk.pass(50)
    expect(desk.rejections).toMatchObject([{ id, code: 'queue_timeout', attempts: 1 }])
  })

  test('that fails slowly is spared it: who is at the end of its wait shall not wait as long again', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 8 }), endpointOf('b')])
    const running = Array.from({ length: 5 }, () => {
      desk.arrive({ eligible: desk.word('a') })
      return desk.attempt
    })
    desk.arrive()
    desk.nowMs = 20_000
    for (const { id } of running) desk.fail(id, 'timed-out')
    expect(desk.health('a')).toBe('ejected')
    const id = desk.arrive({ waitMsMax: 10_000, eligible: desk.word() })
    desk.pass(10_000)
    expect(desk.dispatched).not.toContain(`${id} to a`)
    expect(desk.rejections).toMatchObject([{ id, code: 'queue_timeout', attempts: 0 }])
  })

  test('is asked like any other when more than half are ejected', () => {
    const desk = new Desk(['a', 'b', 'c'].map((id) => endpointOf(id)))
    desk.eject('a')
    desk.eject('b')
    for (let n = 0; n < 3; n++) {
      desk.arrive()
      expect(desk.attempts).toHaveLength(1)
    }
  })
})

describe('pinned routing', () => {
  test('waits for the first place while it is full, and passes it over when it fails', () => {
    const desk = new Desk([endpointOf('first'), endpointOf('second')], 'pinned')
    desk.arrive()
    const running = desk.attempt
    expect(running.endpoint.id).toBe('first')
    const waiting = desk.arrive()
    desk.pass(5_000)
    expect(desk.attempts).toEqual([])
    desk.fail(running.id, { kind: 'rate-limited', retryAfterMs: 60_000 })
    expect(desk.dispatched).toEqual([`${running.requestId} to second`])
    desk.complete(desk.attempt.id)
    expect(desk.dispatched).toEqual([`${waiting} to second`])
  })

  test('takes any place before it lets a request fail', () => {
    const desk = new Desk([endpointOf('first'), endpointOf('second')], 'pinned')
    desk.arrive()
    const id = desk.arrive({ waitMsMax: 1_000 })
    desk.pass(1_000)
    expect(desk.dispatched).toEqual([`${id} to second`])
  })
})

test('the last call goes to an open place before it goes to an ejected one', () => {
  const desk = new Desk(
    ['first', 'second', 'third'].map((id) => endpointOf(id)),
    'pinned',
  )
  desk.eject('second')
  desk.arrive()
  expect(desk.attempt.endpoint.id).toBe('first')
  const id = desk.arrive({ waitMsMax: 5_000 })
  desk.pass(5_000)
  expect(desk.dispatched).toEqual([`${id} to third`])
})

describe('a reload', () => {
  test('tells those who wait by their new word, and nobody gets a place by an old one', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    const old = desk.word()
    desk.arrive({ eligible: desk.word('a') })
    const running = desk.attempt
    const waiting = desk.arrive({ eligible: desk.word('a') })
    desk.setEndpoints([endpointOf('c'), endpointOf('a'), endpointOf('b')])
    desk.complete(running.id)
    expect(desk.attempts).toEqual([])
    desk.arrive({ eligible: old })
    expect(desk.attempts).toEqual([])
    desk.tell({ kind: 'eligibility-changed', requestId: waiting, eligible: desk.word('a') })
    expect(desk.dispatched).toEqual([`${waiting} to a`])
  })

  test('ends the wait of those who may go nowhere now', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive()
    const requestId = desk.arrive()
    desk.tell({ kind: 'eligibility-changed', requestId, eligible: desk.word('nowhere') })
    expect(desk.rejections).toMatchObject([{ id: requestId, code: 'no_eligible_endpoint' }])
  })

  test('gives nobody a slot of a place that has left the set', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.arrive({ eligible: desk.word('a') })
    const running = desk.attempt
    desk.setEndpoints([endpointOf('b')])
    desk.arrive()
    desk.arrive()
    desk.complete(running.id)
    expect(desk.attempts).toEqual([])
  })

  test('counts what still runs at a place that comes back', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.arrive({ eligible: desk.word('a') })
    desk.setEndpoints([endpointOf('b')])
    desk.setEndpoints([endpointOf('b'), endpointOf('a')])
    desk.arrive({ eligible: desk.word('a') })
    expect(desk.attempts).toEqual([])
  })

  test('starts a place that has moved to another country with a clean record', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.eject('a')
    desk.setEndpoints([endpointOf('a', { country: 'NO' }), endpointOf('b')])
    expect(desk.health('a')).toBe('open')
  })

  test('keeps what is known of a place that only changed its size', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.eject('a')
    desk.setEndpoints([endpointOf('a', { concurrencyMax: 9 }), endpointOf('b')])
    expect(desk.health('a')).toBe('ejected')
  })
})

describe('a probe', () => {
  test('takes a place out that cannot be reached, and in again', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.tell({ kind: 'endpoint-probed', endpointId: 'a', reachable: false })
    expect(desk.health('a')).toBe('down')
    desk.arrive()
    expect(desk.attempt.endpoint.id).toBe('b')
    const waiting = desk.arrive()
    desk.tell({ kind: 'endpoint-probed', endpointId: 'a', reachable: true })
    expect(desk.dispatched).toEqual([`${waiting} to a`])
  })
})

test('an explanation says who could serve now, and what keeps each other out', () => {
  const desk = new Desk(['full', 'held', 'gone', 'fine'].map((id) => endpointOf(id)))
  desk.arrive({ eligible: desk.word('full') })
  desk.arrive({ eligible: desk.word('held') })
  desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 20_000 })
  desk.eject('gone')
  const explained = desk.scheduler.explain('chat', desk.word(), 'acme/1', desk.nowMs)
  expect(explained.map(({ endpointId, removedBy }) => [endpointId, removedBy])).toEqual([
    ['full', 'full: 1 of 1 slots'],
    ['held', 'the vendor asked to be left alone for 20 s'],
    ['gone', 'ejected after failures for 30 s'],
    ['fine', undefined],
  ])
  expect(desk.scheduler.expectedWaitMs('chat', desk.word(), classOf(0), 'acme', desk.nowMs)).toBe(0)
  expect(desk.scheduler.expectedWaitMs('chat', desk.word('full'), classOf(0), 'acme', desk.nowMs)).toBeGreaterThan(0)
})
