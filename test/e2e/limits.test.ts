import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, until } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { acmeKey, otherKey, startOver } from './setting.ts'
import { streamChat } from './stream-chat.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeEach(async () => {
  vendor = await FakeVendor.start()
})
afterEach(async () => {
  await gateway?.dispose()
  await vendor.down()
})

/** Input is a dollar, output two dollars for a million tokens; the vendor counts 11 tokens of input. */
const nanoUsdOf = (outputTokens: number) => 11 * 1_000 + outputTokens * 2_000
const start = async (acme: string, extra: Parameters<typeof startOver>[1] = {}) => {
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'GB' }], {
    acme,
    concurrencyMax: 500,
    ...extra,
  })
}
const ask = (maxTokens: number | undefined, options: { leavesAfterMs?: number } = {}) =>
  streamChat(gateway.port, { maxTokens, ...options })
const burst = (count: number, maxTokens: number | undefined) =>
  Promise.all(Array.from({ length: count }, () => ask(maxTokens)))

/** An answer that is not streamed. */
async function whole(key: string, maxTokens?: number): Promise<{ status: number; code: string | undefined }> {
  const answer = await fetch(`${gateway.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'chat-large',
      messages: [{ role: 'user', content: 'hi' }],
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    }),
  })
  const body = (await answer.json()) as { error?: { code: string } }
  return { status: answer.status, code: body.error?.code }
}

async function spentNanoUsd(tenant = 'acme'): Promise<number> {
  const rows = await exportedRows(gateway)
  return [...rows.values()].filter((row) => row.tenant === tenant).reduce((sum, { nanoUsd }) => sum + nanoUsd, 0)
}

describe('a budget in dollars', () => {
  test('is never overshot by three bursts of 100 at once that say how long their answers may be', {
    timeout: 60_000,
  }, async () => {
    const budgetNanoUsd = 40 * nanoUsdOf(50)
    await start(`budgetUsdPerMonth: ${budgetNanoUsd / 1e9}`)
    vendor.behaviour = { everyMs: 2 }
    const seen = [...(await burst(100, 50)), ...(await burst(100, 50)), ...(await burst(100, 50))]
    // The vendor gives all that it may: as many as the money is for, less what the bound on the input holds too much.
    const answered = seen.filter(({ whole: all }) => all).length
    expect(answered).toBeGreaterThan(20)
    expect(answered).toBeLessThanOrEqual(40)
    for (const { status, code, whole: all } of seen)
      if (!all) expect({ status, code }).toEqual({ status: 429, code: 'insufficient_quota' })
    const spent = await spentNanoUsd()
    expect(spent).toBe(answered * nanoUsdOf(50))
    expect(spent).toBeLessThanOrEqual(budgetNanoUsd)
    // One that fits into what is left is still served, and the other tenant never noticed.
    expect((await whole(acmeKey, 1)).status).toBe(200)
    expect((await whole(otherKey, 50)).status).toBe(200)
  })

  test('is not overshot by answers without a maximum: they are ended when it is used up', {
    timeout: 60_000,
  }, async () => {
    const budgetNanoUsd = 1_000 * 2_000
    await start(`budgetUsdPerMonth: ${budgetNanoUsd / 1e9}`, { model: 'outputTokensDefault: 1' })
    vendor.behaviour = { everyMs: 1, tokens: 2_000 }
    const seen = await burst(100, undefined)
    const begun = seen.filter(({ status }) => status === 200)
    expect(begun.length).toBeGreaterThan(1)
    for (const { whole: all, code } of seen) expect([all, code]).toEqual([false, 'insufficient_quota'])
    expect(await spentNanoUsd()).toBeLessThanOrEqual(budgetNanoUsd)
    const rows = await exportedRows(gateway)
    for (const { id, tokens } of begun)
      expect(rows.get(id as string)).toMatchObject({
        state: 'partial',
        outputTokens: tokens,
        code: 'insufficient_quota',
      })
    // The vendor was told.
    await until(() => vendor.chats.every(({ ended }) => ended === 'client-left'))
  })

  test('survives a crash, with what was open then', { timeout: 60_000 }, async () => {
    const budgetNanoUsd = 20 * nanoUsdOf(100)
    await start(`budgetUsdPerMonth: ${budgetNanoUsd / 1e9}`)
    vendor.behaviour = { everyMs: 10 }
    const open = burst(5, 100)
    await until(() => vendor.chats.length === 5 && vendor.chats.every(({ events }) => events > 20))
    await gateway.end('SIGKILL')
    await open
    await gateway.run()
    const atStart = await spentNanoUsd()
    expect(atStart).toBeGreaterThan(0)
    vendor.behaviour = {}
    const seen = await burst(50, 100)
    expect(seen.some(({ whole: all }) => all)).toBe(true)
    expect(seen.some(({ code }) => code === 'insufficient_quota')).toBe(true)
    expect(await spentNanoUsd()).toBeLessThanOrEqual(budgetNanoUsd)
  })

  test('of a key ends before that of its tenant', { timeout: 60_000 }, async () => {
    await start(`budgetUsdPerMonth: 1`)
    const made = await gateway.command(
      'keys',
      'create',
      '--tenant',
      'acme',
      '--budget-usd-per-month',
      '0.0005',
      '--json',
    )
    const { key } = JSON.parse(made.out) as { key: string }
    const statuses: number[] = []
    for (let i = 0; i < 10; i++) statuses.push((await whole(key, 50)).status)
    expect(statuses).toContain(200)
    expect(statuses.at(-1)).toBe(429)
    expect((await whole(acmeKey, 50)).status).toBe(200)
  })
})

describe('limits', () => {
  test('give back all that was held, however a request ends', { timeout: 60_000 }, async () => {
    await start('concurrentRequests: 4, tokensPerMinute: 100000')
    vendor.behaviour = { everyMs: 5 }
    // Left in the middle, cut by the vendor, refused by the vendor, failed before the first byte, done.
    await Promise.all(Array.from({ length: 4 }, () => ask(500, { leavesAfterMs: 50 })))
    await until(() => vendor.chats.every(({ ended }) => ended === 'client-left'))
    for (const behaviour of [{ cutAfter: 2 }, { status: 400 }, { status: 500 }, {}]) {
      vendor.behaviour = behaviour
      await until(async () => (await burst(4, 5)).every(({ code }) => code !== 'concurrency_limit_exceeded'))
    }
    vendor.behaviour = { everyMs: 20 }
    const four = burst(4, 40)
    await until(() => vendor.chats.slice(-4).every(({ ended, events }) => ended === 'open' && events > 0))
    expect(await whole(acmeKey, 1)).toEqual({ status: 429, code: 'concurrency_limit_exceeded' })
    expect((await four).every(({ whole: all }) => all)).toBe(true)
    // What was used is counted as the ledger has it; nothing is held any more.
    const answer = await fetch(`${gateway.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 }),
    })
    const remaining = Number(answer.headers.get('x-ratelimit-remaining-tokens'))
    const rows = [...(await exportedRows(gateway)).values()]
    const used = rows.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0)
    expect(remaining).toBeGreaterThan(100_000 - used - 1_000)
  })

  test('of requests a minute let through exactly so many of a burst', { timeout: 60_000 }, async () => {
    await start('requestsPerMinute: 30')
    const seen = await burst(100, 2)
    const answered = seen.filter(({ whole: all }) => all).length
    // A token of the bucket comes back every two seconds.
    expect(answered).toBeGreaterThanOrEqual(30)
    expect(answered).toBeLessThanOrEqual(40)
    for (const { whole: all, code } of seen) if (!all) expect(code).toBe('rate_limit_exceeded')
    const rows = [...(await exportedRows(gateway)).values()]
    expect(rows.filter(({ state }) => state === 'refused')).toHaveLength(100 - answered)
  })
})
