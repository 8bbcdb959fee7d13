import { expect, test } from 'vitest'
import { blockTokens, PrefixCache } from './prefix-cache.ts'

test('a beginning that was there before costs nothing again, and the rest of the prompt does', () => {
  const cache = new PrefixCache(10 * blockTokens)
  expect(cache.use([1, 2, 3])).toBe(0)
  expect(cache.use([1, 2, 4])).toBe(2 * blockTokens)
  expect(cache.use([9, 2, 3])).toBe(0)
})

test('what was not used for longest goes first, the end of a prompt before its beginning', () => {
  const cache = new PrefixCache(4 * blockTokens)
  cache.use([1, 2])
  cache.use([3, 4])
  cache.use([1, 2])
  cache.use([5])
  expect(cache.use([3, 4])).toBe(blockTokens)
})

test('a cache without room holds nothing', () => {
  const cache = new PrefixCache(0)
  cache.use([1, 2])
  expect(cache.use([1, 2])).toBe(0)
})
