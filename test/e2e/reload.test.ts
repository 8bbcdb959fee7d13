import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { mutationsOf } from '../../src/config/testing.ts'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess, until } from './gateway-process.ts'
import { acmeKey, keysEnv, otherKey, startOver, yamlFor } from './setting.ts'
import { streamChat } from './stream-chat.ts'

const canMakeCertificates = spawnSync('openssl', ['version']).status === 0

let gb: FakeVendor
let nl: FakeVendor
let gateway: GatewayProcess

beforeEach(async () => {
  gb = await FakeVendor.start()
  nl = await FakeVendor.start()
})

afterEach(async () => {
  await gateway?.dispose()
  await Promise.all([gb.down(), nl.down()])
})

const places = () => ({
  gb: { name: 'gb', vendor: gb, subProcessor: 'microsoft', country: 'GB' },
  nl: { name: 'nl', vendor: nl, subProcessor: 'self', country: 'NL' },
})

async function models(key = acmeKey): Promise<string[] | number> {
  const answer = await fetch(`${gateway.url}/models`, { headers: { authorization: `Bearer ${key}` } })
  if (answer.status !== 200) return answer.status
  return ((await answer.json()) as { data: { id: string }[] }).data.map(({ id }) => id)
}

const timesSaid = (words: string) => gateway.said.split(words).length - 1

describe('a reload', () => {
  test('fails none of 1,000 streams, whatever it changes, 50 times over', { timeout: 120_000 }, async () => {
    const { gb: first, nl: second } = places()
    gb.behaviour = { everyMs: 5 }
    nl.behaviour = { everyMs: 5 }
    gateway = await startOver([first, second])
    let over = false
    let streams = 0
    const failed: unknown[] = []
    const clients = Array.from({ length: 16 }, async () => {
      while (!over || streams < 1_000) {
        streams++
        const seen = await streamChat(gateway.port, { maxTokens: 10 })
        if (!seen.whole || seen.tokens !== 10) failed.push(seen)
      }
    })
    for (let round = 1; round <= 50; round++) {
      // One provider more or less, other connections to all of them, another order, another name.
      const served = round % 3 === 0 ? [first] : round % 3 === 1 ? [second] : [first, second]
      const firstByteMs = 5_000 + (round % 2)
      const yaml = yamlFor(served, {
        limits: `{ firstByteMs: ${firstByteMs}, streamIdleMs: 5000, queueMs: 10000 }`,
        routing: round % 2 === 0 ? 'interactive' : 'pinned',
      })
      gateway.configure(
        yaml.replace(
          'models:\n',
          `models:\n  round-${round}: { endpoints: [{ provider: ${served[0]?.name}, upstreamModel: m }] }\n`,
        ),
      )
      // Now and then by the change of the file alone.
      if (round % 5 !== 0) gateway.signal('SIGHUP')
      await until(async () => (await models()).toString().includes(`round-${round}`))
    }
    over = true
    await Promise.all(clients)
    expect(failed).toEqual([])
    expect(streams).toBeGreaterThanOrEqual(1_000)
  })

  test('to a configuration with a mistake changes nothing and fails nobody', { timeout: 120_000 }, async () => {
    const { gb: first } = places()
    gateway = await startOver([first])
    const good = readFileSync(gateway.configFile, 'utf8')
    let over = false
    let streams = 0
    const failed: unknown[] = []
    const client = (async () => {
      while (!over) {
        streams++
        const seen = await streamChat(gateway.port, { maxTokens: 3 })
        if (!seen.whole) failed.push(seen)
      }
    })()
    // Each of them is read and refused in the tests of the parser; here some of all kinds go through a running process.
    const mutations = mutationsOf(parse(good) as object).filter((_, index) => index % 6 === 0)
    for (const { text, what } of mutations) {
      const before = timesSaid('is not taken')
      writeFileSync(gateway.configFile, text)
      gateway.signal('SIGHUP')
      await until(() => timesSaid('is not taken') > before, `${what} was not refused`)
    }
    expect(timesSaid('in force')).toBe(0)
    expect(await models()).toEqual(['chat-large'])
    writeFileSync(gateway.configFile, good)
    gateway.signal('SIGHUP')
    await until(() => timesSaid('in force') > 0)
    over = true
    await client
    expect(failed).toEqual([])
    expect(streams).toBeGreaterThan(0)
  })

  test('lets running answers end where they began, and closes those connections then', {
    timeout: 30_000,
  }, async () => {
    const { gb: old, nl: next } = places()
    gb.behaviour = { everyMs: 20 }
    gateway = await startOver([old])
    const running = streamChat(gateway.port, { maxTokens: 100 })
    await until(() => gb.chats[0] !== undefined && gb.chats[0].events > 5)
    gateway.configure(yamlFor([next]))
    gateway.signal('SIGHUP')
    await until(() => timesSaid('in force') > 0)
    expect(await streamChat(gateway.port, { maxTokens: 3 })).toMatchObject({ whole: true, tokens: 3 })
    expect(nl.chats).toHaveLength(1)
    expect(gb.connections).toBeGreaterThan(0)
    expect(await running).toMatchObject({ whole: true, tokens: 100 })
    await until(() => gb.connections === 0)
  })

  test('puts the law of the new file in force at once: who is out is out', { timeout: 30_000 }, async () => {
    const { gb: first } = places()
    gateway = await startOver([first])
    expect(await models(otherKey)).toEqual(['chat-large'])
    const yaml = yamlFor([first])
    gateway.configure(yaml.replace(/^ {2}other: .*\n/m, ''))
    gateway.signal('SIGHUP')
    await until(async () => (await models(otherKey)) === 401)
    expect(await models()).toEqual(['chat-large'])
    gateway.configure(yaml.replace('countries: any', 'countries: [NO]'))
    gateway.signal('SIGHUP')
    await until(async () => (await models()).toString() === '')
  })

  test('says what a running process cannot change', { timeout: 30_000 }, async () => {
    const { gb: first } = places()
    gateway = await GatewayProcess.start(yamlFor([first]), keysEnv)
    const good = readFileSync(gateway.configFile, 'utf8')
    writeFileSync(gateway.configFile, good.replace('dataDir: ./data', 'dataDir: ./elsewhere'))
    gateway.signal('SIGHUP')
    await until(() => gateway.said.includes('dataDir cannot change while running; restart to change it'))
    writeFileSync(gateway.configFile, `${good}\nlog: { level: debug }\njournal: { retentionDays: 1 }\n`)
    gateway.signal('SIGHUP')
    await until(() => gateway.said.includes('log, journal will change with the next start only'))
  })

  test.skipIf(!canMakeCertificates)(
    'takes a renewed certificate, and none that is broken (needs openssl)',
    async () => {
      const { gb: first } = places()
      const files = (dir: string) => ({ cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem') })
      const tls = 'tls: { cert: cert.pem, key: key.pem }\n'
      gateway = await GatewayProcess.start(tls + yamlFor([first]), keysEnv, {
        prepare: (dir) => makeCertificate(files(dir), 'first'),
      })
      const { cert } = files(gateway.dir)
      expect(await subjectOf(gateway.port)).toBe('first')
      const good = readFileSync(cert)
      writeFileSync(cert, 'no certificate')
      await until(() => timesSaid('must be a certificate and its key') > 0)
      expect(await subjectOf(gateway.port)).toBe('first')
      writeFileSync(cert, good)
      makeCertificate(files(gateway.dir), 'second')
      await until(async () => (await subjectOf(gateway.port)) === 'second')
    },
  )
})

function makeCertificate({ cert, key }: { cert: string; key: string }, name: string): void {
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const { status } = spawnSync('openssl', [...words, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert])
  expect(status).toBe(0)
}

/** Whom a new connection meets. */
function subjectOf(port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
