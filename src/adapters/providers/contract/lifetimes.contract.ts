import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor, type ScriptedExchange } from '../../../../test/e2e/fake-vendor.ts'
import { until } from '../../../../test/e2e/gateway-process.ts'
import type { Provider } from '../provider.ts'
import type { RecordedAnswer } from '../testing.ts'
import { answers, done, jsonHead, rawJson, type Setting, streamHead, streams, word } from './setting.contract.ts'

/** Silence, callers who leave or are slow, and what becomes of connections. */
export function lifetimesContract(setting: Setting): void {
  describe('silence', () => {
    const beforeFirst = { firstByteMs: 160 }
    test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
      ['a stream without a head', true, () => {}],
      ['a whole answer without a head', false, () => {}],
      ['a stream with a head and no event', true, ({ response }) => response.writeHead(200, streamHead).flushHeaders()],
      [
        'a stream with nothing but comments',
        true,
        ({ response }) => {
          response.writeHead(200, streamHead)
          const timer = setInterval(() => response.write(': ping\n\n'), 20)
          response.on('close', () => clearInterval(timer))
        },
      ],
    ])('%s times out, and the connection closes', async (_what, stream, script) => {
      await setting.withLimits(beforeFirst, async (other) => {
        const startedMs = performance.now()
        const answer = await setting.asked(script, { stream }, other)
        const tookMs = performance.now() - startedMs
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind: 'timed-out' } })
        expect(tookMs).toBeGreaterThan(159)
        expect(tookMs).toBeLessThan(1_160)
        await until(() => setting.vendor.seen[0]?.ended === 'client-left')
      })
    })

    test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
      ['a stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a') + word('b'))],
      ['a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"choices":')],
    ])('%s that stops in its midst times out', async (_what, stream, script) => {
      await setting.withLimits({ streamIdleMs: 160 }, async (other) => {
        const answer = await setting.asked(script, { stream }, other)
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind: 'timed-out' } })
        await until(() => setting.vendor.seen[0]?.ended === 'client-left')
      })
    })

    test('a slow stream that keeps coming does not time out', async () => {
      await setting.withLimits({ firstByteMs: 300, streamIdleMs: 300 }, async (other) => {
        const answer = await setting.asked(
          ({ response }) => {
            response.writeHead(200, streamHead)
            let left = 8
            const timer = setInterval(() => {
              if (left-- > 0) response.write(word('a'))
              else response.end(done)
            }, 100)
            response.on('close', () => clearInterval(timer))
          },
          {},
          other,
        )
        expect(answer.ending).toMatchObject({ kind: 'whole' })
      })
    })

    test('nobody there is unreachable', async () => {
      const gone = await FakeVendor.start()
      const nobody = await setting.open({}, undefined, gone.origin)
      await gone.down()
      const answer = setting.ask({}, undefined, nobody)
      expect(await answer.ended).toMatchObject({ failure: { kind: 'unreachable' } })
      expect(await nobody.probe(1_000)).toMatchObject({ reachable: false })
      await nobody.close()
    })
  })

  describe('a caller who leaves', () => {
    test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
      ['before the head of a stream', true, () => {}],
      ['before the head of a whole answer', false, () => {}],
      ['before the first event', true, ({ response }) => response.writeHead(200, streamHead).flushHeaders()],
      ['in mid-stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a'))],
      ['inside a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"choices":')],
    ])('%s closes the connection at once', async (_when, stream, script) => {
      setting.vendor.behaviour = { script }
      const answer = setting.ask({ stream })
      await until(() => setting.vendor.seen.length === 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      answer.abort()
      answer.abort()
      const leftMs = performance.now()
      await until(() => setting.vendor.seen[0]?.ended === 'client-left')
      expect(performance.now() - leftMs).toBeLessThan(1_000)
    })

    test('before there is a connection sends nothing', async () => {
      const answer = setting.ask()
      answer.abort()
      await setting.asked(streams(word('a'), done), { requestId: 'req_next' })
      expect(setting.vendor.seen.map(({ headers }) => headers['x-request-id'])).toEqual(['req_next'])
    })

    test('from inside a callback hears nothing more', async () => {
      setting.vendor.behaviour = {
        script: ({ response }) => {
          response.writeHead(200, streamHead).write(word('a'))
          setTimeout(() => response.end(word('b') + done), 10)
        },
      }
      const answer: RecordedAnswer = setting.ask({}, () => {
        answer.abort()
        return true
      })
      await until(() => answer.pieces === 1)
      await new Promise((resolve) => setTimeout(resolve, 30))
      expect(answer.text).toBe(word('a'))
      expect(answer.ending).toBeUndefined()
    })
  })

  test('a caller who does not take more stops the reading, and goes on where it stopped', async () => {
    const megabytes = 24
    const text = word('x'.repeat(64 * 1024))
    const count = megabytes * 16
    let sentBytes = 0
    setting.vendor.behaviour = {
      script: ({ response }) => {
        response.writeHead(200, streamHead)
        const more = () => {
          while (sentBytes < count * text.length) {
            sentBytes += text.length
            if (!response.write(text)) return response.once('drain', more)
          }
          return response.end(done)
        }
        more()
      },
    }
    let taking = false
    await setting.withLimits({ streamIdleMs: 160 }, async (other) => {
      const answer = setting.ask({}, () => taking, other)
      await until(() => answer.pieces === 1)
      // Longer than a stream may be silent: it is not the vendor who is.
      await new Promise((resolve) => setTimeout(resolve, 400))
      expect(answer.pieces).toBe(1)
      expect(sentBytes).toBeLessThan((megabytes * 1024 * 1024) / 2)
      taking = true
      answer.exchange.resume()
      expect(await answer.ended).toMatchObject({ kind: 'whole' })
      expect(answer.bytes.length).toBe(count * text.length + done.length)
    })
  })

  describe('kept connections', () => {
    /** Of its own: what a vendor did in another test is not held against it. */
    let keeping: Provider
    beforeEach(async () => {
      keeping = await setting.open()
    })
    afterEach(() => keeping.close())
    const rest = () => new Promise((resolve) => setTimeout(resolve, 40))
    const connections = () => new Set(setting.vendor.seen.map(({ connection }) => connection)).size

    test('carry one answer after the other', async () => {
      const rounds = 8
      for (let round = 0; round < rounds; round++) {
        await setting.asked(round % 2 === 0 ? streams(word('a'), done) : answers(429, jsonHead, '{}'), {}, keeping)
        await rest()
      }
      // One, but for those that had not rested when the next request came.
      expect(connections()).toBeLessThan(rounds)
    })

    test('never carry what the vendor sent beyond one answer into the next, however late it came', async () => {
      setting.vendor.behaviour = {
        script: ({ seen, socket }) => {
          const id = String(seen.headers['x-request-id'])
          const body = JSON.stringify({ choices: [], id })
          socket.write(rawJson(body.length, body))
          const surplus = JSON.stringify({ choices: [], id: `after ${id}` })
          setTimeout(() => socket.write(rawJson(surplus.length, surplus)), setting.vendor.seen.length % 10)
        },
      }
      for (let round = 1; round <= 30; round++) {
        const answer = setting.ask({ stream: false, requestId: `req_${round}` }, undefined, keeping)
        const { kind } = await answer.ended
        // Where both came at once, the first one is not believed either.
        expect(answer.text).toBe(kind === 'whole' ? JSON.stringify({ choices: [], id: `req_${round}` }) : '')
      }
    })

    test.each<[string, number]>([
      ['at once', 0],
      ['later', 5],
    ])('are not made with a vendor that was caught sending too much %s', async (_when, afterMs) => {
      const one = rawJson(14, '{"choices":[]}')
      await setting.asked(
        ({ socket }) => {
          if (afterMs === 0) socket.write(one + one)
          else socket.write(one, () => setTimeout(() => socket.write(one), afterMs))
        },
        { stream: false },
        keeping,
      )
      await rest()
      for (let round = 0; round < 4; round++) {
        await setting.asked(streams(word('a'), done), {}, keeping)
        await rest()
      }
      expect(connections()).toBe(setting.vendor.seen.length)
    })

    test('that the vendor closed while they were idle cost a request nothing', async () => {
      setting.vendor.behaviour = {
        script: ({ response, socket }) => {
          const afterMs = 15 + 10 * setting.vendor.seen.length
          response.writeHead(200, streamHead).end(done, () => setTimeout(() => socket.destroy(), afterMs))
        },
      }
      for (let round = 0; round < 5; round++) {
        const ending = await setting.ask({}, undefined, keeping).ended
        // Closed in the very moment of being used, it says so.
        expect(ending).toMatchObject(ending.kind === 'whole' ? {} : { failure: { kind: 'reset', stale: true } })
        await rest()
      }
    })

    test('that the vendor closes as they are used again are told from a vendor that breaks', async () => {
      for (let reused = false; !reused; ) {
        await setting.asked(streams(word('a'), done), {}, keeping)
        await rest()
        const answer = await setting.asked(({ socket }) => socket.resetAndDestroy(), {}, keeping)
        const [first, second] = setting.vendor.seen.splice(0)
        reused = first?.connection === second?.connection
        expect(answer.ending).toMatchObject({ failure: { kind: 'reset', ...(reused && { stale: true }) } })
      }
      const fresh = await setting.asked(({ socket }) => socket.resetAndDestroy(), {}, keeping)
      expect(fresh.ending).not.toHaveProperty('failure.stale')
    })
  })

  test('closing lets what is under way end, and takes nothing new', async () => {
    const closing = await setting.open()
    let release = () => {}
    setting.vendor.behaviour = {
      script: ({ response }) => {
        response.writeHead(200, streamHead).write(word('a'))
        release = () => response.end(done)
      },
    }
    const answer = setting.ask({}, undefined, closing)
    await until(() => answer.pieces === 1)
    const closed = closing.close()
    const late = setting.ask({}, undefined, closing)
    expect(await late.ended).toMatchObject({ failure: { kind: 'withdrawn' } })
    release()
    expect(await answer.ended).toMatchObject({ kind: 'whole' })
    await closed
    expect(setting.vendor.seen).toHaveLength(1)
  })
}
