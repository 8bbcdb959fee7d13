import { describe, expect, test } from 'vitest'
import table from './performance.json' with { type: 'json' }
import { Accelerator, type AcceleratorName } from './performance.ts'

const names = Object.keys(table) as AcceleratorName[]

describe.each(names)('the times of %s', (name) => {
  const accelerator = new Accelerator(name)
  const { input1024, input8192 } = table[name]

  test('are the measured ones where something was measured', () => {
    for (const [inFlight = 0, firstMs = 0, tokenMs] of input1024) {
      expect(accelerator.firstTokenMs(1_024, inFlight)).toBeCloseTo(firstMs, 6)
      expect(accelerator.perTokenMs(inFlight)).toBe(tokenMs)
    }
    for (const [inFlight = 0, firstMs = 0] of input8192)
      expect(accelerator.firstTokenMs(8_192, inFlight)).toBeCloseTo(firstMs, 6)
  })

  test('grow as it fills and as prompts do', () => {
    for (let inFlight = 1; inFlight < 64; inFlight++)
      expect(accelerator.perTokenMs(inFlight + 1)).toBeGreaterThanOrEqual(accelerator.perTokenMs(inFlight))
    expect(accelerator.firstTokenMs(1_024, 64)).toBeGreaterThan(accelerator.firstTokenMs(1_024, 1))
    for (let tokens = 1_024; tokens < 100_000; tokens *= 2)
      expect(accelerator.firstTokenMs(2 * tokens, 8)).toBeGreaterThan(accelerator.firstTokenMs(tokens, 8))
  })

  test('are never none, not even for an empty prompt', () => {
    expect(accelerator.firstTokenMs(0, 1)).toBeGreaterThanOrEqual(10)
    expect(accelerator.perTokenMs(0)).toBeGreaterThan(0)
  })
})
