import { expect, test } from 'vitest'
import { EndpointState } from './endpoint-state.ts'
import { PrefixIndex } from './prefix-index.ts'
import { endpointOf } from './testing.ts'

const prompt = (...hashes: number[]) => ({ blockTokens: 512, hashes })
const [a, b, c] = ['a', 'b', 'c'].map((id) => new EndpointState(endpointOf(id))) as [
  EndpointState,
  EndpointState,
  EndpointState,
]
const found = (index: PrefixIndex, ...hashes: number[]) =>
  index.warmest(prompt(...hashes)).map(({ state, tokens }) => `${state.endpoint.id} ${tokens}`)

test('knows how much of a prompt each place was given before, whoever has the most first', () => {
  const index = new PrefixIndex()
  index.add(prompt(1, 2, 3), a)
  index.add(prompt(1, 2, 30, 31), b)
  index.add(prompt(1, 20), c)
  expect(found(index, 1, 2, 30, 40)).toEqual(['b 1536', 'a 1024', 'c 512'])
  expect(found(index, 1, 2, 3)).toEqual(['a 1536', 'b 1024', 'c 512'])
  expect(found(index, 5, 6, 7)).toEqual([])
  expect(index.tokensAt(prompt(1, 2, 3, 4), a)).toBe(1_536)
  expect(index.tokensAt(prompt(1, 2, 3, 4), c)).toBe(512)
})

test('forgets what nobody has asked for while very many other prompts came, and keeps what is asked for', () => {
  const index = new PrefixIndex()
  index.add(prompt(-1), a)
  index.add(prompt(-2), a)
  for (let n = 0; n < 3; n++) {
    for (let hash = 0; hash < 1 << 17; hash += 64)
      index.add(prompt(...Array.from({ length: 64 }, (_, at) => 1 + n * (1 << 17) + hash + at)), b)
    index.warmest(prompt(-2))
  }
  expect(found(index, -1)).toEqual([])
  expect(found(index, -2)).toEqual(['a 512'])
})
