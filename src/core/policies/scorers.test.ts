import { expect, test } from 'vitest'
import type { Endpoint } from '../endpoint.ts'
import { EndpointState } from '../endpoint-state.ts'
import { endpointOf } from '../testing.ts'
import { fastFirstToken, lightLoad, lowPrice } from './scorers.ts'

const place = (setting: Partial<Endpoint> = {}) => new EndpointState(endpointOf('a', { concurrencyMax: 4, ...setting }))

test('a first token after half a second is worth half of one at once', () => {
  const state = place()
  state.started(false, 0)
  expect(fastFirstToken(state, 500)).toBe(0.5)
  expect(fastFirstToken(state, 1_500)).toBe(0.25)
})

test('a load is light by the share of free slots', () => {
  const state = place()
  expect(lightLoad(state, 0)).toBe(1)
  state.started(false, 0)
  expect(lightLoad(state, 0)).toBe(0.75)
})

test('a dollar for a million mixed tokens is worth half of none, and no known price nothing', () => {
  expect(lowPrice(place({ prices: { input: 0, cachedInput: 0, output: 0 } }))).toBe(1)
  expect(lowPrice(place({ prices: { input: 1, cachedInput: 0, output: 1 } }))).toBe(0.5)
  expect(lowPrice(place())).toBe(0)
})
