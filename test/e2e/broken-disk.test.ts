import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess, pause, statusOf, until } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { keysEnv, startOver, yamlFor } from './setting.ts'
import { streamChat } from './stream-chat.ts'

let vendor: FakeVendor
let gateway: GatewayProcess | undefined
let mounted: string | undefined

beforeEach(async () => {
  vendor = await FakeVendor.start()
})

afterEach(async () => {
  await gateway?.end('SIGKILL')
  if (mounted !== undefined) run('umount', mounted)
  mounted = undefined
  await gateway?.dispose()
  gateway = undefined
  await vendor.down()
})

const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' }).status === 0
const mount = (dir: string, mebibytes: number) => run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', dir)

/** A disk of its own needs leave to mount one: root, and a container that lets it. */
const canMount = (() => {
  const dir = mkdtempSync(path.join(tmpdir(), 'spillway-mount-'))
  const can = mount(dir, 1)
  if (can) run('umount', dir)
  rmSync(dir, { recursive: true })
  return can
})()
const canLimit = run('prlimit', '--version')

const place = () => ({ name: 'own', vendor, subProcessor: 'self', country: 'NL' })

/** Starts with a data directory on a disk of its own, of 256 MiB. */
async function startOnOwnDisk(): Promise<{ fill(): void; makeRoom(): void }> {
  let filler = ''
  gateway = await GatewayProcess.start(yamlFor([place()], { limits: '{ drainMs: 500 }' }), keysEnv, {
    prepare: (dir) => {
      const data = path.join(dir, 'data')
      mkdirSync(data)
      if (!mount(data, 256)) throw new Error(`cannot mount a disk at ${data}`)
      mounted = data
      filler = path.join(data, 'filler')
    },
  })
  return {
    fill() {
      const fd = openSync(filler, 'a')
      const block = Buffer.alloc(64 * 1024)
      try {
        for (;;) writeSync(fd, block)
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
      } finally {
        closeSync(fd)
      }
    },
    makeRoom: () => rmSync(filler),
  }
}

const ask = () => streamChat((gateway as GatewayProcess).port, { maxTokens: 3 })

/** As often as the gateway gives something up, and for a while after it has stopped to take requests. */
async function fillAgainAndAgain(disk: { fill(): void }): Promise<void> {
  for (let refusals = 0; refusals < 10; ) {
    disk.fill()
    if ((await ask()).status === 503) refusals++
    await pause(25)
  }
}

describe.skipIf(!canMount)('a full disk (needs root and leave to mount a tmpfs)', () => {
  test('stops what is new, lets what is open end and settle, and passes', { timeout: 60_000 }, async () => {
    vendor.behaviour = { everyMs: 10 }
    const disk = await startOnOwnDisk()
    const running = gateway as GatewayProcess
    const open = Array.from({ length: 8 }, () => streamChat(running.port, { maxTokens: 300 }))
    await until(() => vendor.chats.length === 8 && vendor.chats.every(({ events }) => events > 10))

    disk.fill()
    const filledMs = performance.now()
    vendor.behaviour = {}
    await until(async () => (await ask()).status === 503)
    // Promised: 1 s.
    expect(performance.now() - filledMs).toBeLessThan(5_000)
    expect(await ask()).toMatchObject({ status: 503, code: 'storage_unavailable' })
    expect(await statusOf(running.port, '/readyz')).toBe(503)
    expect(await statusOf(running.port, '/livez')).toBe(200)
    const ended = await Promise.all(open)
    expect(ended.map(({ whole, tokens }) => [whole, tokens])).toEqual(ended.map(() => [true, 300]))

    disk.makeRoom()
    const roomMs = performance.now()
    await until(async () => (await ask()).whole)
    // Promised: 10 s.
    expect(performance.now() - roomMs).toBeLessThan(15_000)
    const rows = await exportedRows(running)
    for (const { id } of ended) expect(rows.get(id as string)).toMatchObject({ state: 'ok', outputTokens: 300 })
    expect(await running.end('SIGTERM')).toBe(0)
  })

  test('loses nothing where even the room kept for it is taken', { timeout: 60_000 }, async () => {
    vendor.behaviour = { everyMs: 10 }
    const disk = await startOnOwnDisk()
    const running = gateway as GatewayProcess
    const open = Array.from({ length: 4 }, () => streamChat(running.port, { maxTokens: 300 }))
    await until(() => vendor.chats.length === 4 && vendor.chats.every(({ events }) => events > 10))
    await fillAgainAndAgain(disk)
    disk.makeRoom()
    // What waited for the disk goes on where it stood.
    const ended = await Promise.all(open)
    expect(ended.map(({ whole, tokens }) => [whole, tokens])).toEqual(ended.map(() => [true, 300]))
    await until(async () => (await ask()).whole)
    const rows = await exportedRows(running)
    for (const { id } of ended) expect(rows.get(id as string)).toMatchObject({ state: 'ok', outputTokens: 300 })
  })

  test('lets the process end when it is told to, and nothing is lost', { timeout: 60_000 }, async () => {
    vendor.behaviour = { everyMs: 10 }
    const disk = await startOnOwnDisk()
    const running = gateway as GatewayProcess
    const seen = streamChat(running.port, { maxTokens: 1_000 })
    await until(() => vendor.chats.length === 1 && (vendor.chats[0]?.events ?? 0) > 100)
    await fillAgainAndAgain(disk)
    const ended = running.end('SIGTERM')
    const { id, whole, tokens } = await seen
    expect(whole).toBe(false)
    expect(await ended).toBe(0)
    disk.fill()
    const refused = await running.cli('up')
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('is full; make room, then start again')])
    disk.makeRoom()
    await running.run()
    const row = (await exportedRows(running)).get(id as string)
    expect(row).toMatchObject({ state: 'partial', estimated: true })
    expect(row?.outputTokens).toBeGreaterThanOrEqual(tokens)
    expect(row?.outputTokens).toBeLessThanOrEqual(tokens + 64)
  })
})

describe.skipIf(!canLimit)('a disk that fails a write (needs prlimit)', () => {
  test('ends the process, and the next one has all that was acknowledged', { timeout: 60_000 }, async () => {
    gateway = await startOver([place()])
    const running = gateway
    const before = await Promise.all(Array.from({ length: 20 }, ask))
    vendor.behaviour = { everyMs: 10 }
    const open = Array.from({ length: 4 }, () => streamChat(running.port, { maxTokens: 1_000 }))
    await until(() => vendor.chats.length === 24 && vendor.chats.slice(-4).every(({ events }) => events > 100))

    // A file that may not grow: a write fails with an error that is no lack of room.
    const journal = path.join(running.dir, 'data/journal')
    const [segment] = readdirSync(journal).filter((name) => name.endsWith('.ndjson'))
    const { size } = statSync(path.join(journal, segment as string))
    expect(run('prlimit', '--pid', String(running.pid), `--fsize=${size + 300}`)).toBe(true)
    const cut = await Promise.all(open)
    expect(await running.exited).toBe(1)
    expect(running.said).toContain('the journal cannot be written')
    for (const { whole } of cut) expect(whole).toBe(false)

    await running.run()
    const rows = await exportedRows(running)
    for (const { id } of before) expect(rows.get(id as string)).toMatchObject({ state: 'ok', outputTokens: 3 })
    for (const { id, tokens } of cut) {
      const row = rows.get(id as string)
      expect(row?.outputTokens).toBeGreaterThanOrEqual(tokens)
      expect(row?.outputTokens).toBeLessThanOrEqual(tokens + 64)
    }
    expect(await ask()).toMatchObject({ whole: true })
  })
})
