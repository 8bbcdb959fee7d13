import { describe, expect, test } from 'vitest'
import { Stream } from './stream.ts'

const draws = (stream: Stream, count: number) => Array.from({ length: count }, () => stream.next())

describe('a stream of random numbers', () => {
  test('gives the published words of Threefry-2x32-20', () => {
    // From the known-answer file of the authors' Random123: key 0 0, counter 0 0.
    const stream = new Stream(0, 0)
    expect([stream.nextInt32(), stream.nextInt32()]).toEqual([0x6b200159, 0x99ba4efe])
  })

  test('is the same for the same seed and entity, and another for another of either', () => {
    const first = draws(new Stream(7, 'tenant a'), 50)
    expect(draws(new Stream(7, 'tenant a'), 50)).toEqual(first)
    expect(draws(new Stream(8, 'tenant a'), 50)).not.toEqual(first)
    expect(draws(new Stream(7, 'tenant b'), 50)).not.toEqual(first)
  })

  test('draws exponential numbers with mean and deviation one', () => {
    const stream = new Stream(1, 'exponential')
    const values = Array.from({ length: 200_000 }, () => stream.exponential())
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    expect(mean).toBeCloseTo(1, 2)
    expect(variance).toBeCloseTo(1, 1)
    expect(values.filter((value) => value > 2).length / values.length).toBeCloseTo(0.1353, 2)
  })
})
