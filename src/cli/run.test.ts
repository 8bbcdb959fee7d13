import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { commands } from './commands/index.ts'
import { openTerminal } from './terminal.ts'
import { runInPipe } from './testing.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'spillway-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const run = (line: string, env: Record<string, string> = {}) => runInPipe(line.split(' ').filter(Boolean), folder, env)

describe('help', () => {
  test('of the whole lists every command', async () => {
    const { code, out, err } = await run('--help')
    expect([code, err]).toEqual([0, ''])
    const width = Math.max(...commands.map(({ name }) => name.length))
    for (const { name, summary } of commands) expect(out).toContain(`${name.padEnd(width)}  ${summary}`)
  })

  test.each(commands.map(({ name }) => name))('of %s shows how it is written, in lines that fit', async (name) => {
    const { code, out, err } = await run(`${name} --help`)
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(new RegExp(`^spillway ${name}\\b`))
    for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(120)
  })

  test('is shown for no words at all, which is a mistake', async () => {
    expect(await run('')).toMatchObject({ code: 2, out: expect.stringContaining('usage: spillway COMMAND') })
  })
})

describe('words that are not understood', () => {
  test.each([
    ['frobnicate', 'there is no command frobnicate'],
    ['kyes list', 'did you mean keys?'],
    ['up now', 'unexpected "now"'],
    ['up --cofig x', 'there is no option --cofig; did you mean --config?'],
    ['up --demo --config x', 'give --demo or --config, not both'],
    ['up --demo --port http', '--port takes a number from 0 to 65535, not "http"'],
    ['up --port 9000', '--port goes with --demo'],
    ['up --data x', '--data goes with --demo'],
    ['start now', 'unexpected "now"'],
    ['config', 'say what to do: check'],
    ['config chek', 'did you mean check?'],
    ['config check a b', 'unexpected "b"'],
    ['doctor now', 'unexpected "now"'],
    ['keys', 'say what to do: create, list or revoke'],
    ['keys create', '--tenant ID is missing'],
    ['keys create --tenant', '--tenant takes a value'],
    ['keys create --tenant a --budget-usd-per-month -1', '--budget-usd-per-month takes a'],
    ['keys create --tenant a --tokens-per-minute many', '--tokens-per-minute takes a number above zero, not "many"'],
    ['keys list now', 'unexpected "now"'],
    ['keys revoke', 'the id of the key is missing'],
    ['tenants add', 'the id of the tenant is missing'],
    ['tenants add a/b --plan api', 'an id has letters, digits and . _ : - only'],
    ['tenants add a --plan api', '--countries is missing: a list, or any'],
    ['tenants add a --plan api --countries UK --sub-processors any', 'UK is not a country code'],
    ['tenants lits', 'did you mean list?'],
    ['usage --by colour', '--by takes tenant, key'],
    ['usage --from yesterday', '--from takes a date such as 2026-11-01, not "yesterday"'],
    ['usage request', 'the id of the request is missing'],
    ['usage rebild', 'did you mean rebuild?'],
    ['demo', 'say what to do: clouds, fail, heal or status'],
    ['demo fail', 'the cloud, as VENDOR/COUNTRY, is missing'],
    ['demo fail google-cloud', 'a cloud is named as VENDOR/COUNTRY'],
    ['demo fail google-cloud/NL --how explode', '--how takes down, slow, 429, reset, stall, not "explode"'],
    ['demo fail google-cloud/NL --for ever', '--for takes a time such as 90s, 10m or 1h, not "ever"'],
    ['demo fail google-cloud/NL --for 25h', '--for takes 24h at most'],
    ['replay', 'the trace is missing'],
    ['replay mooncake-head', '--key KEY is missing'],
  ])('spillway %s: exit code 2 and one line that says what to do', async (line, words) => {
    const { code, out, err } = await run(line)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^spillway: [^\n]+\n$/)
    expect(err).toContain(words)
  })
})

describe('what cannot be done', () => {
  test.each([
    ['up', 'name a configuration with --config FILE, or try spillway up --demo'],
    ['up --config nowhere.yaml', 'nowhere.yaml: there is no such file'],
    ['config check', 'spillway.yaml: there is no such file'],
    ['doctor', 'spillway.yaml: there is no such file'],
    ['keys list', 'there is no data directory'],
    ['tenants list --data nowhere', 'nowhere; name it with --data DIR or --config FILE'],
    ['usage', 'there is no data directory'],
    ['demo status', 'no demo clouds are running'],
    ['demo fail google-cloud/NL', 'no demo clouds are running'],
    ['demo heal', 'no demo clouds are running'],
    ['replay nowhere.csv --key k', 'there is no trace nowhere.csv'],
  ])('spillway %s: exit code 1 and one line that says what to do', async (line, words) => {
    const { code, out, err } = await run(line)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^spillway: [^\n]+\n$/)
    expect(err).toContain(words)
  })

  test('start with a SPILLWAY_CONFIG that is not there says so', async () => {
    expect(await run('start', { SPILLWAY_CONFIG: 'gone.yaml' })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/gone\.yaml: there is no such file; .*SPILLWAY_CONFIG/),
    })
  })

  test('start with a SPILLWAY_PORT that is none says so', async () => {
    expect(await run('start', { SPILLWAY_PORT: 'http' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('SPILLWAY_PORT takes a number from 0 to 65535'),
    })
  })
})

describe('config check', () => {
  const yaml = (extra: string) => `
location: { country: NL, subProcessor: self }
providers:
  own: { kind: openai-compatible, baseUrl: "http://127.0.0.1:9/v1", apiKey: { env: OWN_KEY }, subProcessor: self, country: NL }
models: { chat: { endpoints: [{ provider: own, upstreamModel: m }] } }
${extra}`

  test('is content with a file whose secrets are there', async () => {
    writeFileSync(path.join(folder, 'good.yaml'), yaml(''))
    expect(await run('config check good.yaml', { OWN_KEY: 'k' })).toMatchObject({
      code: 0,
      out: expect.stringMatching(/good\.yaml is valid\n$/),
    })
  })

  test('lists every mistake and every missing secret, as words and as JSON', async () => {
    writeFileSync(path.join(folder, 'bad.yaml'), yaml('limit: {}\ntenants: { a: { plan: api, countrys: [NL] } }'))
    const words = await run('config check bad.yaml')
    expect(words).toMatchObject({ code: 1, err: '' })
    expect(words.out).toMatch(/bad\.yaml has 2 mistakes:\n.*did you mean/)
    expect(words.out).toContain('did you mean limits?')
    expect(words.out).toContain('did you mean countries?')
    writeFileSync(path.join(folder, 'secretless.yaml'), yaml(''))
    const json = await run('config check --config secretless.yaml --json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.out)).toMatchObject({
      valid: false,
      issues: [{ path: 'providers.own.apiKey', message: expect.stringContaining('OWN_KEY is not set') }],
    })
  })
})

describe('a terminal', () => {
  const escapeCode = '\u001b'
  const terminalOn = (sink: { write(text: string): void; isTTY: boolean }, env: Record<string, string> = {}) =>
    openTerminal({ env, cwd: folder, json: false, stdout: sink, stderr: { ...sink, columns: 100 } })
  const screen = (env: Record<string, string>, isTTY: boolean) => {
    let text = ''
    const write = (more: string): void => {
      text += more
    }
    const terminal = terminalOn({ write, isTTY }, env)
    const progress = terminal.progress('counting', 10)
    progress.update(10, 'done')
    progress.end()
    terminal.out(`${terminal.bold('b')}${terminal.good('g')}${terminal.table(['a'], [['1']])}`)
    return text
  }

  test('that a person looks at gets colours and a bar', () => {
    expect(screen({}, true)).toContain(`counting ${'█'.repeat(24)} 100% done`)
    expect(screen({}, true)).toContain(`${escapeCode}[1mb${escapeCode}[0m`)
  })

  test.each([
    ['is a pipe', {}, false],
    ['asks for no colour', { NO_COLOR: '1' }, true],
    ['is dumb', { TERM: 'dumb' }, true],
  ])('that %s gets plain text', (_what, env: Record<string, string>, isTTY) => {
    expect(screen(env, isTTY)).not.toContain(escapeCode)
  })

  test('puts numbers to the right, and words to the left', () => {
    const rows = [
      ['a', '5 ms', 'good'],
      ['long', '1234 ms', '-'],
    ]
    expect(
      terminalOn({ write() {}, isTTY: false })
        .table(['name', 'took', 'state'], rows)
        .split('\n'),
    ).toEqual(['name     took  state', 'a        5 ms  good', 'long  1234 ms  -'])
  })
})
