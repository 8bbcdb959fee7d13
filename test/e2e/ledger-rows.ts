import { expect } from 'vitest'
import type { UsageRow } from '../../src/adapters/storage/storage.ts'
import type { GatewayProcess } from './gateway-process.ts'

/** Every row of the ledger by its id, as the command line exports them. */
export async function exportedRows(running: GatewayProcess): Promise<Map<string, UsageRow>> {
  const { code, out, err } = await running.command('usage', 'export', '--json')
  if (code !== 0) throw new Error(err)
  const byId = new Map<string, UsageRow>()
  for (const row of JSON.parse(out) as UsageRow[]) {
    expect(byId.has(row.id), `${row.id} stands twice in the ledger`).toBe(false)
    byId.set(row.id, row)
  }
  return byId
}
