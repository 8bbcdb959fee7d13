import { describe, expect, test } from 'vitest'
import { outputTokensIn, tokensOf } from './usage.ts'

const delta = (value: object, more: object = {}) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: value, ...more }] })
const call = (value: object) => delta({ tool_calls: [{ index: 0, ...value }] })

describe('the tokens of an event', () => {
  test.each<[string, string, number]>([
    ['that only opens the answer', delta({ role: 'assistant', content: '' }), 0],
    ['that only closes it', delta({}, { finish_reason: 'stop' }), 0],
    ['with no content', delta({ content: null, refusal: null, reasoning_content: null }), 0],
    ['with a word', delta({ content: ' word' }), 1],
    ['with one letter', delta({ content: 'x' }), 1],
    ['with blanks', delta({ content: '\n\n  ' }), 1],
    ['with a quote', delta({ content: '"' }), 1],
    ['with a backslash at its end', delta({ content: 'C:\\' }), 1],
    ['with a long name', delta({ content: 'internationalization' }), 1],
    ['of Japanese', delta({ content: '日本' }), 1],
    ['with text that looks like a field', delta({ content: '{"content":"a b c","text":"d"}' }), 6],
    ['with a thought', delta({ reasoning_content: ' hmm' }), 1],
    ['with a thought under both names', delta({ reasoning: ' hmm', reasoning_content: ' hmm' }), 1],
    [
      'with a thought that is told once more in parts',
      delta({ reasoning: 'hm', reasoning_details: [{ type: 'reasoning.text', text: 'hm' }] }),
      1,
    ],
    ['with a refusal', delta({ refusal: ' cannot' }), 1],
    ['with a tool’s arguments', call({ function: { arguments: '{"' } }), 1],
    ['with a tool’s name', call({ id: 'call_1', type: 'function', function: { name: 'look_up', arguments: '' } }), 1],
    ['with parts', delta({ content: [{ type: 'text', text: ' word' }] }), 1],
    [
      'with the odds of its token',
      delta(
        { content: ' a' },
        {
          logprobs: {
            content: [{ token: ' a', logprob: -0.1, bytes: [32, 97], top_logprobs: [{ token: 'content' }] }],
          },
        },
      ),
      1,
    ],
    [
      'of an old completion with odds',
      JSON.stringify({
        choices: [{ text: ' a', logprobs: { tokens: [' a'], top_logprobs: [{ content: -1, text: -2 }] } }],
      }),
      1,
    ],
    [
      'for two choices',
      JSON.stringify({ choices: [0, 1].map((index) => ({ index, delta: { content: ' word' } })) }),
      2,
    ],
    ['with blanks after the colons', '{"choices": [{"delta": {"content":   " word"}}]}', 1],
    ['that breaks off inside a word', '{"choices":[{"delta":{"content":" wor', 1],
    ['with no answer in it', JSON.stringify({ choices: [], usage: { completion_tokens: 5 } }), 0],
  ])('%s', (_what, json, tokens) => {
    expect(outputTokensIn(json)).toBe(tokens)
  })

  test('of a vendor that bundles them are no fewer than its words', () => {
    for (let words = 2; words < 200; words++) {
      const content = Array.from({ length: words }, (_, index) => `w${index}`).join(' ')
      expect(outputTokensIn(delta({ content }))).toBeGreaterThanOrEqual(words)
    }
  })

  test('of a vendor that bundles prose are near one for each word', () => {
    const content = 'It was the best of times, it was the worst of times. '.repeat(20)
    const tokens = outputTokensIn(delta({ content }))
    expect(tokens).toBeGreaterThanOrEqual(content.length / 5.5)
    expect(tokens).toBeLessThanOrEqual(content.length / 4)
  })
})

describe("a vendor's usage", () => {
  test.each<[string, unknown, object | undefined]>([
    ['in full', { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }, { input: 9, cachedInput: 0, output: 4 }],
    [
      'with what was cached',
      { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } },
      { input: 9, cachedInput: 8, output: 4 },
    ],
    [
      'with more cached than there was',
      { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 80 } },
      { input: 9, cachedInput: 9, output: 4 },
    ],
    ['without details', { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: null }, { cachedInput: 0 }],
    ['of embeddings', { prompt_tokens: 9, total_tokens: 9 }, { input: 9, output: 0 }],
    ['with a total alone', { prompt_tokens: 9, total_tokens: 13 }, { input: 9, output: 4 }],
    ['with thoughts inside', { prompt_tokens: 9, completion_tokens: 4, total_tokens: 99 }, { output: 4 }],
    ['that is none', { completion_tokens: 4 }, undefined],
    ['that is null', null, undefined],
    ['that is text', 'many', undefined],
    ['that is negative', { prompt_tokens: -1, completion_tokens: 4 }, undefined],
    ['that is no number', { prompt_tokens: '9', completion_tokens: 4 }, undefined],
  ])('%s', (_what, usage, expected) => {
    const tokens = tokensOf(usage, false)
    if (expected === undefined) expect(tokens).toBeUndefined()
    else expect(tokens).toMatchObject(expected)
  })

  test('has thoughts added where the vendor counts them in the total only', () => {
    const usage = { prompt_tokens: 20, completion_tokens: 198, total_tokens: 623 }
    expect(tokensOf(usage, true)).toEqual({ input: 20, cachedInput: 0, output: 603 })
    expect(tokensOf({ prompt_tokens: 21, completion_tokens: 0, total_tokens: 81 }, true)).toMatchObject({ output: 60 })
    expect(tokensOf({ prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }, true)).toMatchObject({ output: 4 })
  })
})
