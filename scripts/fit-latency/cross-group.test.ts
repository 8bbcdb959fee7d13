import { describe, expect, test } from 'vitest'
import { predictTimes } from './cross-group.ts'
import type { Point } from './points.ts'

/** Made-up replicas: H200 half as fast as B200, and gpt-oss in all things 1.3 times as slow as physics has it. */
function points(accelerator: 'h200' | 'b200', weights: string): Point[] {
  const slowness = (accelerator === 'h200' ? 2 : 1) * (weights === 'gpt-oss-120b' ? 1.3 : 1)
  return [1_024, 8_192].flatMap((input) =>
    [4, 8, 16, 32, 64].map((concurrency) => ({
      accelerator,
      weights,
      precision: 'fp8',
      engine: 'vllm',
      version: '1',
      gpus: 8,
      splitByRequest: false,
      splitByExpert: false,
      input,
      output: 1_024,
      concurrency,
      firstTokenMs: slowness * (50 + 0.0005 * input * concurrency),
      eachTokenMs: slowness * (5 + 0.1 * concurrency),
    })),
  )
}

describe('times of replicas that nobody measured', () => {
  const asked = points('h200', 'gpt-oss-120b')
  const known = [
    ...points('h200', 'minimax-m2.5'),
    ...points('b200', 'minimax-m2.5'),
    ...points('b200', 'gpt-oss-120b'),
  ]

  test.each(['first', 'each'] as const)(
    'are told from the model elsewhere and from the accelerator at other models: %s token',
    (which) => {
      const errors = predictTimes(which, known, asked).map((ms, i) => {
        const { firstTokenMs, eachTokenMs } = asked[i] as Point
        return Math.abs(ms / (which === 'first' ? firstTokenMs : eachTokenMs) - 1)
      })
      expect(Math.max(...errors)).toBeLessThan(0.25)
    },
  )
})
