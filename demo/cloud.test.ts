import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { chat, TestFleet } from './testing.ts'

let fleet: TestFleet
afterEach(() => fleet?.close())

/** A request as a plain client sees it. */
interface Call {
  readonly request: ClientRequest
  /** Resolves when the first bytes of the answer are there; rejects where the connection breaks before. */
  readonly begun: Promise<IncomingMessage>
  /** Resolves with all of the answer, or rejects where it breaks off. */
  readonly ended: Promise<{ status: number; text: string }>
}

let calls = 0

function ask(change: { stream?: boolean; outputTokens?: number; promptTokens?: number; id?: string } = {}): Call {
  const { stream = true, outputTokens = 5, promptTokens = 10, id = `req_${++calls}` } = change
  const body = chat({ model: 'openai/gpt-oss-120b', stream }, promptTokens, outputTokens)
  const headers = {
    authorization: `Bearer ${fleet.secret('self-key')}`,
    'content-type': 'application/json',
    'content-length': body.length,
    'x-request-id': id,
  }
  const call = request(fleet.url('NL', '/v1/chat/completions'), { method: 'POST', agent: false, headers })
  const begun = new Promise<IncomingMessage>((resolve, reject) => {
    call.on('error', reject)
    call.on('response', (answer) => {
      // A status that is not 200 has no event to wait for.
      if (answer.statusCode !== 200) resolve(answer)
      else answer.once('data', () => resolve(answer))
    })
  })
  const ended = new Promise<{ status: number; text: string }>((resolve, reject) => {
    call.on('error', reject)
    call.on('response', (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      answer.on('error', reject)
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
  })
  // Whoever waits for one of them sees it; the other must not end the process.
  begun.catch(() => {})
  ended.catch(() => {})
  call.end(body)
  return { request: call, begun, ended }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}

const cloud = () => fleet.cloud('NL')
const tokensIn = (text: string) => text.match(/"delta":\{"content":"[^"]/g)?.length ?? 0

describe('a cloud’s capacity', () => {
  test('ends with its slots: one more is told to come back, and takes none', async () => {
    fleet = await TestFleet.open('self', { speed: 1, slotsScale: 0.1 })
    expect(cloud().options.slots).toBe(3)
    const running = [ask({ outputTokens: 5_000 }), ask({ outputTokens: 5_000 }), ask({ outputTokens: 5_000 })]
    await until(() => cloud().inFlight === 3)
    const refused = await ask({ id: 'one-more' }).ended
    expect(refused.status).toBe(429)
    expect(cloud().inFlight).toBe(3)
    expect(fleet.served.find(({ requestId }) => requestId === 'one-more')).toMatchObject({
      status: 429,
      ended: 'rejected',
      completionTokens: 0,
      slotsInUse: 3,
      slotsTotal: 3,
    })
    running[0]?.request.destroy()
    await until(() => cloud().inFlight === 2)
    const next = ask({ outputTokens: 5_000 })
    await next.begun
    for (const call of [...running, next]) call.request.destroy()
    await until(() => cloud().inFlight === 0)
  })

  test('lets a caller who leaves free its slot, and stops making tokens', async () => {
    fleet = await TestFleet.open('self', { speed: 10 })
    const call = ask({ outputTokens: 100_000, id: 'leaves' })
    await call.begun
    call.request.destroy()
    await until(() => fleet.served.length === 1)
    expect(cloud().inFlight).toBe(0)
    const [line] = fleet.served
    expect(line).toMatchObject({ requestId: 'leaves', ended: 'client-left', status: 200 })
    expect(line?.completionTokens).toBeLessThan(100_000)
  })
})

describe('a cloud’s own log', () => {
  test('holds each request with its tokens, bytes and time, and no prompt', async () => {
    fleet = await TestFleet.open('self')
    const streamed = await ask({ id: 'streamed', promptTokens: 70, outputTokens: 9 }).ended
    const whole = await ask({ id: 'whole', stream: false }).ended
    const [first, second] = fleet.served
    expect(first).toMatchObject({
      requestId: 'streamed',
      cloud: 'self',
      country: 'NL',
      model: 'openai/gpt-oss-120b',
      stream: true,
      status: 200,
      promptTokens: 70,
      completionTokens: 9,
      contentEventsSent: 9,
      bytes: Buffer.byteLength(streamed.text),
      ended: 'complete',
    })
    expect(tokensIn(streamed.text)).toBe(9)
    expect(second).toMatchObject({ requestId: 'whole', stream: false, bytes: Buffer.byteLength(whole.text) })
    expect((first?.endMs ?? 0) - (first?.startMs ?? 0)).toBeGreaterThan(0)
    expect(JSON.stringify(fleet.log)).not.toContain('w1 w2')
  })

  test('holds also those it refused', async () => {
    fleet = await TestFleet.open('self')
    const answer = await fetch(fleet.url('NL', '/v1/chat/completions'), {
      method: 'POST',
      body: chat(),
      headers: { 'x-request-id': 'stranger' },
    })
    expect(answer.status).toBe(401)
    expect(fleet.served).toMatchObject([{ requestId: 'stranger', status: 401, ended: 'rejected' }])
  })
})

describe('a fault', () => {
  test('down: nobody listens, and what ran is broken off; healed, it is at the same address', async () => {
    fleet = await TestFleet.open('self', { speed: 1 })
    const { port } = cloud()
    const running = ask({ outputTokens: 5_000, id: 'running' })
    await running.begun
    await cloud().fail('down', undefined)
    await expect(running.ended).rejects.toThrow()
    await expect(ask().begun).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(fleet.served).toMatchObject([{ requestId: 'running', ended: 'down' }])
    expect(cloud().inFlight).toBe(0)
    await cloud().heal()
    expect(cloud().port).toBe(port)
    expect((await ask().begun).statusCode).toBe(200)
  })

  test('reset: every connection is, and what was under way is logged with the tokens it had', async () => {
    fleet = await TestFleet.open('self', { speed: 1 })
    const running = ask({ outputTokens: 5_000, id: 'running' })
    await running.begun
    await cloud().fail('reset', undefined)
    await expect(running.ended).rejects.toMatchObject({ code: 'ECONNRESET' })
    await expect(ask({ id: 'later' }).begun).rejects.toMatchObject({ code: 'ECONNRESET' })
    const [first, second] = fleet.served
    expect(first).toMatchObject({ requestId: 'running', ended: 'reset', status: 200 })
    expect(first?.completionTokens).toBeGreaterThan(0)
    expect(second).toMatchObject({ requestId: 'later', ended: 'reset', status: 0, completionTokens: 0 })
    await cloud().heal()
    expect((await ask().begun).statusCode).toBe(200)
  })

  test('slow: ten times as long, for the first token and for each further one', async () => {
    fleet = await TestFleet.open('self', { speed: 4 })
    const tookMs = async () => {
      const startedMs = performance.now()
      await ask({ outputTokens: 10 }).ended
      return performance.now() - startedMs
    }
    await tookMs()
    const usualMs = await tookMs()
    await cloud().fail('slow', undefined)
    const slowMs = await tookMs()
    await cloud().heal()
    // By the accelerator's measurements 24 ms and 242 ms; a machine that is busy adds to both.
    expect(usualMs).toBeGreaterThan(20)
    expect(slowMs).toBeGreaterThan(230)
  })

  test('429: every request is refused as by a vendor that is full', async () => {
    fleet = await TestFleet.open('self')
    await cloud().fail('429', undefined)
    expect((await ask().ended).status).toBe(429)
    await cloud().heal()
    expect((await ask().ended).status).toBe(200)
  })

  test('stall: nothing is said any more, to new callers and to those who had some of their answer', async () => {
    fleet = await TestFleet.open('self', { speed: 1 })
    const running = ask({ outputTokens: 5_000, id: 'running' })
    const answer = await running.begun
    await cloud().fail('stall', undefined)
    const silent = ask({ id: 'silent' })
    let bytes = 0
    // What was on its way when it fell silent may still come.
    await new Promise((resolve) => setTimeout(resolve, 50))
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    const first = await Promise.race([silent.begun, new Promise((resolve) => setTimeout(resolve, 300, 'nothing'))])
    expect(first).toBe('nothing')
    expect(bytes).toBe(0)
    silent.request.destroy()
    await until(() => fleet.served.length === 1)
    expect(fleet.served).toMatchObject([{ requestId: 'silent', status: 0, ended: 'silent' }])
    await cloud().heal()
    await until(() => bytes > 0)
    running.request.destroy()
  })

  test('of a given time heals by itself, and both changes are in the log', async () => {
    fleet = await TestFleet.open('self')
    await cloud().fail('429', 150)
    expect(cloud().fault).toBe('429')
    await until(() => cloud().fault === undefined)
    const changes = fleet.log.filter((line) => line.kind === 'fault')
    expect(changes.map(({ how }) => how)).toEqual(['429', null])
    const [from, to] = changes.map(({ atMs }) => atMs) as [number, number]
    expect(to - from).toBeGreaterThanOrEqual(149)
    expect((await ask().ended).status).toBe(200)
  })

  test('takes the place of the one before', async () => {
    fleet = await TestFleet.open('self')
    await cloud().fail('down', 100)
    await cloud().fail('429', undefined)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect((await ask().ended).status).toBe(429)
  })
})

describe('a cloud that is asked nonsense', () => {
  test('answers with an error and goes on', async () => {
    fleet = await TestFleet.open('self')
    const statusOf = (target: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const call = request({ port: cloud().port, path: target, agent: false }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        call.on('error', reject)
        call.end()
      })
    for (const target of ['//', '/%zz', '/v1/chat/completions', '/openai/deployments/%zz/chat/completions'])
      expect([401, 404]).toContain(await statusOf(target))
    expect((await ask().ended).status).toBe(200)
  })
})
