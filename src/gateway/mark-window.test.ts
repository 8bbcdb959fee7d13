import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { markWindowTokens as windowTokens } from '../adapters/storage/journal-record.ts'
import { MarkWindow } from './mark-window.ts'

describe('the mark window', () => {
  test('nothing is delivered above what is on disk, and what is on disk is at most a window above what was delivered', () => {
    const steps = fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 200 }), syncs: fc.boolean() }), {
      maxLength: 60,
    })
    fc.assert(
      fc.property(steps, (all) => {
        const asked: number[] = []
        let durable = windowTokens
        let counted = 0
        let delivered = 0
        const window = new MarkWindow((outputTokens) => {
          asked.push(outputTokens)
          // A crash may come when the mark is on disk and nothing more was delivered. A piece larger than the window
          // is delivered as a whole.
          expect(outputTokens).toBeLessThanOrEqual(Math.max(delivered + windowTokens, counted))
        })
        const sync = () => {
          const outputTokens = asked.shift()
          if (outputTokens === undefined) return
          durable = outputTokens
          // The host writes what it held as soon as it is covered.
          if (window.written(outputTokens)) delivered = counted
          expect(delivered).toBeLessThanOrEqual(durable)
        }
        for (const { tokens, syncs } of all) {
          counted += tokens
          if (window.covers(counted)) delivered = counted
          expect(delivered).toBeLessThanOrEqual(durable)
          if (syncs) sync()
          // Nothing comes while something waits.
          while (delivered < counted) {
            expect(asked.length).toBeGreaterThan(0)
            sync()
          }
        }
      }),
    )
  })

  test('a stream of single tokens never waits for a mark that syncs within half a window', () => {
    const waiting: { mark: number; dueAt: number }[] = []
    let at = 0
    const window = new MarkWindow((mark) => waiting.push({ mark, dueAt: at + windowTokens / 2 - 1 }))
    for (at = 1; at <= 1000; at++) {
      while (waiting[0] !== undefined && waiting[0].dueAt <= at)
        window.written((waiting.shift() as { mark: number }).mark)
      expect(window.covers(at)).toBe(true)
    }
  })
})
