import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlatMap } from './flat-map.ts'

/** What a map may be told, in an order that adds, changes and removes the same few keys again and again. */
const steps = fc.array(fc.tuple(fc.constantFrom('set', 'delete'), fc.nat({ max: 300 })), { maxLength: 2_000 })

describe.each<[string, (n: number) => string | number]>([
  ['texts', (n) => `req_4f898d614e34${n.toString(36)}`],
  ['numbers', (n) => n],
  ['numbers far apart', (n) => n * 65_536],
])('a flat map by %s', (_what, keyOf) => {
  test('holds at any time what a map would hold', () => {
    fc.assert(
      fc.property(steps, (told) => {
        const flat = new FlatMap<string | number, number>()
        const map = new Map<string | number, number>()
        for (const [index, [what, n]] of told.entries()) {
          const key = keyOf(n)
          if (what === 'set') {
            flat.set(key, index)
            map.set(key, index)
          } else expect(flat.delete(key)).toBe(map.delete(key))
          expect(flat.size).toBe(map.size)
        }
        for (let n = 0; n <= 300; n++) {
          expect(flat.get(keyOf(n))).toBe(map.get(keyOf(n)))
          expect(flat.has(keyOf(n))).toBe(map.has(keyOf(n)))
        }
        expect(flat.values().sort((a, b) => a - b)).toEqual([...map.values()].sort((a, b) => a - b))
      }),
      { numRuns: 50 },
    )
  })
})

test('an undefined value is a value', () => {
  const flat = new FlatMap<string, undefined>()
  flat.set('a', undefined)
  expect(flat.has('a')).toBe(true)
  expect(flat.values()).toEqual([undefined])
})
