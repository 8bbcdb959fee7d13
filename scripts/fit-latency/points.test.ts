import { describe, expect, test } from 'vitest'
import { readPoints } from './points.ts'

const usual = {
  id: 'one',
  model: 'openai/gpt-oss-120b',
  system: 'h200_sxm',
  backend: 'vllm',
  backend_version: '1',
  precision: 'fp4',
  mode: 'agg',
  isl: 1_024,
  osl: 1_024,
  concurrency: 8,
  gpus: 8,
  tp: 8,
  attn_dp: 1,
  moe_ep: 1,
  ttft_ms: 100,
  tpot_ms: 10,
  measured_date: '2026-01-01',
}
const read = (...rows: Partial<Record<keyof typeof usual, string | number>>[]) =>
  readPoints(
    [Object.keys(usual).join(','), ...rows.map((row) => Object.values({ ...usual, ...row }).join(','))].join('\n'),
  )

describe('measured points', () => {
  test('GPUs counted twice where experts are split are counted once', () => {
    const [point] = read({ gpus: 64, tp: 64, moe_ep: 8 })
    expect(point).toMatchObject({ gpus: 8, splitByExpert: true, splitByRequest: false })
    expect(read({ gpus: 16, tp: 4, attn_dp: 4, moe_ep: 16 })[0]).toMatchObject({ gpus: 4, splitByRequest: true })
    expect(read({ gpus: 8, tp: 8, moe_ep: 8 })[0]).toMatchObject({ gpus: 8 })
  })

  test('one measurement filed under two names, models or shapes is one', () => {
    const rows = [
      { model: 'deepseek-ai/DeepSeek-R1', gpus: 8, tp: 8, moe_ep: 8 },
      { model: 'nvidia/DeepSeek-R1-NVFP4', gpus: 64, tp: 64, moe_ep: 8, ttft_ms: 100.004 },
      { model: 'deepseek-ai/DeepSeek-V3', id: 'dsr1_h200', gpus: 64, tp: 64, moe_ep: 8, measured_date: '2025-12-01' },
    ]
    expect(read(...rows)).toEqual([expect.objectContaining({ weights: 'deepseek-r1', gpus: 8 })])
  })

  test('what was measured again with another outcome stays, the newest first', () => {
    const points = read({ ttft_ms: 200 }, { ttft_ms: 150, measured_date: '2026-02-01' })
    expect(points.map(({ firstTokenMs }) => firstTokenMs)).toEqual([150, 200])
  })

  test.each([
    ['prompts and answers in different places', { mode: 'disagg' }],
    ['more than one machine', { gpus: 36, tp: 36 }],
    ['the test’s own queue', { ttft_ms: 9_000, tpot_ms: 10 }],
    ['no time', { tpot_ms: '' }],
    ['a model of whose build nothing is known', { model: 'someone/Else' }],
  ])('left out: %s', (_name, row) => {
    expect(read(row)).toEqual([])
  })
})
