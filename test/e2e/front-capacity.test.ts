import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor, type ScriptedExchange } from './fake-vendor.ts'
import { GatewayProcess, pause, statusOf, until } from './gateway-process.ts'
import { canReadUsage, cpuMs, openDescriptors, residentBytes } from './process-usage.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, keysEnv, otherKey, yamlFor } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeEach(async () => {
  vendor = await FakeVendor.start()
})

afterEach(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

const yamlWith = (extra: Parameters<typeof yamlFor>[1]) =>
  yamlFor([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], extra)

async function startGateway(extra: Parameters<typeof yamlFor>[1] = {}, descriptorsMax?: number): Promise<void> {
  const yaml = yamlWith(extra)
  gateway = await GatewayProcess.start(yaml, keysEnv, descriptorsMax === undefined ? {} : { descriptorsMax })
}

async function answerTo(bytes: string, timeoutMs?: number): Promise<RawAnswer | undefined> {
  const client = await RawClient.open(gateway.port)
  client.send(bytes)
  const answer = await client.answer(timeoutMs)
  client.end()
  return answer
}

const chat = (more: Readonly<Record<string, unknown>> = {}, key = acmeKey) => rawRequest(chatBody(more), { key })

/** Streams that have begun and say nothing more. */
function oneEventOnly({ response }: ScriptedExchange): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const delta = { role: 'assistant', content: 'first' }
  response.write(`data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`)
}

async function openStreams(count: number): Promise<RawClient[]> {
  const streams: RawClient[] = []
  while (streams.length < count) {
    const some = await Promise.all(
      Array.from({ length: Math.min(100, count - streams.length) }, async () => {
        const client = await RawClient.open(gateway.port)
        client.send(chat({ stream: true }))
        await client.until((text) => text.includes('first'), 20_000)
        return client
      }),
    )
    streams.push(...some)
  }
  return streams
}

const mebibyte = 1024 * 1024

describe('many streams', () => {
  test.skipIf(!canReadUsage)(
    'that are idle cost little and leave others their speed (needs /proc)',
    async () => {
      vendor.behaviour = { script: oneEventOnly }
      await startGateway({ limits: '{ streamIdleMs: 60000 }', concurrencyMax: 2_000 })
      for (const stream of await openStreams(100)) stream.reset()
      const before = residentBytes(gateway.pid)
      const streams = await openStreams(1_000)
      expect((residentBytes(gateway.pid) - before) / streams.length).toBeLessThan(100 * 1024)
      vendor.behaviour = {}
      for (let i = 0; i < 10; i++) expect((await answerTo(chat()))?.status).toBe(200)
      expect(streams.every(({ isClosed }) => !isClosed)).toBe(true)
      for (const stream of streams) stream.end()
    },
    60_000,
  )

  test.skipIf(!canReadUsage)(
    'that are left leave nothing behind (needs /proc)',
    async () => {
      vendor.behaviour = { script: oneEventOnly }
      await startGateway({ concurrencyMax: 2_000 })
      const leave = async (count: number) => {
        for (let left = 0; left < count; left += 100) {
          for (const stream of await openStreams(100)) stream.reset()
          await until(() => vendor.chats.every(({ ended }) => ended === 'client-left'))
        }
      }
      // The heap grows to its working size first.
      await leave(1_500)
      const before = { bytes: residentBytes(gateway.pid), descriptors: openDescriptors(gateway.pid) }
      await leave(600)
      await until(() => openDescriptors(gateway.pid) <= before.descriptors + 16, 'descriptors are left open')
      expect(residentBytes(gateway.pid) - before.bytes).toBeLessThan(24 * mebibyte)
    },
    60_000,
  )
})

describe('more connections than there is room for', () => {
  test('the surplus is told so, health can still be asked, and a reload makes room', async () => {
    await startGateway({ limits: '{ connectionsMax: 20, requestHeadMs: 60000 }' })
    const held = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(gateway.port)))
    await until(async () => (await answerTo(chat()))?.status === 503)
    expect(await answerTo(chat())).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1', 'x-should-retry': 'true', connection: 'close' },
    })
    expect(vendor.chats.length).toBeLessThan(2)
    expect(await statusOf(gateway.port, '/livez')).toBe(200)
    expect(await statusOf(gateway.port, '/readyz')).toBe(200)
    gateway.configure(yamlWith({ limits: '{ connectionsMax: 30, requestHeadMs: 60000 }' }))
    await until(async () => (await answerTo(chat()))?.status === 200, 'the new limit is not in force')
    expect(held.every(({ isClosed }) => !isClosed)).toBe(true)
    for (const client of held) client.end()
  })

  test.skipIf(!canReadUsage)(
    'few descriptors: it refuses, rests, stays, and serves again within 2 s (needs /proc)',
    async () => {
      await startGateway({ limits: '{ requestHeadMs: 60000 }' }, 256)
      const { pid } = gateway
      const held = await Promise.all(Array.from({ length: 600 }, () => RawClient.open(gateway.port)))
      await pause(1_500)
      expect(openDescriptors(pid)).toBeLessThan(128 + 64)
      const before = cpuMs(pid)
      await pause(1_000)
      expect(cpuMs(pid) - before).toBeLessThan(200)
      for (const client of held) client.end()
      const freedAtMs = performance.now()
      await until(async () => (await answerTo(chat()))?.status === 200)
      // The promise is 2 s; a busy machine gets more.
      expect(performance.now() - freedAtMs).toBeLessThan(8_000)
      expect(gateway.pid).toBe(pid)
    },
  )

  test('few descriptors and many streams: each is served or refused, and none fails at a vendor', async () => {
    vendor.behaviour = { everyMs: 50 }
    await startGateway({ concurrencyMax: 1_000 }, 256)
    const starts = Array.from({ length: 300 }, async () => {
      const client = await RawClient.open(gateway.port)
      client.send(chat({ stream: true, max_tokens: 20 }))
      await client
        .until((text) => text.includes('[DONE]') || /^HTTP\/1.1 [^2]/.test(text), 20_000)
        .catch(() => undefined)
      client.end()
      return client.received.slice(9, 12)
    })
    const statuses = await Promise.all(starts)
    expect(statuses.filter((status) => status === '200').length).toBeGreaterThan(50)
    for (const status of statuses) expect(['200', '503', '']).toContain(status)
    expect((await answerTo(chat()))?.status).toBe(200)
  })

  test('2,000 sockets in bursts of 200 do not keep ten requests from being served', async () => {
    await startGateway()
    let served = 0
    for (let burst = 0; burst < 10; burst++) {
      const sockets = Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const client = await RawClient.open(gateway.port)
          client.send(index % 2 === 0 ? 'GET /livez HTTP/1.1\r\n' : rawRequest('', { method: 'GET', target: '/livez' }))
          return client
        }),
      )
      if ((await answerTo(chat()))?.status === 200) served++
      for (const client of await sockets) client.reset()
    }
    expect(served).toBe(10)
  })
})

describe('more requests than there is room for', () => {
  test('400 at once: each is served, or told when to come back', async () => {
    await startGateway({
      limits: '{ queueLengthMax: 40, queueMs: 20000 }',
      concurrencyMax: 4,
      acme: 'concurrentRequests: 1000',
    })
    vendor.behaviour = {
      script: ({ seen, response }) => {
        setTimeout(() => {
          const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
          const body = JSON.stringify({ id: 'c', object: 'chat.completion', choices: [], usage })
          seen.events++
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
          response.end(body)
        }, 20)
      },
    }
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, index) => answerTo(chat({}, index % 2 === 0 ? acmeKey : otherKey), 20_000)),
    )
    const statuses = answers.map((answer) => answer?.status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(44)
    for (const answer of answers) {
      if (answer?.status === 200) continue
      expect([429, 503]).toContain(answer?.status)
      expect(Number(answer?.headers['retry-after'])).toBeGreaterThanOrEqual(1)
      expect(answer?.headers['x-should-retry']).toBe('true')
    }
    expect(statuses).toContain(503)
    expect((await answerTo(chat()))?.status).toBe(200)
  })
})
