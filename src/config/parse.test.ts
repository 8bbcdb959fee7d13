import { readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ConfigIssue, ConfigResult } from './config.ts'
import { endpointsOf, routingOf } from './endpoints.ts'
import { parseConfig } from './parse.ts'
import { configSchema } from './schema.ts'

const root = path.join(import.meta.dirname, '../..')
const example = readFileSync(path.join(root, 'spillway.example.yaml'), 'utf8')
const parse = (text: string) =>
  parseConfig(text, { fileDir: '/etc/spillway', joinPath: (dir, file) => path.posix.resolve(dir, file) })

function issues(result: ConfigResult): readonly ConfigIssue[] {
  if (result.kind === 'valid') throw new Error('expected the file to be refused')
  return result.issues
}

function config(text: string) {
  const result = parse(text)
  if (result.kind === 'invalid') throw new Error(JSON.stringify(result.issues))
  return result.config
}

const small = (tenant: string, rest = '') => `
location: { country: NL, subProcessor: self }
providers: { own: { kind: openai-compatible, baseUrl: "http://127.0.0.1:9000/v1", subProcessor: self, country: NL } }
models: { chat: { endpoints: [{ provider: own, upstreamModel: m }] } }
tenants: { acme: ${tenant} }
${rest}`

describe('a configuration', () => {
  test('of the example is valid as it stands', () => {
    const { dataDir, models, tenants, limits, metrics } = config(example)
    expect(dataDir).toBe('/etc/spillway/data')
    expect(models['chat-large']?.endpoints[0]?.usdPerMillionTokens).toEqual({
      input: 0.15,
      cachedInput: 0.08,
      output: 0.6,
    })
    expect(tenants['acme']?.countries).toEqual(['GB', 'NL', 'NO'])
    expect(limits.queueMs).toBe(10_000)
    expect(metrics).toEqual({ host: '127.0.0.1', port: 9464 })
  })

  test('without terms allows nothing and says so', () => {
    const result = parse(small('{ plan: api }'))
    if (result.kind === 'invalid') throw new Error('expected it to be valid')
    expect(result.config.tenants['acme']).toMatchObject({ countries: [], subProcessors: [] })
    expect(result.warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('no country is allowed'),
      expect.stringContaining('no sub-processor'),
    ])
  })

  test('takes unquoted NO for Norway', () => {
    expect(config(small('{ plan: api, countries: [NO], subProcessors: any }')).tenants['acme']?.countries).toEqual([
      'NO',
    ])
  })

  test('reports every mistake at once, with path, line and what to do', () => {
    const found = issues(
      parse(
        small('{ plan: api, countrys: [UK], countries: [UK, no-where], tokensPerMinute: -1, keys: [sk-spw-secret] }'),
      ),
    )
    expect(found.map(({ path: place }) => place)).toEqual(
      expect.arrayContaining([
        'tenants.acme.countrys',
        'tenants.acme.countries[0]',
        'tenants.acme.tokensPerMinute',
        'tenants.acme.keys[0]',
      ]),
    )
    expect(found.every(({ line }) => line === 5)).toBe(true)
    expect(found.find(({ path: place }) => place.endsWith('countrys'))?.message).toContain('did you mean countries?')
    expect(JSON.stringify(found)).not.toContain('sk-spw-secret')
  })

  test.each([
    ['a missing key', small('{ }'), 'tenants.acme.plan', 'missing'],
    ['a plan that is not there', small('{ plan: entreprise }'), 'tenants.acme.plan', 'did you mean enterprise?'],
    [
      'a provider that is not there',
      small('{ plan: api }').replace('provider: own,', 'provider: owm,'),
      'models.chat.endpoints[0].provider',
      'did you mean own?',
    ],
    [
      'an unknown kind',
      small('{ plan: api }').replace('openai-compatible', 'openai'),
      'providers.own.kind',
      'openai-compatible, azure, vertex, bedrock',
    ],
    [
      'an address with a password',
      small('{ plan: api }').replace('127.0.0.1', 'u:p@127.0.0.1'),
      'providers.own.baseUrl',
      'without user',
    ],
    [
      'a model without endpoints',
      small('{ plan: api }').replace('[{ provider: own, upstreamModel: m }]', '[]'),
      'models.chat.endpoints',
      'at least one',
    ],
    [
      'the same key for two tenants',
      small('{ plan: api, keys: [{ env: K }] }, other: { plan: api, keys: [{ env: K }] }'),
      'tenants.other.keys[0]',
      'belongs to one tenant',
    ],
    [
      'a misspelt limit',
      small('{ plan: api }', 'limits: { firstBytesMs: 1 }'),
      'limits.firstBytesMs',
      'did you mean firstByteMs?',
    ],
  ])('with %s is refused with a reason', (_what, text, place, words) => {
    const found = issues(parse(text)).find((issue) => issue.path === place)
    expect(found?.message).toContain(words)
  })

  test.each([
    ['nothing', ''],
    ['a word', 'hello'],
    ['a list', '- 1'],
    ['a tab', '\tx: 1'],
    ['the same key twice', `${small('{ plan: api }')}\nplans: {}\nplans: {}`],
    [
      'an alias bomb',
      `a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]`,
    ],
    ['five MiB', `# ${'x'.repeat(5 * 1024 * 1024)}`],
    [
      'ten thousand tenants and more',
      small(`{ plan: api }${Array.from({ length: 10_001 }, (_, i) => `, t${i}: { plan: api }`).join('')}`),
    ],
  ])('of %s is refused whole', (_what, text) => {
    expect(issues(parse(text)).length).toBeGreaterThan(0)
  })

  test('that was damaged anywhere is refused or still holds together, and never throws', () => {
    const words = [
      '',
      'null',
      '""',
      '[]',
      '{}',
      '-1',
      '1e400',
      'true',
      'nope',
      '9'.repeat(400),
      '"\\u0000"',
      '[[[[[[]]]]]]',
    ]
    const tokens = [...example.matchAll(/[A-Za-z0-9_.:/"-]+/g)]
    fc.assert(
      fc.property(fc.nat(tokens.length - 1), fc.constantFrom(...words), (at, word) => {
        const token = tokens[at] as RegExpExecArray
        const text = example.slice(0, token.index) + word + example.slice(token.index + token[0].length)
        const result = parse(text)
        if (result.kind === 'invalid') {
          expect(result.issues.length).toBeGreaterThan(0)
          for (const { message } of result.issues) expect(message).not.toBe('')
          return
        }
        const names = Object.keys(result.config.providers)
        for (const { providerName } of endpointsOf(result.config)) expect(names).toContain(providerName)
        for (const tenant of Object.values(result.config.tenants))
          expect(Object.keys(result.config.plans)).toContain(tenant.plan)
      }),
      { numRuns: 600, seed: 1 },
    )
  })

  test('has a published JSON Schema that is current', async () => {
    const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
    await expect(`${JSON.stringify(schema, undefined, 2)}\n`).toMatchFileSnapshot(
      path.join(root, 'docs/reference/config.schema.json'),
    )
  })

  test('has every key explained in the reference', () => {
    const reference = readFileSync(path.join(root, 'docs/reference/config.md'), 'utf8')
    const keys = new Set<string>()
    const collect = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      for (const [key, inner] of Object.entries(value)) {
        if (key === 'properties') for (const name of Object.keys(inner as object)) keys.add(name)
        collect(inner)
      }
    }
    collect(z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }))
    for (const key of keys)
      expect(reference.match(new RegExp(`\`[^\`\\n]*\\b${key}\\b[^\`\\n]*\``)), key).not.toBeNull()
  })
})

describe('the endpoints of a configuration', () => {
  test('are numbered in the order of the file and named by model and provider', () => {
    const text = small('{ plan: api }').replace(
      '[{ provider: own, upstreamModel: m }]',
      '[{ provider: own, upstreamModel: m }, { provider: own, upstreamModel: n }]',
    )
    const listed = endpointsOf(config(text))
    expect(listed.map(({ id, index, upstreamModel, country }) => [id, index, upstreamModel, country])).toEqual([
      ['chat/own', 0, 'm', 'NL'],
      ['chat/own#2', 1, 'n', 'NL'],
    ])
    expect(routingOf(config(text))).toEqual({ chat: 'interactive' })
  })
})
