import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeVendor, type VendorBehaviour } from './fake-vendor.ts'
import { freePort, GatewayProcess, pause } from './gateway-process.ts'
import { acmeKey, keysEnv, otherKey, triedOnceYaml } from './setting.ts'

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

const ask = (body: unknown, headers: Record<string, string> = {}, path = '/chat/completions') =>
  fetch(`${gateway?.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const chat = { model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 }

describe('metrics', () => {
  interface Family {
    readonly type: string
    readonly series: Map<string, number>
  }

  /** Reads the text format as strictly as Prometheus does. */
  function parsed(text: string): Map<string, Family> {
    const families = new Map<string, Family>()
    let family = ''
    for (const line of text.trimEnd().split('\n')) {
      const [, helped] = /^# HELP ([a-z_][a-z0-9_]*) \S.*$/.exec(line) ?? []
      if (helped !== undefined) {
        expect(families.has(helped), `${helped} comes twice`).toBe(false)
        family = helped
        continue
      }
      const [, typed, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? []
      if (typed !== undefined && type !== undefined) {
        expect(typed).toBe(family)
        families.set(typed, { type, series: new Map() })
        continue
      }
      const [, name = '', labels = '', value = ''] =
        /^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+\})? (\S+)$/.exec(line) ?? []
      const ending = families.get(family)?.type === 'histogram' ? /_(bucket|sum|count)$/ : /$^/
      expect(name.replace(ending, ''), line).toBe(family)
      expect(Number.isFinite(Number(value)), line).toBe(true)
      const { series } = families.get(family) as Family
      expect(series.has(name + labels), `${line} comes twice`).toBe(false)
      series.set(name + labels, Number(value))
    }
    return families
  }

  test('are valid text on a listener of their own, with bounded labels', { timeout: 30_000 }, async () => {
    const port = await freePort()
    gateway = await GatewayProcess.start(
      `${triedOnceYaml(vendor)}metrics: { host: 127.0.0.1, port: ${port} }\n`,
      keysEnv,
    )
    for (let round = 0; round < 3; round++) await (await ask({ ...chat, stream: true })).text()
    await (await ask(chat)).text()
    await (await ask({ ...chat, model: 'made-up-by-a-caller' })).text()
    await (await ask(chat, { authorization: 'Bearer made-up-by-a-caller' })).text()
    await fetch(`${gateway.url}/made-up-by-a-caller`)
    vendor.behaviour = { status: 500 }
    await (await ask(chat)).text()

    const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await answer.text()
    const families = parsed(text)
    expect(text).not.toContain('made-up-by-a-caller')
    expect(text).not.toMatch(/acme|k_[0-9a-f]{16}/)
    const value = (series: string) =>
      families.get(series.replace(/(_(bucket|sum|count))?\{.*|$/, ''))?.series.get(series)

    expect(value('spillway_requests_total{model="chat-large",plan="enterprise",status="200",state="ok"}')).toBe(4)
    expect(value('spillway_requests_total{model="chat-large",plan="enterprise",status="502",state="failed"}')).toBe(1)
    expect(value('spillway_requests_total{model="",plan="",status="401",state="refused"}')).toBe(1)
    const chats = 'gen_ai_operation_name="chat",gen_ai_request_model="chat-large"'
    expect(value(`gen_ai_server_request_duration_seconds_count{${chats},error_type=""}`)).toBe(4)
    expect(value(`gen_ai_server_request_duration_seconds_count{${chats},error_type="upstream_error"}`)).toBe(1)
    expect(value(`gen_ai_server_time_to_first_token_seconds_count{${chats}}`)).toBe(3)
    expect(value(`gen_ai_server_time_per_output_token_seconds_count{${chats}}`)).toBe(3)
    expect(value(`gen_ai_client_token_usage_sum{${chats},gen_ai_token_type="output"}`)).toBe(16)
    expect(value('spillway_tokens_total{model="chat-large",endpoint="chat-large/own",kind="output"}')).toBe(16)
    expect(value('spillway_endpoint_in_flight{endpoint="chat-large/own"}')).toBe(0)
    for (const [name, { type, series }] of families) {
      if (type !== 'histogram') continue
      const buckets = [...series].filter(([one]) => one.startsWith(`${name}_bucket`))
      for (let index = 1; index < buckets.length; index++) {
        const [one = '', count = 0] = buckets[index] ?? []
        const [, before = 0] = buckets[index - 1] ?? []
        const sameLabels = one.replace(/,?le=".*/, '') === buckets[index - 1]?.[0].replace(/,?le=".*/, '')
        if (sameLabels) expect(count, one).toBeGreaterThanOrEqual(before)
        if (one.includes('le="+Inf"'))
          expect(series.get(one.replace('_bucket', '_count').replace(/,?le="\+Inf"/, ''))).toBe(count)
      }
    }
    expect((await fetch(`${gateway.url.replace('/v1', '')}/metrics`)).status).toBe(404)

    const page = readFileSync(path.join(import.meta.dirname, '../../docs/reference/metrics.md'), 'utf8')
    const described = [...page.matchAll(/^\| `(\w+)` \| ((?:`\w+`(?:, )?)*)/gm)]
    expect(described.map(([, name]) => name).sort()).toEqual([...families.keys()].sort())
    for (const [, name = '', labels = ''] of described) {
      const [series = ''] = families.get(name)?.series.keys() ?? []
      const used = [...series.matchAll(/(\w+)="/g)].map(([, label]) => label).filter((label) => label !== 'le')
      if (series !== '') expect(used, name).toEqual([...labels.matchAll(/\w+/g)].map(([label]) => label))
    }
  })
})

describe('logs', () => {
  /** Stands in prompts, in wrong keys, in paths, in headers, and in what the vendor says. */
  const secret = 'xyzzy-swordfish'
  const rounds = 150

  test('hold no prompt, no key and no word of a vendor, whatever goes wrong', { timeout: 120_000 }, async () => {
    gateway = await GatewayProcess.start(`${triedOnceYaml(vendor)}log: { level: debug }\n`, {
      ...keysEnv,
      VENDOR_KEY: `vendor-${secret}`,
    })
    const prompt = { ...chat, messages: [{ role: 'user', content: secret }], user: secret }
    const everyWay: readonly (() => Promise<Response>)[] = [
      () => ask(prompt),
      () => ask({ ...prompt, stream: true }),
      () => ask({ model: 'chat-large', prompt: secret }, {}, '/completions'),
      () => ask({ model: 'chat-large', input: secret }, {}, '/embeddings'),
      () => ask(`{"model":"chat-large","messages":[{"role":"user","content":"${secret}`),
      () => ask(`${secret} is not JSON`),
      () => ask(`{"model":"chat-large","model":"${secret}","messages":[]}`),
      () => ask({ ...prompt, messages: secret }),
      () => ask({ ...prompt, model: secret }),
      () => ask({ ...prompt, model: { [secret]: 1 } }),
      () => ask({ ...prompt, [secret]: secret, max_tokens: secret }),
      () => ask({ ...prompt, padding: secret.repeat(1_000) }),
      () => ask(prompt, { 'content-type': `text/${secret}` }),
      () => ask(prompt, { 'content-encoding': secret }),
      () => ask(prompt, { authorization: `Bearer sk-spw-${secret}` }),
      () => ask(prompt, { authorization: secret }),
      () => ask(prompt, { traceparent: secret, 'x-stainless-retry-count': secret, cookie: secret }),
      () => ask(prompt, {}, `/${secret}`),
      () => ask(prompt, {}, `/chat/completions?api_key=${secret}`),
      () => ask(prompt, {}, `/models/${secret}`),
      () => ask(prompt, {}, '/explain'),
      () => ask(prompt, { authorization: `Bearer ${otherKey}` }),
      () => fetch(`${gateway?.url}/models/${secret}`, { headers: { authorization: `Bearer ${acmeKey}` } }),
    ]
    const echo = (status: number, contentType: string): VendorBehaviour => ({
      script: ({ seen, response }) =>
        response
          .writeHead(status, { 'content-type': contentType })
          .end(JSON.stringify({ error: { message: `no such thing: ${seen.body}`, type: secret, code: secret } })),
    })
    const vendorWays: readonly VendorBehaviour[] = [
      echo(400, 'application/json'),
      echo(422, 'text/html'),
      echo(200, 'text/html'),
      echo(503, 'application/json'),
      {
        script: ({ seen, response }) =>
          response
            .writeHead(200, { 'content-type': 'text/event-stream' })
            .end(`data: {"error":{"message":${JSON.stringify(seen.body)}}}\n\n`),
      },
      { script: ({ socket }) => socket.end(`HTTP/1.1 200 ${secret}\r\n${secret}\r\n\r\n${secret}`) },
      {},
      { status: 500 },
      { status: 400, headers: { 'x-ms-region': secret, 'set-cookie': secret } },
      { status: 401 },
      { status: 429, headers: { 'retry-after-ms': '1' } },
      { status: 302, headers: { location: `http://${secret}/` } },
      { headers: { 'content-type': secret } },
      { cutAfter: 2 },
    ]
    let sent = 0
    for (let round = 0; round < rounds; round++) {
      vendor.behaviour = vendorWays[round % vendorWays.length] ?? {}
      await Promise.all(
        everyWay.map(async (way) => {
          await (await way()).text().catch(() => '')
          sent++
        }),
      )
    }
    // Lines go out together, within a second.
    await pause(1_500)
    const beforeTheEnd = gateway.said
    await gateway.end()
    const lines = gateway.said.split('\n').filter((line) => line.startsWith('{'))
    expect(beforeTheEnd.split('\n').filter((line) => line.startsWith('{')).length).toBeGreaterThan(lines.length - 5)
    // What is only looked up (`/explain`) has no line.
    expect(lines.length).toBeGreaterThan(sent * 0.9)
    expect(gateway.said).not.toContain(secret)
    expect(gateway.said).not.toContain(acmeKey)
    expect(gateway.said).not.toContain('told to fail')
    expect(gateway.said).not.toContain('vendor-secret')
    const fields = new Set(lines.flatMap((line) => Object.keys(JSON.parse(line) as object)))
    expect([...fields].sort().join(' ')).toBe(
      'attempts cached_input_tokens code country duration_ms endpoint first_byte_ms input_tokens key_id level model msg operation output_tokens overhead_ms plan request_id state status stream sub_processor tenant time token_source usd',
    )
  })

  test('that nobody reads any more do not stop the service', { timeout: 30_000 }, async () => {
    gateway = await GatewayProcess.start(triedOnceYaml(vendor), keysEnv)
    gateway.stopReading()
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 20; index++) expect((await ask(chat)).status).toBe(200)
      await pause(500)
    }
    expect(await gateway.end()).toBe(0)
  })
})
