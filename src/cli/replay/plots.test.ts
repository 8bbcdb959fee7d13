import { describe, expect, test } from 'vitest'
import { linearScale, linePlot, logScale, timeScale } from './plots.ts'

describe('a scale', () => {
  test('of numbers begins at zero and ends at a round one', () => {
    expect(linearScale('', 37).ticks).toEqual([0, 10, 20, 30, 40])
    expect(linearScale('', 0.03).ticks).toEqual([0, 0.01, 0.02, 0.03])
    expect(linearScale('', 0).ticks).toEqual([0, 1])
    expect(linearScale('', 37).at(20)).toBe(0.5)
  })

  test('of time fills the plot, in seconds or in minutes', () => {
    const short = timeScale(126)
    expect(short.ticks).toEqual([0, 25, 50, 75, 100, 125])
    expect(short.at(126)).toBe(1)
    const long = timeScale(3_600)
    expect(long.ticks.map(long.format)).toEqual(['0', '10', '20', '30', '40', '50', '60'])
    expect(long.label).toContain('minutes')
  })

  test('of powers holds every value and shows few of its steps', () => {
    for (const [min, max] of [
      [0.1, 0.1],
      [1, 1_000],
      [37, 41],
      [0.5, 3_000_000],
    ] as const) {
      const scale = logScale('', min, max)
      expect(scale.at(min)).toBeGreaterThanOrEqual(0)
      expect(scale.at(max)).toBeLessThanOrEqual(1)
      expect(scale.ticks.length).toBeGreaterThanOrEqual(2)
      expect(scale.ticks.length).toBeLessThanOrEqual(10)
    }
    expect(logScale('', 20, 10_000).at(447.2136)).toBeCloseTo(0.5, 6)
  })
})

test('parts of the time are shaded over its plot, no wider than it', () => {
  const curve = { name: 'one', points: [[0, 1] as const, [100, 1] as const] }
  const shaded = linePlot([curve], timeScale(100), linearScale('', 1), [
    [20, 50],
    [90, 300],
  ])
  expect(shaded.match(/<rect x="[\d.]+" width="[\d.]+"/g)).toEqual([
    '<rect x="20" width="30"',
    '<rect x="90" width="10"',
  ])
  expect(linePlot([curve], timeScale(100), linearScale('', 1))).not.toContain('<rect')
})
