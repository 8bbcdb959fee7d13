import { readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import type { ConfigIssue, ConfigResult } from './config.ts'
import { endpointsOf, routingOf } from './endpoints.ts'
import { parseConfig } from './parse.ts'
import { mutationsOf } from './testing.ts'

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

const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]`

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

  test('charges cached input as any other where its price is not given', () => {
    const text = small('{ plan: api }').replace(
      'upstreamModel: m',
      'upstreamModel: m, usdPerMillionTokens: { input: 2, output: 8 }',
    )
    expect(config(text).models['chat']?.endpoints[0]?.usdPerMillionTokens).toEqual({
      input: 2,
      cachedInput: 2,
      output: 8,
    })
  })

  test('gives plans without a word on tiers those that give way, and refuses no tier', () => {
    expect(config(small('{ plan: api }')).plans['team']).toMatchObject({
      priority: 20,
      tiers: {},
      otherTiers: 'default',
    })
    const plans = 'plans: { api: { priority: 10, tiers: { flex: { deadlineMs: 60000 } } } }'
    expect(config(small('{ plan: api }', plans)).plans['api']?.tiers).toEqual({
      flex: { floor: 0, weight: 1, deadlineMs: 60_000 },
    })
  })

  test('cannot promise more of a model than there is', () => {
    const plans = (flex: number) =>
      `plans: { api: { priority: 1, tiers: { default: { floor: 0.7 }, flex: { floor: ${flex} } } } }`
    expect(parse(small('{ plan: api }', plans(0.3))).kind).toBe('valid')
    expect(issues(parse(small('{ plan: api }', plans(0.4))))).toEqual([
      { path: 'plans', line: expect.any(Number), message: expect.stringContaining('come to 1.1') },
    ])
  })

  test('leads a brownout from models that there are to others, in the order of rising pressure', () => {
    const plans = (steps: string) => `plans: { api: { priority: 1, brownout: [${steps}] } }`
    const parsed = config(small('{ plan: api }', plans('{ above: 1, outputTokensMax: 9 }, { above: 2, refuse: true }')))
    expect(parsed.plans['api']?.brownout).toEqual([
      { above: 1, models: {}, without: [], refuse: false, outputTokensMax: 9 },
      { above: 2, models: {}, without: [], refuse: true },
    ])
    const wrong = plans('{ above: 2, models: { caht: chat } }, { above: 2, models: { chat: chat } }')
    expect(issues(parse(small('{ plan: api }', wrong)))).toMatchObject([
      { path: 'plans.api.brownout[0].models.caht', message: 'there is no model caht; did you mean chat?' },
      { path: 'plans.api.brownout[1].above', message: 'each step begins above the one before it, 2' },
      { path: 'plans.api.brownout[1].models.chat', message: 'a model cannot stand in for itself' },
    ])
  })

  test('takes unquoted NO for Norway', () => {
    expect(config(small('{ plan: api, countries: [NO], subProcessors: any }')).tenants['acme']?.countries).toEqual([
      'NO',
    ])
  })

  test.each([
    ['countries: any', 'any'],
    ['countries: [GB, "NL"]', ['GB', 'NL']],
    ['countries: [&no NO, GB]', ['NO', 'GB']],
    ['countries: []', []],
  ])('understands %s', (text, countries) => {
    expect(config(small(`{ plan: api, subProcessors: any, ${text} }`)).tenants['acme']?.countries).toEqual(countries)
  })

  test.each([
    ['countries: [no]', 'write "NO"'],
    ['countries: [UK]', 'write "GB"'],
    ['countries: [false]', 'unquoted'],
    ['countries: [Norway]', 'ISO 3166-1'],
    ['countries: [any]', 'any stands alone'],
    ['countries: NL', 'a list of country codes, or the word any'],
    ['countries: all', 'a list of country codes, or the word any'],
    ['countries:', 'a list of country codes, or the word any'],
    ['subProcessors: [any]', 'any stands alone'],
  ])('refuses %s', (text, words) => {
    expect(issues(parse(small(`{ plan: api, ${text} }`)))[0]?.message).toContain(words)
  })

  test.each([
    ['a sub-processor that no provider is of', 'countries: any, subProcessors: [selv, self]', 'did you mean self?'],
    ['terms that do not allow the place of Spillway itself', 'countries: [GB], subProcessors: any', 'refused here'],
  ])('doubts %s', (_what, text, words) => {
    const result = parse(small(`{ plan: api, ${text} }`))
    if (result.kind === 'invalid') throw new Error('expected it to be valid')
    expect(result.warnings).toEqual([expect.objectContaining({ message: expect.stringContaining(words), line: 5 })])
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
    ['nothing', '', 'empty'],
    ['a comment', '# soon', 'empty'],
    ['a word', 'hello', 'expected object'],
    ['a list', '- 1', 'expected object'],
    ['a tab', 'listen:\n\tport: 1', 'tab'],
    ['two documents', `${small('{ plan: api }')}\n---\na: 1`, 'multiple documents'],
    ['the same key twice', `${small('{ plan: api }')}\nplans: {}\nplans: {}`, 'twice'],
    ['the same key twice, once in quotes', small('{ plan: api, "plan": api }'), 'twice'],
    ['a tag', small('!!set { plan }'), 'unresolved tag'],
    ['a key that is a list', small('{ plan: api, ? [a] : b }'), 'one word'],
    ['a merge key', small('{ <<: { plan: api }, plan: api }'), 'merge keys'],
    ['a name of JavaScript', small('{ plan: api, __proto__: { plan: api } }'), 'not known'],
    ['an anchor that is not there', small('*nobody'), 'no anchor'],
    ['an alias to what it stands in', small('&self { plan: api, keys: *self }'), 'holds itself'],
    ['an alias bomb', bomb, 'more than 10000 entries'],
    ['YAML 1.1, in which NO is false', `%YAML 1.1\n---\n${small('{ plan: api }')}`, 'YAML 1.1'],
    ['five MiB', `# ${'x'.repeat(5 * 1024 * 1024)}`, 'larger than 4 MiB'],
    ['four million brackets', '['.repeat(4_000_000), 'too deep'],
    ['a thousand levels', Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), 'too deep'],
    ['four million empty lines', '\n'.repeat(4_000_000), 'more than'],
    ['four million quotes', '"'.repeat(4_000_000), 'more than'],
    [
      'ten thousand tenants and more',
      small(`{ plan: api }${Array.from({ length: 10_001 }, (_, i) => `, t${i}: { plan: api }`).join('')}`),
      'more than 10000 entries',
    ],
  ])('of %s is refused whole, and at once', (_what, text, words) => {
    const startedMs = performance.now()
    expect(
      issues(parse(text))
        .map(({ message }) => message)
        .join('; '),
    ).toContain(words)
    // A reload is read while requests are served. Measured below 500 ms; the rest is for a busy machine.
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })

  test('names every mistake of a file, those of references beside those of shape', () => {
    const found = issues(parse(small('{ plan: entreprise, tokensPerMinute: many }', 'limits: { queueMs: -1 }')))
    expect(found.map(({ path: place }) => place)).toEqual([
      'limits.queueMs',
      'tenants.acme.tokensPerMinute',
      'tenants.acme.plan',
    ])
  })

  test('may say a thing once and point to it', () => {
    const { tenants } = config(small('&terms { plan: api, countries: any, subProcessors: any }, other: *terms'))
    expect(tenants['other']).toEqual(tenants['acme'])
  })

  test('takes any name for a tenant, also one that JavaScript knows', () => {
    expect(
      Object.keys(config(small('{ plan: api }, constructor: { plan: api }, toString: { plan: api }')).tenants),
    ).toEqual(['acme', 'constructor', 'toString'])
  })

  describe('with one mistake anywhere in it', () => {
    const mutations = mutationsOf(parseYaml(example) as object)

    test('there are some hundred of', () => {
      expect(mutations.length).toBeGreaterThan(200)
    })

    test.each(mutations)('$what is refused whole, with path, line and reason', ({ text, path: place }) => {
      const found = issues(parse(text))
      const there = found.filter((issue) => issue.path.startsWith(place) || place.startsWith(issue.path))
      expect(there.length, JSON.stringify(found)).toBeGreaterThan(0)
      for (const { message } of found) expect(message).toMatch(/^.{8,200}$/)
      // What is missing altogether stands nowhere.
      for (const { path: where, line, message } of found)
        if (where.includes('.') || !message.includes('missing')) expect(line, `${where}: ${message}`).toBeGreaterThan(0)
    })
  })

  test('that was damaged in its text is refused or still holds together, and never throws', () => {
    const bits = [
      '',
      '\n',
      ' ',
      '"',
      "'",
      ':',
      '{',
      '}',
      '[',
      ']',
      ',',
      '&a ',
      '*a',
      '!!set ',
      '|',
      '>',
      '#',
      '-',
      '\t',
      '\0',
      '<<: ',
      '%YAML 1.1\n---\n',
      '\ud800',
      '9'.repeat(400),
      '1e400',
      'null',
    ]
    fc.assert(
      fc.property(fc.nat(example.length), fc.nat(12), fc.constantFrom(...bits), (at, cut, bit) => {
        const result = parse(example.slice(0, at) + bit + example.slice(at + cut))
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
