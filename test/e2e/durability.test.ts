import { Agent, request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause, until } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { acmeKey, otherKey, startOver } from './setting.ts'
import { type SeenStream, streamChat } from './stream-chat.ts'

let gateway: GatewayProcess
const vendors: FakeVendor[] = []

afterEach(async () => {
  await gateway?.dispose()
  await Promise.all(vendors.splice(0).map((vendor) => vendor.down()))
})

async function vendorThat(behaviour: FakeVendor['behaviour']): Promise<FakeVendor> {
  const vendor = await FakeVendor.start()
  vendor.behaviour = behaviour
  vendors.push(vendor)
  return vendor
}

const startWith = async (vendor: FakeVendor, extra: Parameters<typeof startOver>[1] = {}) => {
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], extra)
}

/** Asks for an answer that is not streamed. Gives its tokens, or undefined where it did not come whole. */
async function wholeChat(
  port: number,
  key: string,
  maxTokens: number,
): Promise<{ id: string; tokens: number } | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ model: 'chat-large', max_tokens: maxTokens, messages: [{ role: 'user', content: 'hi' }] }),
    })
    const body = (await answer.json()) as { usage?: { completion_tokens: number } }
    const id = answer.headers.get('x-request-id')
    return body.usage === undefined || id === null ? undefined : { id, tokens: body.usage.completion_tokens }
  } catch {
    return undefined
  }
}

describe('what happened is not lost', () => {
  test('SIGKILL under load, 20 times: nothing lost, nothing doubled, nothing under-metered', {
    timeout: 180_000,
  }, async () => {
    // Three vendors, one of which breaks every answer off and one of which fails half of the time.
    const good = await vendorThat({ everyMs: 2 })
    const cutting = await vendorThat({ everyMs: 2, cutAfter: 20 })
    const failing = await vendorThat({ everyMs: 2 })
    gateway = await startOver(
      [
        { name: 'good', vendor: good, subProcessor: 'self', country: 'NL' },
        { name: 'cutting', vendor: cutting, subProcessor: 'microsoft', country: 'GB' },
        { name: 'failing', vendor: failing, subProcessor: 'self', country: 'GB' },
      ],
      { limits: '{ firstByteMs: 5000, streamIdleMs: 5000, queueMs: 2000 }' },
    )
    const seen: SeenStream[] = []
    /** Of clients that leave: they have read less than was delivered. */
    const left: SeenStream[] = []
    const whole: { id: string; tokens: number }[] = []
    const startMs: number[] = []
    for (let round = 0; round < 20; round++) {
      failing.behaviour = round % 2 === 0 ? { everyMs: 2 } : { status: 500 }
      let over = false
      const clients = Array.from({ length: 12 }, async (_, index) => {
        const key = index % 3 === 0 ? otherKey : acmeKey
        while (!over) {
          const maxTokens = 5 + ((index * 37 + round * 11) % 150)
          if (index % 4 === 1) {
            const answer = await wholeChat(gateway.port, key, maxTokens)
            if (answer !== undefined) whole.push(answer)
          } else {
            const leavesAfterMs = index % 4 === 2 ? 60 : undefined
            const one = await streamChat(gateway.port, { maxTokens, key, leavesAfterMs })
            if (one.id === undefined) await pause(5)
            else (leavesAfterMs === undefined ? seen : left).push(one)
          }
        }
      })
      await pause(150 + ((round * 53) % 200))
      over = true
      await gateway.end('SIGKILL')
      await Promise.all(clients)
      const startedMs = performance.now()
      await gateway.run()
      startMs.push(performance.now() - startedMs)
    }
    const rows = await exportedRows(gateway)
    for (const { tokens, id } of whole)
      expect(rows.get(id), id).toMatchObject({ state: 'ok', estimated: false, outputTokens: tokens })
    const answered = seen.filter(({ status }) => status === 200)
    expect(answered.length).toBeGreaterThan(100)
    for (const one of left.filter(({ status }) => status === 200))
      expect(rows.get(one.id as string)?.outputTokens, one.id).toBeGreaterThanOrEqual(one.tokens)
    for (const one of answered) {
      const row = rows.get(one.id as string)
      expect(row, `${one.id} was delivered but is not in the ledger`).toBeDefined()
      if (row === undefined) continue
      if (one.whole) {
        expect(row).toMatchObject({ state: 'ok', estimated: false, outputTokens: one.tokens })
        continue
      }
      expect(row.outputTokens, `${one.id} was metered below what was delivered`).toBeGreaterThanOrEqual(one.tokens)
      // Promise I3: what a crash leaves open is charged one window of 64 tokens above what was delivered, at the most.
      if (row.source === 'recovered') expect(row.outputTokens).toBeLessThanOrEqual(one.tokens + 64)
      if (row.state === 'partial') expect(row.estimated).toBe(true)
    }
    for (const how of [
      ({ whole }: SeenStream) => whole,
      ({ code }: SeenStream) => code === 'upstream_stream_cut',
      ({ whole, code }: SeenStream) => !whole && code === undefined,
    ])
      expect(answered.some(how)).toBe(true)
    for (const { state, id } of rows.values()) expect(state, id).not.toBe('open')
    // Whatever a vendor was asked stands in the ledger.
    for (const { headers } of vendors.flatMap(({ chats }) => chats))
      expect(rows.has(String(headers['x-request-id']))).toBe(true)
    expect(Math.max(...startMs)).toBeLessThan(20_000)

    const before = JSON.stringify([...rows])
    for (let round = 0; round < 3; round++) {
      expect(await gateway.command('usage', 'rebuild')).toMatchObject({ code: 0 })
      expect(JSON.stringify([...(await exportedRows(gateway))])).toBe(before)
    }
  })

  test('SIGTERM lets open answers end, then exits with 0', { timeout: 30_000 }, async () => {
    await startWith(await vendorThat({ everyMs: 20 }))
    const running = streamChat(gateway.port, { maxTokens: 40 })
    await until(() => (vendors[0]?.chats[0]?.events ?? 0) > 2)
    const ended = gateway.end('SIGTERM')
    expect(await running).toMatchObject({ tokens: 40, whole: true })
    expect(await ended).toBe(0)
  })

  test('SIGTERM makes it unready at once, for old connections and new ones', { timeout: 30_000 }, async () => {
    await startWith(await vendorThat({ everyMs: 20 }))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const kept = () => readiness(gateway.port, agent)
    const running = streamChat(gateway.port, { maxTokens: 60 })
    await until(async () => (vendors[0]?.chats[0]?.events ?? 0) > 2 && (await kept()) === 200)
    const ended = gateway.end('SIGTERM')
    const signalledMs = performance.now()
    await until(async () => (await kept()) !== 200)
    // Promised: 100 ms. Measured below 20 ms; the rest is for a busy machine.
    expect(performance.now() - signalledMs).toBeLessThan(1_000)
    expect(await readiness(gateway.port, new Agent())).not.toBe(200)
    agent.destroy()
    expect(await running).toMatchObject({ tokens: 60, whole: true })
    expect(await ended).toBe(0)
  })

  test('an answer that outlasts the drain ends in an error event and is settled', { timeout: 30_000 }, async () => {
    await startWith(await vendorThat({ everyMs: 50 }), { limits: '{ drainMs: 300 }' })
    const running = streamChat(gateway.port, { maxTokens: 1_000 })
    await until(() => (vendors[0]?.chats[0]?.events ?? 0) > 2)
    expect(await gateway.end('SIGTERM')).toBe(0)
    const seen = await running
    expect(seen).toMatchObject({ whole: false, code: 'draining' })
    await gateway.run()
    const row = (await exportedRows(gateway)).get(seen.id as string)
    expect(row).toMatchObject({ state: 'partial', estimated: true })
    expect(row?.outputTokens).toBeGreaterThanOrEqual(seen.tokens)
    expect(row?.outputTokens).toBeLessThanOrEqual(seen.tokens + 64)
  })

  test('a second process on the same data directory refuses to start', { timeout: 30_000 }, async () => {
    await startWith(await vendorThat({}))
    const startedMs = performance.now()
    const second = await gateway.cli('up')
    expect(second.code).toBe(1)
    expect(second.err).toContain(`in use by another Spillway (process ${gateway.pid})`)
    // Promised: 1 s, of which most is the start of Node. The rest is for a busy machine.
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(await streamChat(gateway.port, { maxTokens: 3 })).toMatchObject({ whole: true })
  })
})

/** The status of /readyz, or undefined where the connection is refused or closed. */
function readiness(port: number, agent: Agent): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/readyz', agent }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode))
    })
    call.on('error', () => resolve(undefined))
    call.end()
  })
}
