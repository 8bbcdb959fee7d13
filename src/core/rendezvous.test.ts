import { expect, test } from 'vitest'
import { hashText, rendezvousWeight } from './rendezvous.ts'

const places = Array.from({ length: 12 }, (_, n) => hashText(`chat/place-${n}`))
const homeOf = (affinity: string, among: readonly number[]) => {
  const hash = hashText(affinity)
  return among.reduce((best, place) => (rendezvousWeight(hash, place) > rendezvousWeight(hash, best) ? place : best))
}
const affinities = Array.from({ length: 6_000 }, (_, n) => `acme/${n}`)

test('affinities spread evenly over places', () => {
  const counts = new Map<number, number>()
  for (const affinity of affinities) {
    const home = homeOf(affinity, places)
    counts.set(home, (counts.get(home) ?? 0) + 1)
  }
  for (const place of places) {
    expect(counts.get(place)).toBeGreaterThan(400)
    expect(counts.get(place)).toBeLessThan(600)
  }
})

test('a place that goes away moves only what was its own', () => {
  const [gone, ...left] = places as [number, ...number[]]
  for (const affinity of affinities) {
    const before = homeOf(affinity, places)
    if (before !== gone) expect(homeOf(affinity, left)).toBe(before)
  }
})

test('the hash is the same on every machine', () => {
  // FNV-1a's published vectors.
  expect(hashText('')).toBe(0x811c9dc5 | 0)
  expect(hashText('a')).toBe(0xe40c292c | 0)
  expect(hashText('foobar')).toBe(0xbf9cf968 | 0)
})
