import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DemoDirectory } from '../../src/cli/demo-control.ts'
import { runInPipe } from '../../src/cli/testing.ts'
import { FakeVendor } from './fake-vendor.ts'
import { freePort, type GatewayProcess, pause, statusOf } from './gateway-process.ts'
import { acmeKey, keysEnv, startOver } from './setting.ts'

const root = path.join(import.meta.dirname, '../..')

describe('commands beside a running gateway, and without one', { timeout: 60_000 }, () => {
  let vendor: FakeVendor
  let gateway: GatewayProcess

  beforeAll(async () => {
    vendor = await FakeVendor.start()
    gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
  }, 30_000)
  afterAll(async () => {
    await gateway?.dispose()
    await vendor?.down()
  })

  const run = (...words: string[]) => runInPipe([...words, '--config', gateway.configFile], gateway.dir, keysEnv)
  /** The one JSON value that a command prints, and nothing else. */
  const json = async (...words: string[]) => {
    const { code, out, err } = await run(...words, '--json')
    expect([code, err], out).toEqual([0, ''])
    return JSON.parse(out)
  }
  const chat = (key: string) =>
    fetch(`${gateway.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat-large', max_tokens: 3, messages: [{ role: 'user', content: 'hello' }] }),
    })

  test('a key works at once, is listed without its text, and is refused within a second of its revocation', async () => {
    const { key, id } = await json('keys', 'create', '--tenant', 'other', '--label', 'laptop')
    expect(key).toMatch(/^sk-spw-[\w-]{43}$/)
    expect((await chat(key)).status).toBe(200)
    const listed = await run('keys', 'list', '--json')
    expect(listed.out).not.toContain(key)
    expect(JSON.parse(listed.out)).toContainEqual({
      id,
      tenant: 'other',
      label: 'laptop',
      hint: key.slice(-4),
      createdWallMs: expect.any(Number),
      revokedWallMs: null,
      origin: 'database',
    })
    expect(await json('keys', 'revoke', id)).toEqual({ id, revoked: true })
    await pause(1_000)
    expect((await chat(key)).status).toBe(401)
    expect(await run('keys', 'revoke', id)).toMatchObject({ code: 1, err: expect.stringContaining('no valid key') })
  })

  test('a key of the file cannot be revoked here, and says where it can', async () => {
    const keys = (await json('keys', 'list')) as { id: string; origin: string }[]
    const ofFile = keys.find(({ origin }) => origin === 'file')?.id ?? ''
    expect(await run('keys', 'revoke', ofFile)).toMatchObject({ code: 1, err: expect.stringContaining('take it out') })
  })

  test('a tenant is added with its terms, once, on a plan that there is', async () => {
    const words = ['tenants', 'add', 'globex', '--countries', 'NL,FR', '--sub-processors', 'slf,self', '--json']
    const misspelt = await run(...words, '--plan', 'enterprize')
    expect(misspelt).toMatchObject({ code: 1, err: expect.stringContaining('did you mean enterprise?') })
    const added = await run(...words, '--plan', 'enterprise', '--budget-usd-per-month', '5')
    expect(added.code).toBe(0)
    expect(added.err).toBe('warning: no provider is in FR\nwarning: no provider is of slf; did you mean self?\n')
    expect(await json('tenants', 'list')).toContainEqual({
      id: 'globex',
      plan: 'enterprise',
      countries: ['NL', 'FR'],
      subProcessors: ['slf', 'self'],
      allowSubstitutes: false,
      budgetUsdPerMonth: 5,
      origin: 'database',
    })
    expect(await run(...words, '--plan', 'enterprise')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is a tenant globex already'),
    })
  })

  test('usage sums, shows one request, and exports them all', async () => {
    const id = (await chat(acmeKey)).headers.get('x-request-id') as string
    const sums = await json('usage', '--by', 'tenant,country', '--tenant', 'acme')
    expect(sums).toEqual([
      {
        group: { tenant: 'acme', country: 'NL' },
        requests: 1,
        inputTokens: 11,
        cachedInputTokens: 0,
        outputTokens: 3,
        usd: 0.000017,
      },
    ])
    expect((await run('usage', '--by', 'tenant')).out).toMatch(
      /^tenant +requests .*\n(.*\n)*acme +1 +11 +0 +3 +0\.000017$/m,
    )
    expect(await json('usage', 'request', id)).toMatchObject({ id, state: 'ok', nanoUsd: 17_000, country: 'NL' })
    expect((await run('usage', 'request', id)).out).toContain('served by  chat-large/own (self, NL), 1 try')
    const csv = (await run('usage', 'export', '--tenant', 'acme')).out.trimEnd().split('\n')
    expect(csv[0]).toMatch(/^id,time,tenant,key,model,state,status,code,endpoint,/)
    expect(csv[1]).toMatch(
      new RegExp(
        `^${id},20\\d\\d-.*Z,acme,k_\\w+,chat-large,ok,200,,chat-large/own,self,NL,1,11,0,3,upstream,false,0\\.000017000$`,
      ),
    )
    expect(csv).toHaveLength(2)
    expect(await run('usage', 'request', 'req_none')).toMatchObject({
      code: 1,
      err: expect.stringContaining('x-request-id'),
    })
  })

  test('the ledger is made again from the journal while the gateway serves, and is the same', async () => {
    const before = await json('usage', 'export')
    expect(await json('usage', 'rebuild')).toEqual({ requests: before.length })
    expect(await json('usage', 'export')).toEqual(before)
  })

  test('without a running gateway the same commands open the data themselves', { timeout: 30_000 }, async () => {
    const before = await json('usage', 'export')
    const keys = await json('keys', 'list')
    await gateway.end()
    expect(await json('usage', 'export')).toEqual(before)
    expect(await json('keys', 'list')).toEqual(keys)
    expect(await json('usage', 'rebuild')).toEqual({ requests: before.length })
    expect((await json('keys', 'create', '--tenant', 'acme')).key).toMatch(/^sk-spw-/)
    await gateway.run()
  })
})

describe('the demo', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'spillway-demo-'))
  const children: ChildProcess[] = []
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGKILL')
        await ended
      }
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const run = (...words: string[]) => runInPipe(words, folder)

  /** Starts it as `npm start` does, with the script between npm and the command line. */
  async function start(
    env: Record<string, string> = {},
  ): Promise<{ child: ChildProcess; port: number; said: () => string }> {
    const port = await freePort()
    const child = spawn(process.execPath, [path.join(root, 'scripts/run.mjs'), 'src/cli/main.ts', 'start'], {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '', SPILLWAY_PORT: String(port), ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    children.push(child)
    let text = ''
    child.stderr?.on('data', (more: Buffer) => {
      text += more.toString()
    })
    await until(async () => child.exitCode !== null || (await statusOf(port, '/readyz')) === 200)
    expect(child.exitCode, text).toBeNull()
    await until(() => text.includes('Take a cloud down'))
    return { child, port, said: () => text }
  }

  async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let round = 0; round < 1_800; round++) {
      if (await holds()) return
      await pause(25)
    }
    throw new Error('it did not come about within 45 s')
  }

  const clouds = (): DemoDirectory => JSON.parse(readFileSync(path.join(folder, 'data/demo/clouds.json'), 'utf8'))
  const cloudsAreGone = ({ clouds: started }: DemoDirectory) =>
    until(async () =>
      (await Promise.all(started.map(({ port }) => statusOf(port, '/')))).every((status) => status === undefined),
    )
  const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve))
  const longStream = (port: number) =>
    fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(path.join(folder, 'data/demo/key'), 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        model: 'chat-large',
        stream: true,
        max_tokens: 5_000,
        messages: [{ role: 'user', content: 'hello' }],
      }),
    })

  test('prints where it serves, a key, how to ask and how to take a cloud down, which then works', {
    timeout: 60_000,
  }, async () => {
    const { child, port, said } = await start()
    const key = readFileSync(path.join(folder, 'data/demo/key'), 'utf8').trim()
    expect(said()).toContain(`http://127.0.0.1:${port}/v1\n`)
    expect(said()).toContain(`curl http://127.0.0.1:${port}/v1/chat/completions -H 'authorization: Bearer ${key}'`)
    expect(said()).toContain('demo fail google-cloud/NL')
    expect(said()).toContain('simulations on this machine')

    const failed = await run('demo', 'fail', 'google-cloud/NL', '--how', 'stall', '--for', '60s', '--json')
    expect(JSON.parse(failed.out)).toEqual({ vendor: 'google-cloud', country: 'NL', how: 'stall', forMs: 60_000 })
    const state = async () =>
      (JSON.parse((await run('demo', 'status', '--json')).out) as { vendor: string; country: string; fault: unknown }[])
        .filter(({ fault }) => fault !== null)
        .map(({ vendor, country, fault }) => `${vendor}/${country} ${fault}`)
    expect(await state()).toEqual(['google-cloud/NL stall'])
    expect((await run('demo', 'status')).out).toMatch(/google-cloud +NL +\d+ +0 of 64 +silent/)
    expect(await run('demo', 'heal', 'google-cloud/NL')).toMatchObject({
      code: 0,
      out: 'google-cloud in NL is well again\n',
    })
    expect(await state()).toEqual([])
    await run('demo', 'fail', 'microsoft/GB', '--how', 'slow', '--for', '100ms')
    await until(async () => (await state()).length === 0)

    for (const action of ['fail', 'heal']) {
      expect(await run('demo', action, 'nimbus/NL')).toMatchObject({
        code: 1,
        err: expect.stringMatching(/no cloud nimbus; there are microsoft/),
      })
      expect(await run('demo', action, 'microsoft/FR')).toMatchObject({
        code: 1,
        err: expect.stringMatching(/not in FR; it is in US, GB/),
      })
    }
    expect(await run('up', '--demo', '--port', String(await freePort()))).toMatchObject({
      code: 1,
      err: expect.stringContaining('running already'),
    })

    const before = clouds()
    child.kill('SIGINT')
    expect(await ended(child)).toBe(0)
    await cloudsAreGone(before)
    expect(await run('demo', 'status')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no demo clouds are running'),
    })
  })

  test('with --json says the same in one line of JSON, before a line for each request', {
    timeout: 60_000,
  }, async () => {
    const port = await freePort()
    const main = path.join(root, 'src/cli/main.ts')
    const child = spawn(process.execPath, [main, 'up', '--demo', '--json', '--port', String(port)], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    children.push(child)
    let out = ''
    child.stdout?.on('data', (more: Buffer) => {
      out += more.toString()
    })
    await until(() => out.includes('\n'))
    const facts = JSON.parse(out.split('\n')[0] ?? '') as { key: string; places: unknown[] }
    expect(facts).toMatchObject({
      endpoint: `http://127.0.0.1:${port}/v1`,
      metrics: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/),
      key: readFileSync(path.join(folder, 'data/demo/key'), 'utf8').trim(),
      models: ['chat-large', 'chat-small'],
    })
    expect(facts.places).toContainEqual({
      provider: 'google-cloud-nl',
      subProcessor: 'google-cloud',
      country: 'NL',
      reached: true,
    })
    await fetch(`${(facts as { endpoint?: string }).endpoint}/none`)
    child.kill('SIGTERM')
    expect(await ended(child)).toBe(0)
    for (const line of out.trimEnd().split('\n')) expect(typeof JSON.parse(line)).toBe('object')
    expect(out.trimEnd().split('\n').length).toBeGreaterThan(1)
  })

  test('lets an open answer run on after one Ctrl-C, and cuts it at the next', async () => {
    const { child, port, said } = await start()
    const before = clouds()
    const answer = await longStream(port)
    const over = answer.text().then(
      (text) => text.includes('[DONE]'),
      () => false,
    )
    // As from npm and the terminal at once.
    child.kill('SIGINT')
    child.kill('SIGINT')
    await until(() => said().includes('finishing 1 open request'))
    await pause(400)
    expect(child.exitCode).toBeNull()
    child.kill('SIGINT')
    expect(await ended(child)).toBe(1)
    expect(await over).toBe(false)
    await cloudsAreGone(before)
  })

  test('leaves no cloud behind when it is killed', async () => {
    const { child, port } = await start()
    const before = clouds()
    const command = Number(readFileSync(path.join(folder, 'data/demo/gateway/owner'), 'utf8'))
    process.kill(command, 'SIGKILL')
    await ended(child)
    await cloudsAreGone(before)
    expect(await statusOf(port, '/livez')).toBeUndefined()
  })

  test('does not start where the port is in use, and starts nothing then', async () => {
    const other: Server = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const port = String((other.address() as { port: number }).port)
    rmSync(path.join(folder, 'data'), { recursive: true, force: true })
    expect(await runInPipe(['start'], folder, { SPILLWAY_PORT: port })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/the port is in use; .*SPILLWAY_PORT/),
    })
    expect(await run('demo', 'status')).toMatchObject({ code: 1 })
    other.close()
  })

  test('is not started where a configuration with mistakes is named: they are listed', async () => {
    writeFileSync(
      path.join(folder, 'bad.yaml'),
      'location: { country: UK, subProcessor: self }\nproviders: {}\nmodels: {}\n',
    )
    expect(await runInPipe(['start'], folder, { SPILLWAY_CONFIG: 'bad.yaml' })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/bad\.yaml has 3 mistakes:\n {2}line 1: location\.country: write "GB"\n/),
    })
  })
})
