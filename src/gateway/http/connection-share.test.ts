import { expect, test } from 'vitest'
import { connectionShare, descriptorsMax } from './connection-share.ts'

test.each([
  [20_000, 1_048_576, 20_000],
  [20_000, 1_024, 480],
  [20_000, 256, 96],
  [50, 256, 50],
  [20_000, Number.POSITIVE_INFINITY, 20_000],
  [20_000, 32, 1],
])('of %i wanted connections and %i descriptors, clients get %i', (wanted, descriptors, connections) => {
  expect(connectionShare(wanted, descriptors)).toBe(connections)
})

test('this process may have some descriptors open', () => {
  expect(descriptorsMax()).toBeGreaterThan(64)
})
