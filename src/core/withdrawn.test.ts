import { expect, test } from 'vitest'
import type { Attempt } from './events.ts'
import { seededRandom } from './random.ts'
import { eligibilityOf } from './request.ts'
import { Scheduler } from './scheduler.ts'

test('a try that a reload withdrew before it was made costs a request nothing, however often it happens', () => {
  const scheduler = new Scheduler({ attemptsMax: 3, queueLengthMax: 100 }, seededRandom(1))
  const endpoint = { id: 'm/a', index: 0, model: 'm', subProcessor: 'self', country: 'NL', concurrencyMax: 64 }
  scheduler.handle({ kind: 'endpoints-changed', version: 1, endpoints: [endpoint], routing: { m: 'interactive' } }, 0)
  const dispatched = (actions: ReturnType<Scheduler['handle']>): Attempt => {
    const [action] = actions
    if (action?.kind !== 'dispatch') throw new Error(`expected a try, got ${JSON.stringify(actions)}`)
    return action.attempt
  }
  // Thirty at once: far above what the budget for retries allows.
  for (let i = 0; i < 30; i++) {
    const request = {
      id: `r${i}`,
      tenant: 'acme',
      priority: 1,
      model: 'm',
      arrivedAtMs: 0,
      waitMsMax: 10_000,
      deadlineMs: 10_000,
      tokens: { input: 1, cachedInput: 0, output: 1 },
      eligible: eligibilityOf([0], 1, 1),
    }
    let attempt = dispatched(scheduler.handle({ kind: 'request-arrived', request }, 0))
    for (let number = 2; number < 7; number++) {
      const withdrawn = { kind: 'attempt-failed', attemptId: attempt.id, failure: { kind: 'withdrawn' } } as const
      attempt = dispatched(scheduler.handle(withdrawn, 0))
      expect(attempt.number).toBe(number)
    }
  }
})
