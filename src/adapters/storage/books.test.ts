import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { attemptCostNanoUsd, type JournalRecord } from './journal-record.ts'
import { SqliteLedger } from './ledger.ts'
import { ledgerMigrations, migrate } from './migrations.ts'
import { type Ended, OpenRequests } from './open-requests.ts'
import { recoveredEnd } from './recover.ts'
import { admitRecord, attemptRecord, settleRecord } from './testing.ts'

function emptyLedger(): { database: DatabaseSync; ledger: SqliteLedger } {
  const database = new DatabaseSync(':memory:')
  migrate(database, ledgerMigrations, 'ledger.db')
  return { database, ledger: new SqliteLedger(database, () => new OpenRequests()) }
}

/** One request as it may go: tries that fail, some of which the vendor bills, and an end, or a crash. */
const lives = fc.record({
  tenant: fc.constantFrom('acme', 'other'),
  stream: fc.boolean(),
  hold: fc.nat(1_000_000),
  failures: fc.array(
    fc.record({ billed: fc.option(fc.record({ input: fc.nat(500), output: fc.nat(50) }), { nil: null }) }),
    { maxLength: 3 },
  ),
  vendor: fc.constantFrom('microsoft', 'google-cloud', 'self'),
  price: fc.option(fc.record({ input: fc.nat(5_000), cachedInput: fc.nat(1_000), output: fc.nat(9_000) }), {
    nil: null,
  }),
  end: fc.constantFrom('ok', 'partial', 'cancelled', 'failed', 'crash', 'refused'),
  tokens: fc.record({ input: fc.nat(5_000), output: fc.nat(2_000) }),
  marked: fc.nat(2_000),
})
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never

/** Its records, and what by right each side of the books must say of it. */
function lived(id: string, life: Life): { records: JournalRecord[]; charged: number; owed: Map<string, number> } {
  const { tenant, failures, vendor, price, end, marked } = life
  const owed = new Map<string, number>()
  const owe = (nanoUsd: number) => owed.set(vendor, (owed.get(vendor) ?? 0) + nanoUsd)
  if (end === 'refused') {
    const { wallMs, keyId, model } = admitRecord(id)
    const refuse = {
      kind: 'refuse',
      id,
      wallMs,
      tenant,
      keyId,
      model,
      status: 429,
      code: 'rate_limit_exceeded',
    } as const
    return { records: [refuse], charged: 0, owed }
  }
  const records: JournalRecord[] = [{ ...admitRecord(id, tenant), stream: life.stream, holdNanoUsd: life.hold }]
  const attempt = (n: number) => records.push({ ...attemptRecord(id, n), subProcessor: vendor, prices: price })
  for (const [index, { billed }] of failures.entries()) {
    attempt(index + 1)
    const tokens = billed === null ? null : { ...billed, cachedInput: 0 }
    records.push({ kind: 'outcome', id, n: index + 1, wallMs: 1, failure: 'reset', status: null, tokens })
    if (tokens !== null && price !== null) owe(attemptCostNanoUsd(tokens, price))
  }
  const n = failures.length + 1
  attempt(n)
  if (end === 'crash') {
    if (marked > 0) records.push({ kind: 'mark', id, n, outputTokens: marked })
    const delivered = { input: 100, cachedInput: 0, output: life.stream ? Math.max(64, marked) : 0 }
    const nanoUsd = price === null ? 0 : attemptCostNanoUsd(delivered, price)
    owe(nanoUsd)
    return { records, charged: life.stream ? nanoUsd : 0, owed }
  }
  const tokens = { ...life.tokens, cachedInput: Math.floor(life.tokens.input / 3) }
  const nanoUsd = price === null ? 0 : attemptCostNanoUsd(tokens, price)
  records.push({ ...settleRecord(id, 0, n), state: end, tokens, nanoUsd })
  owe(nanoUsd)
  return { records, charged: nanoUsd, owed }
}

function accounts(database: DatabaseSync): Map<string, bigint> {
  const statement = database.prepare('select account, sum(nano_usd) as sum from entries group by account')
  statement.setReadBigInts(true)
  return new Map(statement.all().map((row) => [String(row['account']), row['sum'] as bigint]))
}

describe('the books', () => {
  test('of 10,000 histories balance: tenants pay for requests, vendors are owed for attempts, all together is zero', () => {
    const { database, ledger } = emptyLedger()
    const tenants = new Map<string, number>()
    const vendors = new Map<string, number>()
    let history = 0
    let holds = 0
    const add = (to: Map<string, number>, key: string, value: number) => to.set(key, (to.get(key) ?? 0) + value)
    fc.assert(
      fc.property(fc.array(lives, { maxLength: 4 }), fc.nat(3), (some, replays) => {
        history++
        const all = some.map((life, index) => lived(`h${history}-${index}`, life))
        // Side by side, one record of each in turn.
        const records: JournalRecord[] = []
        for (let at = 0; at < 12; at++) for (const one of all) records.push(...one.records.slice(at, at + 1))
        for (const [index, { charged, owed }] of all.entries()) {
          const { tenant, hold, end } = some[index] as Life
          add(tenants, tenant, charged)
          if (end !== 'refused') holds += hold
          for (const [vendor, nanoUsd] of owed) add(vendors, vendor, nanoUsd)
        }
        // Read again and again, as after crashes that lost the cursor.
        for (let round = 0; round <= replays; round++) {
          const requests = new OpenRequests()
          const ended: Ended[] = []
          const take = (record: JournalRecord, seq: number) => {
            const one = requests.take({ seq, record })
            if (one !== undefined) ended.push(one)
          }
          records.forEach(take)
          for (const request of requests.all()) recoveredEnd(request, 1).forEach(take)
          expect(requests.all()).toEqual([])
          ledger.write(ended, 0)
        }
      }),
      { numRuns: 10_000, seed: 23 },
    )
    expect(history).toBe(10_000)
    const balances = accounts(database)
    for (const [tenant, nanoUsd] of tenants) expect(balances.get(`tenant/${tenant}`), tenant).toBe(BigInt(nanoUsd))
    for (const [vendor, nanoUsd] of vendors) expect(balances.get(`vendor/${vendor}`), vendor).toBe(BigInt(-nanoUsd))
    expect([...balances.values()].reduce((sum, one) => sum + one, 0n)).toBe(0n)
    expect([...balances.keys()].sort()).toEqual(
      [
        'purchases',
        'sales',
        'tenant/acme',
        'tenant/other',
        'vendor/google-cloud',
        'vendor/microsoft',
        'vendor/self',
      ].sort(),
    )
    const held = database.prepare('select sum(hold_nano_usd) as held from requests').get()
    expect(held).toEqual({ held: holds })
  }, 60_000)

  test('are added to and never changed', () => {
    const { database, ledger } = emptyLedger()
    const requests = new OpenRequests()
    const records = [admitRecord('a'), attemptRecord('a'), settleRecord('a')]
    const ended = records.flatMap((record, index) => requests.take({ seq: index + 1, record }) ?? [])
    ledger.write(ended, 3)
    const hash = () =>
      createHash('sha256')
        .update(
          JSON.stringify([
            database.prepare('select * from requests').all(),
            database.prepare('select * from attempts').all(),
          ]),
        )
        .digest('hex')
    const before = hash()
    for (const table of ['requests', 'attempts']) {
      expect(() => database.exec(`update ${table} set endpoint = 'x'`)).toThrow(/not changed/)
      expect(() => database.exec(`delete from ${table}`)).toThrow(/not deleted/)
    }
    ledger.write(ended, 3)
    expect(hash()).toBe(before)
  })
})
