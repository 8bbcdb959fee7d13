import { createSocket, type Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { HostResolver } from './host-resolver.ts'

type Answer = readonly string[] | 'nothing' | 'no such name'

/** A name server whose only name has the addresses that a test says. */
let server: Socket
let answer: Answer
let asked: number
const ttlSeconds = 30

function reply(query: Buffer): Buffer | undefined {
  if (answer === 'nothing') return undefined
  const question = query.subarray(12, query.indexOf(0, 12) + 5)
  // Only for A records; of the others there are none.
  const isA = question.readUInt16BE(question.length - 4) === 1
  const addresses = isA && answer !== 'no such name' ? answer : []
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(answer === 'no such name' ? 0x8183 : 0x8180, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) => {
    const record = Buffer.alloc(16)
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(1, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(ttlSeconds, 6)
    record.writeUInt16BE(4, 10)
    for (const [at, part] of address.split('.').entries()) record[12 + at] = Number(part)
    return record
  })
  return Buffer.concat([head, question, ...records])
}

let dir: string
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'spillway-dns-'))
  server = createSocket('udp4')
  server.on('message', (query, from) => {
    asked++
    const bytes = reply(query)
    if (bytes !== undefined) server.send(bytes, from.port, from.address)
  })
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.close()
  rmSync(dir, { recursive: true })
})

let nowMs: number
let systemAsked: string[]
let system: (host: string) => Promise<readonly { address: string; family: 4 | 6 }[]>
let hosts: HostResolver

beforeEach(() => {
  nowMs = 0
  asked = 0
  answer = ['192.0.2.1']
  systemAsked = []
  system = async () => []
  const resolver = new Resolver({ timeout: 300, tries: 1 })
  resolver.setServers([`127.0.0.1:${server.address().port}`])
  hosts = new HostResolver({
    resolver,
    hostsFile: path.join(dir, 'hosts'),
    system: (host) => {
      systemAsked.push(host)
      return system(host)
    },
    nowMs: () => nowMs,
  })
})
afterEach(() => {
  writeFileSync(path.join(dir, 'hosts'), '')
})

const found = async (name = 'vendor.test') => (await hosts.addresses(name)).map(({ address }) => address)

describe("a vendor's name", () => {
  test('is asked for once for all that connect at the same time, and not again while its record holds', async () => {
    answer = ['192.0.2.1', '192.0.2.2']
    for (const addresses of await Promise.all(Array.from({ length: 50 }, () => found())))
      expect(addresses.toSorted()).toEqual(['192.0.2.1', '192.0.2.2'])
    nowMs = ttlSeconds * 1_000 - 1
    await found()
    expect(asked).toBe(2)
    expect(systemAsked).toEqual([])
  })

  test('whose record has run out is asked for beside the connections that go on', async () => {
    await found()
    answer = ['192.0.2.9']
    nowMs = ttlSeconds * 1_000
    expect(await found()).toEqual(['192.0.2.1'])
    await expect.poll(() => found()).toEqual(['192.0.2.9'])
  })

  test.each<[string, Answer]>([
    ['does not answer', 'nothing'],
    ['says there is no such name', 'no such name'],
    ['says that it has no address', []],
  ])('keeps its last good address for an hour where DNS %s', async (_what, failing) => {
    await found()
    answer = failing
    for (nowMs = 60_000; nowMs <= 3_600_000; nowMs += 600_000) {
      expect(await found()).toEqual(['192.0.2.1'])
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    nowMs = 3_700_000
    await expect(found()).rejects.toMatchObject({ code: 'ENOTFOUND' })
    answer = ['192.0.2.9']
    nowMs += 1_000
    await expect.poll(() => found().catch(() => [])).toEqual(['192.0.2.9'])
  })

  test('that nobody answers for fails within two seconds, and is left alone for one', async () => {
    answer = 'nothing'
    system = () => new Promise(() => {})
    const startedMs = performance.now()
    await expect(found()).rejects.toMatchObject({ code: 'ENOTFOUND' })
    expect(performance.now() - startedMs).toBeLessThan(4_000)
    const before = asked
    await expect(found()).rejects.toMatchObject({ code: 'ENOTFOUND' })
    expect(asked).toBe(before)
  })

  test('that only the system knows is asked for there, one name at a time', async () => {
    answer = 'no such name'
    let release = () => {}
    system = (host) =>
      host === 'stuck'
        ? new Promise((resolve) => (release = () => resolve([])))
        : Promise.resolve([{ address: '192.0.2.7', family: 4 }])
    const stuck = found('stuck')
    const behind = found('short')
    await expect.poll(() => systemAsked).toEqual(['stuck'])
    release()
    expect(await behind).toEqual(['192.0.2.7'])
    await expect(stuck).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  test('that stands in the hosts file is taken from there', async () => {
    writeFileSync(
      path.join(dir, 'hosts'),
      '# ours\n127.0.0.1 localhost\n192.0.2.5\tother Vendor.test # not that\n::1 vendor.test\n',
    )
    expect(await found()).toEqual(['192.0.2.5', '::1'])
    expect(asked).toBe(0)
  })

  test('is what a connection is made with', async () => {
    const listener = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    await new Promise((resolve) => listener.once('listening', resolve))
    answer = ['127.0.0.1']
    const { port } = listener.address() as AddressInfo
    const socket = connect({ host: 'vendor.test', port, lookup: hosts.lookup })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.destroy()
    answer = 'no such name'
    const nowhere = connect({ host: 'nowhere.test', port, lookup: hosts.lookup })
    await expect(
      new Promise((resolve, reject) => nowhere.once('connect', resolve).once('error', reject)),
    ).rejects.toMatchObject({
      code: 'ENOTFOUND',
    })
    listener.close()
  })
})
