import { copyFileSync, existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Storage } from './storage.ts'
import { admitRecord, attemptRecord, MortalDisk, openTestStorage, settleRecord, temporaryDir } from './testing.ts'

const open = (dataDir: string, disk: MortalDisk) => openTestStorage(dataDir, { disk })
const rowsOf = (storage: Storage) => new Map([...storage.ledger.rows()].map((row) => [row.id, row]))

/** What the disk has promised to keep of one request. */
interface Promised {
  admitted: boolean
  marked: number
  settled: number | undefined
}

/** A few requests side by side, each a step at a time: begun, tried again, marked, settled. */
const histories = fc.array(
  fc.record({
    id: fc.integer({ min: 0, max: 7 }),
    step: fc.constantFrom('mark', 'mark', 'retry', 'settle'),
    /** Whether to wait for the disk before the next step. */
    waits: fc.boolean(),
  }),
  { maxLength: 60 },
)

test('a power cut takes nothing that was said to be safe, doubles nothing, and leaves each request one end', async () => {
  await fc.assert(
    fc.asyncProperty(histories, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean(), async (steps, share, wal) => {
      const place = temporaryDir()
      const ledgerFile = path.join(place.dir, 'ledger.db')
      try {
        const disk = new MortalDisk()
        const storage = await open(place.dir, disk)
        const promised = new Map<string, Promised>()
        const state = new Map<string, { n: number; marked: number; over: boolean }>()
        let last: Promise<void> = Promise.resolve()
        const append = (records: Parameters<Storage['journal']['append']>[0], keep: () => void) => {
          last = new Promise((resolve) =>
            storage.journal.append(records, (error) => {
              if (error === undefined) keep()
              resolve()
            }),
          )
        }
        for (const { id: number, step, waits } of steps) {
          const id = `r${number}`
          const now = state.get(id) ?? { n: 1, marked: 0, over: false }
          const kept = promised.get(id) ?? { admitted: false, marked: 0, settled: undefined }
          promised.set(id, kept)
          if (now.over) continue
          if (!state.has(id)) append([admitRecord(id), attemptRecord(id)], () => (kept.admitted = true))
          state.set(id, now)
          if (step === 'mark') {
            now.marked += 100
            const outputTokens = now.marked
            append([{ kind: 'mark', id, n: now.n, outputTokens }], () => (kept.marked = outputTokens))
          } else if (step === 'retry' && now.marked === 0) {
            const failed = {
              kind: 'outcome',
              id,
              n: now.n,
              wallMs: 1,
              failure: 'reset',
              status: null,
              tokens: null,
            } as const
            now.n++
            append([failed, attemptRecord(id, now.n)], () => {})
          } else if (step === 'settle') {
            now.over = true
            const output = now.marked + 7
            append([settleRecord(id, output, now.n)], () => (kept.settled = output))
          }
          if (waits) await last
        }
        await storage.project()
        // The ledger's own disk may have kept nothing since the last checkpoint.
        if (wal) copyFileSync(ledgerFile, `${ledgerFile}.kept`)
        disk.cut()
        await storage.close()
        disk.settle(share)
        if (wal && existsSync(`${ledgerFile}.kept`)) {
          for (const end of ['', '-wal', '-shm']) rmSync(ledgerFile + end, { force: true })
          copyFileSync(`${ledgerFile}.kept`, ledgerFile)
        }

        const again = await open(place.dir, new MortalDisk())
        const rows = rowsOf(again)
        for (const [id, { admitted, marked, settled }] of promised) {
          const row = rows.get(id)
          if (admitted) expect(row, id).toBeDefined()
          if (settled !== undefined) expect(row).toMatchObject({ state: 'ok', outputTokens: settled, estimated: false })
          if (row === undefined || row.state === 'ok') continue
          expect(row).toMatchObject({ state: 'partial', source: 'recovered', estimated: true })
          expect(row.outputTokens).toBeGreaterThanOrEqual(Math.max(marked, 64))
        }
        await again.close()
        const third = await open(place.dir, new MortalDisk())
        expect(rowsOf(third)).toEqual(rows)
        await third.close()
      } finally {
        place.remove()
      }
    }),
    { numRuns: 60, seed: 17 },
  )
}, 60_000)
