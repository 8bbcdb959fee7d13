import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../core/endpoint.ts'
import { isEligible } from '../core/request.ts'
import { EligibilityTable, locationAllowed, type Terms } from './eligibility.ts'

const endpoint = (index: number, country: string, subProcessor: string, model = 'chat'): Endpoint => ({
  id: `${model}/p${index}`,
  index,
  model,
  country,
  subProcessor,
  concurrencyMax: 1,
})
const terms = (
  countries: Terms['countries'],
  subProcessors: Terms['subProcessors'],
  allowSubstitutes = false,
): Terms => ({ countries, subProcessors, allowSubstitutes })

const plain = { substitutes: false, pricedOnly: false }

describe('eligibility', () => {
  const table = new EligibilityTable(
    [
      endpoint(0, 'GB', 'microsoft'),
      endpoint(1, 'NL', 'google-cloud'),
      endpoint(2, 'NL', 'microsoft'),
      endpoint(3, 'NL', 'microsoft', 'other'),
    ],
    7,
  )

  test('needs both the country and the sub-processor to be allowed', () => {
    const { eligible, excluded } = table.lookup(terms(['NL'], ['microsoft']), 'chat', plain)
    expect([...eligible.indices]).toEqual([2])
    expect(eligible.version).toBe(7)
    expect(excluded.map(({ endpointId, rule }) => [endpointId, rule])).toEqual([
      ['chat/p0', 'country'],
      ['chat/p1', 'sub-processor'],
    ])
  })

  test('of empty terms is empty: nothing is allowed that is not said', () => {
    expect(table.lookup(terms([], 'any'), 'chat', plain).eligible.indices).toHaveLength(0)
    expect(table.lookup(terms('any', []), 'chat', plain).eligible.indices).toHaveLength(0)
  })

  test('of an unknown place is none, even for any', () => {
    const unknown = new EligibilityTable([endpoint(0, '', 'microsoft'), endpoint(1, 'NL', '')], 1)
    expect(unknown.lookup(terms('any', 'any'), 'chat', plain).eligible.indices).toHaveLength(0)
    expect(locationAllowed(terms('any', 'any'), { country: '', subProcessor: 'self' })).toBe(false)
  })

  test('of substitutes has to be agreed to', () => {
    expect(table.lookup(terms('any', 'any'), 'chat', { ...plain, substitutes: true }).eligible.indices).toHaveLength(0)
    expect(
      new EligibilityTable([endpoint(0, 'NL', 'self')], 1).lookup(terms('any', 'any', true), 'chat', {
        ...plain,
        substitutes: true,
      }).eligible.indices,
    ).toHaveLength(1)
  })

  test('under a budget in money is only what has a price', () => {
    const priced = { ...endpoint(0, 'NL', 'self'), prices: { input: 1, cachedInput: 1, output: 2 } }
    const mixed = new EligibilityTable([priced, endpoint(1, 'NL', 'self')], 1)
    const { eligible, excluded } = mixed.lookup(terms('any', 'any'), 'chat', { ...plain, pricedOnly: true })
    expect([...eligible.indices]).toEqual([0])
    expect(excluded.map(({ endpointId, rule }) => [endpointId, rule])).toEqual([['chat/p1', 'price']])
    expect([...mixed.lookup(terms('any', 'any'), 'chat', plain).eligible.indices]).toEqual([0, 1])
  })

  test('of equal terms is the same object, whatever their order', () => {
    expect(table.lookup(terms(['GB', 'NL'], 'any'), 'chat', plain)).toBe(
      table.lookup(terms(['NL', 'GB', 'NL'], 'any'), 'chat', plain),
    )
  })

  test('never reaches outside the terms', () => {
    const countries = ['GB', 'NL', 'NO', 'US']
    const entities = ['microsoft', 'google-cloud', 'self']
    const allowed = <T>(all: readonly T[]) => fc.oneof(fc.constant('any' as const), fc.subarray([...all]))
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.constantFrom(...countries), fc.constantFrom(...entities), fc.constantFrom('chat', 'other')),
          { maxLength: 80 },
        ),
        allowed(countries),
        allowed(entities),
        (places, someCountries, someEntities) => {
          const endpoints = places.map(([country, entity, model], index) => endpoint(index, country, entity, model))
          const { eligible, excluded } = new EligibilityTable(endpoints, 1).lookup(
            terms(someCountries, someEntities),
            'chat',
            plain,
          )
          for (const one of endpoints) {
            const lawful =
              one.model === 'chat' &&
              (someCountries === 'any' || someCountries.includes(one.country)) &&
              (someEntities === 'any' || someEntities.includes(one.subProcessor))
            expect(isEligible(eligible, one.index)).toBe(lawful)
            expect([...eligible.indices].includes(one.index)).toBe(lawful)
          }
          expect(excluded.length + eligible.indices.length).toBe(
            endpoints.filter(({ model }) => model === 'chat').length,
          )
        },
      ),
    )
  })
})
