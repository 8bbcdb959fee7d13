import { describe, expect, test } from 'vitest'
import { checkHead } from './head-check.ts'

const host = ['Host', 'x']
describe('a request head has one meaning or is refused', () => {
  test.each<[string, string, string[]]>([
    ['1.1', '/v1/models', host],
    ['1.1', '/v1/models/openai%2Fgpt', host],
    ['1.1', '/v1/chat/completions?x=/../y', [...host, 'Content-Length', '12']],
    ['1.1', '/', ['Host', 'gateway.example:8420']],
    ['1.1', '/', ['Host', '[::1]:8420']],
    ['1.0', '/', []],
  ])('HTTP/%s %s passes', (version, url, headers) => {
    expect(checkHead(version, url, headers)).toBeUndefined()
  })

  test.each<[string, string, string[]]>([
    ['2.0', '/', host],
    ['0.9', '/', host],
    ['1.1', '/', []],
    ['1.1', '/', [...host, 'host', 'y']],
    ['1.1', '/', ['Host', 'x, y']],
    ['1.1', '/', ['Host', 'x@y']],
    ['1.1', '/', ['Host', 'x/y']],
    ['1.1', '/', [...host, 'Authorization', 'a', 'AUTHORIZATION', 'b']],
    ['1.1', '/', [...host, 'Content-Length', '1', 'Content-Length', '1']],
    ['1.1', '/', [...host, 'Content-Length', '+1']],
    ['1.1', '/', [...host, 'Content-Length', '1, 1']],
    ['1.1', '/', [...host, 'Content-Length', '1', 'Transfer-Encoding', 'chunked']],
    ['1.1', '/', [...host, 'Transfer-Encoding', 'gzip, chunked']],
    ['1.1', '/', [...host, 'Transfer-Encoding', 'identity']],
    ['1.0', '/', ['Transfer-Encoding', 'chunked']],
    ['1.1', '/', [...host, 'Content-Encoding', 'gzip']],
    ['1.1', '//v1/models', host],
    ['1.1', '/v1/../admin', host],
    ['1.1', '/v1/%2e%2e/admin', host],
    ['1.1', '/v1\\models', host],
    ['1.1', '/v1/models#x', host],
    ['1.1', 'http://elsewhere/v1/models', host],
    ['1.1', '*', host],
    ['1.1', '/v1/mod\u00e9ls', host],
  ])('HTTP/%s %s with %j is refused', (version, url, headers) => {
    expect(checkHead(version, url, headers)).toBeDefined()
  })
})
