import { beforeEach, describe, expect, test } from 'vitest'
import { type Credentials, headerCredentials, type Token, tokenCredentials } from './credentials.ts'

const request = { method: 'POST', origin: 'http://vendor.test', path: '/', body: undefined } as const
const hourMs = 3_600_000

describe('a token', () => {
  let nowMs: number
  let fetched: number
  let answer: () => Promise<Token>
  let credentials: Credentials

  beforeEach(() => {
    nowMs = 1_000_000
    fetched = 0
    answer = async () => ({ value: `t${fetched}`, expiresWallMs: nowMs + hourMs })
    credentials = tokenCredentials(
      () => {
        fetched++
        return answer()
      },
      { nowMs: () => nowMs, wallMs: () => nowMs },
    )
  })
  const shown = async () => (await credentials.headers(request))[1]

  test('is fetched once for all that ask at the same time, and kept', async () => {
    expect(await Promise.all(Array.from({ length: 100 }, shown))).toEqual(Array(100).fill('Bearer t1'))
    nowMs += hourMs / 2
    expect(credentials.headers(request)).toEqual(['authorization', 'Bearer t1'])
    expect(fetched).toBe(1)
  })

  test('is renewed five minutes before it expires, while requests go on with the old one', async () => {
    await shown()
    nowMs += hourMs - 290_000
    for (let round = 0; round < 10; round++) expect(credentials.headers(request)).toContain('Bearer t1')
    expect(fetched).toBe(2)
    await Promise.resolve()
    await expect.poll(shown).toBe('Bearer t2')
    expect(fetched).toBe(2)
  })

  test('that has expired is waited for', async () => {
    await shown()
    nowMs += hourMs
    expect(await shown()).toBe('Bearer t2')
  })

  test('that cannot be had fails all who ask with the reason, and its endpoint is left alone for longer and longer', async () => {
    answer = async () => {
      throw new Error('no token today')
    }
    const calls: number[] = []
    for (let second = 0; second < 100; second++) {
      const before = fetched
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, shown))
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { message: 'no token today' } })
      if (fetched > before) calls.push(second)
      nowMs += 1_000
    }
    expect(calls).toEqual([0, 1, 3, 7, 15, 31, 61, 91])
    answer = async () => ({ value: 'well', expiresWallMs: nowMs + hourMs })
    nowMs += 30_000
    expect(await shown()).toBe('Bearer well')
  })

  test('whose renewal fails is used as long as it is good', async () => {
    await shown()
    answer = () => Promise.reject(new Error('no token today'))
    nowMs += hourMs - 290_000
    for (let round = 0; round < 100; round++) {
      expect(await shown()).toBe('Bearer t1')
      nowMs += 1_000
    }
    expect(fetched).toBeLessThan(10)
  })

  test('that the vendor does not take is fetched anew, but not for each request', async () => {
    await shown()
    credentials.refused?.()
    expect(await shown()).toBe('Bearer t1')
    nowMs += 60_000
    credentials.refused?.()
    expect(await shown()).toBe('Bearer t2')
  })
})

describe('a key', () => {
  test('stands in its header', () => {
    expect(headerCredentials('api-key', 'sk-1').headers(request)).toEqual(['api-key', 'sk-1'])
  })

  test.each(['two\nlines', 'ends in a blank ', 'ключ', ''])('that cannot stand in a header is refused: %j', (key) => {
    expect(() => headerCredentials('api-key', key)).toThrow(/the key holds/)
  })
})
