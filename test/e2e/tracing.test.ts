import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { freePort, GatewayProcess } from './gateway-process.ts'
import { acmeKey, keysEnv, triedOnceYaml } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess | undefined
beforeAll(async () => {
  vendor = await FakeVendor.start()
})
afterEach(async () => {
  await gateway?.dispose()
  vendor.behaviour = {}
})
afterAll(() => vendor.down())

const ask = (body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${gateway?.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const chat = { model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 }

describe('traces', () => {
  interface ReceivedSpan {
    readonly name: string
    readonly kind: number
    readonly traceId: string
    readonly spanId: string
    readonly parentSpanId?: string
    readonly startTimeUnixNano: string
    readonly endTimeUnixNano: string
    readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[]
    readonly status: { readonly code?: number }
  }

  let collector: Server
  let received = ''
  const spans: ReceivedSpan[] = []
  beforeAll(async () => {
    collector = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        received += text
        if (request.url === '/v1/traces')
          for (const { scopeSpans } of JSON.parse(text).resourceSpans)
            for (const scope of scopeSpans) spans.push(...scope.spans)
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      })
    })
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => collector.close())

  const attribute = ({ attributes }: ReceivedSpan, key: string) =>
    Object.values(attributes.find((one) => one.key === key)?.value ?? {})[0]

  test('go to a collector by the conventions, in the caller’s own trace, without content', {
    timeout: 30_000,
  }, async () => {
    const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
    gateway = await GatewayProcess.start(triedOnceYaml(vendor), {
      ...keysEnv,
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_BSP_SCHEDULE_DELAY: '50',
    })
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const good = await ask({ ...chat, stream: true }, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` })
    await good.text()
    vendor.behaviour = { status: 500 }
    const bad = await ask(chat)
    await bad.text()
    await gateway.end()

    const of = (answer: Response) =>
      spans.find((span) => attribute(span, 'spillway.request_id') === answer.headers.get('x-request-id'))
    const server = of(good)
    expect(server).toMatchObject({
      name: 'POST /v1/chat/completions',
      kind: 2,
      traceId,
      parentSpanId: '00f067aa0ba902b7',
    })
    const client = spans.find(({ parentSpanId }) => parentSpanId === server?.spanId) as ReceivedSpan
    expect(client).toMatchObject({ name: 'chat upstream-model', kind: 3, traceId })
    expect(Object.fromEntries(client.attributes.map(({ key }) => [key, attribute(client, key)]))).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'self',
      'gen_ai.request.model': 'upstream-model',
      'gen_ai.request.stream': true,
      'gen_ai.usage.input_tokens': 11,
      'gen_ai.usage.cache_read.input_tokens': 0,
      'gen_ai.usage.output_tokens': 4,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'spillway.endpoint': 'chat-large/own',
      'spillway.sub_processor': 'self',
      'spillway.country': 'NL',
      'spillway.attempt': 1,
    })
    expect(BigInt(client.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(server?.startTimeUnixNano ?? 0))
    expect(BigInt(client.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(client.startTimeUnixNano))

    const failed = of(bad)
    expect(failed).toMatchObject({ status: { code: 2 } })
    expect(failed?.traceId).not.toBe(traceId)
    const failedTry = spans.find(({ parentSpanId }) => parentSpanId === failed?.spanId) as ReceivedSpan
    expect([attribute(failedTry, 'error.type'), failedTry.status.code]).toEqual(['server-error', 2])
    expect(received).not.toMatch(/hello|acme|vendor-secret/)
    expect(received).toContain('"spillway"')
  })

  test('that nobody collects hold up neither requests nor the end', { timeout: 30_000 }, async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    gateway = await GatewayProcess.start(triedOnceYaml(vendor), { ...keysEnv, OTEL_EXPORTER_OTLP_ENDPOINT: url })
    expect((await ask(chat)).status).toBe(200)
    expect(await gateway.end()).toBe(0)
  })
})
