import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Watchdog, type Watched } from './watchdog.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function watched(silenceMsMax: number): Watched & { fell: number } {
  return {
    silenceMsMax,
    silentMs: 0,
    slot: -1,
    fell: 0,
    fellSilent() {
      this.fell++
    },
  }
}

test('what is silent is given up once, not before its limit and soon after it', () => {
  const watchdog = new Watchdog(1_000)
  const one = watched(1_000)
  watchdog.watch(one)
  vi.advanceTimersByTime(999)
  expect(one.fell).toBe(0)
  vi.advanceTimersByTime(502)
  expect(one.fell).toBe(1)
  vi.advanceTimersByTime(10_000)
  expect(one.fell).toBe(1)
})

test('a sign of life begins the silence anew', () => {
  const watchdog = new Watchdog(1_000)
  const one = watched(1_000)
  watchdog.watch(one)
  for (let round = 0; round < 10; round++) {
    vi.advanceTimersByTime(900)
    one.silentMs = 0
  }
  expect(one.fell).toBe(0)
})

test('what was released is not given up, and nothing runs for nobody', () => {
  const watchdog = new Watchdog(1_000)
  const one = watched(1_000)
  watchdog.watch(one)
  watchdog.release(one)
  vi.advanceTimersByTime(5_000)
  expect(one.fell).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})
