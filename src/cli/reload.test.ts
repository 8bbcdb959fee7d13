import { describe, expect, test } from 'vitest'
import { parseConfig } from '../config/parse.ts'
import { Reloader } from './reload.ts'
import type { Setting } from './setting.ts'

const yaml = `
location: { country: NL, subProcessor: self }
providers: { own: { kind: openai-compatible, baseUrl: "http://127.0.0.1:9000/v1", subProcessor: self, country: NL } }
models: { chat: { endpoints: [{ provider: own, upstreamModel: m }] } }
`

function setting(rest = '', discard = () => {}): Setting {
  const result = parseConfig(yaml + rest, { fileDir: '/', joinPath: (_dir, file) => file })
  if (result.kind === 'invalid') throw new Error(JSON.stringify(result.issues))
  const providers = { providers: new Map(), problems: [], fingerprint: '', commit: () => {}, discard }
  const rows = { tenants: [], keys: [], problems: [] }
  return { config: result.config, rows, tls: undefined, providers, warnings: [], fingerprint: rest }
}

/** Reads what `there` is at that time, a moment later. */
function reloader(started: Setting) {
  const said: string[] = []
  const applied: Setting[] = []
  const world = { there: started, reads: 0, said, applied }
  const one = new Reloader({
    started,
    read: async () => {
      world.reads++
      await new Promise((resolve) => setTimeout(resolve, 1))
      return world.there
    },
    apply: (next) => applied.push(next),
    say: (line) => said.push(line),
  })
  return Object.assign(one, { world })
}

describe('a reload', () => {
  test('that is asked for while another runs follows it, once', async () => {
    const one = reloader(setting())
    const { world } = one
    const first = one.reload()
    await new Promise((resolve) => setImmediate(resolve))
    world.there = setting('log: { level: info }')
    expect(await Promise.all([first, one.reload(), one.reload(), one.lookAgain()])).toEqual([true, true, true, true])
    expect(world.reads).toBe(2)
    expect(world.applied.at(-1)).toBe(world.there)
  })

  test('for a change of a file passes over what is in force already', async () => {
    const one = reloader(setting())
    expect(await one.lookAgain()).toBe(true)
    expect(one.world.applied).toHaveLength(0)
    one.world.there = setting('log: { level: info }')
    await one.lookAgain()
    await one.lookAgain()
    expect(one.world.applied).toHaveLength(1)
    await one.reload()
    expect(one.world.applied).toHaveLength(2)
  })

  test.each([
    ['dataDir', 'dataDir: ./other', 'dataDir cannot change while running; restart'],
    ['listen', 'listen: { port: 1 }', 'listen cannot change while running; restart'],
    ['TLS', 'tls: { cert: a, key: b }', 'tls, from none to some or back, cannot change while running; restart'],
  ])('of %s is refused whole, and gives up what was opened for it', async (_what, rest, words) => {
    const one = reloader(setting())
    let discarded = 0
    one.world.there = setting(rest, () => discarded++)
    expect(await one.reload()).toBe(false)
    expect(one.world.applied).toHaveLength(0)
    expect(discarded).toBe(1)
    expect(one.world.said.join()).toContain(words)
  })

  test('says what of it waits for the next start', async () => {
    const one = reloader(setting())
    one.world.there = setting('metrics: off\nlimits: { queueMs: 1, attemptsMax: 1, connectionsMax: 5 }')
    expect(await one.reload()).toBe(true)
    expect(one.world.said).toContain('warning: metrics, limits.attemptsMax will change with the next start only')
  })
})
