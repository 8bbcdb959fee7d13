import { describe, expect, test } from 'vitest'
import { genAiBounds } from './gen-ai.ts'
import { Counter, Histogram, Reading } from './prometheus.ts'

describe('the text format', () => {
  test('counts by labels, and escapes what they hold', () => {
    const counter = new Counter('things_total', 'Things.', ['kind', 'name'])
    counter.add(1, 'a', 'say "x\\y"\nz')
    counter.add(2, 'a', 'say "x\\y"\nz')
    counter.add(5, 'b', '')
    expect(counter.render()).toBe(
      '# HELP things_total Things.\n# TYPE things_total counter\n' +
        'things_total{kind="a",name="say \\"x\\\\y\\"\\nz"} 3\nthings_total{kind="b",name=""} 5\n',
    )
  })

  test('says the type of what is read when asked', () => {
    const text = new Reading('counter', 'cpu_seconds_total', 'CPU.', [], () => [[[], 1.5]]).render()
    expect(text).toBe('# HELP cpu_seconds_total CPU.\n# TYPE cpu_seconds_total counter\ncpu_seconds_total 1.5\n')
  })

  test('sums a histogram up from bucket to bucket; a value on a bound is below it', () => {
    const histogram = new Histogram('wait_seconds', 'Wait.', ['model'], [0.5, 1])
    for (const seconds of [0.2, 0.5, 0.7, 1, 30]) histogram.observe(seconds, 'm')
    expect(histogram.render().split('\n').slice(2)).toEqual([
      'wait_seconds_bucket{model="m",le="0.5"} 2',
      'wait_seconds_bucket{model="m",le="1"} 4',
      'wait_seconds_bucket{model="m",le="+Inf"} 5',
      'wait_seconds_sum{model="m"} 32.4',
      'wait_seconds_count{model="m"} 5',
      '',
    ])
  })
})

test('the bounds double, quadruple and rise as the conventions say', () => {
  const { requestSeconds, tokens, timeToFirstTokenSeconds, timePerOutputTokenSeconds } = genAiBounds
  expect(requestSeconds).toEqual(Array.from({ length: 14 }, (_, power) => 2 ** power / 100))
  expect(tokens).toEqual(Array.from({ length: 14 }, (_, power) => 4 ** power))
  for (const bounds of [timeToFirstTokenSeconds, timePerOutputTokenSeconds])
    expect([...bounds].sort((a, b) => a - b)).toEqual(bounds)
})
