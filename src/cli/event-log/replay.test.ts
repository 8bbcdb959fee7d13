import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { SchedulerEvent } from '../../core/events.ts'
import { seededRandom } from '../../core/random.ts'
import { eligibilityOf } from '../../core/request.ts'
import { Scheduler } from '../../core/scheduler.ts'
import { classOf } from '../../core/testing.ts'
import { runInPipe } from '../testing.ts'
import { openEventLog } from './writer.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'spillway-event-log-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const policy = { attemptsMax: 3, queueLengthMax: 10 }

/** A gateway's hour in short: what a scheduler is told, and what it says, written as a host does. */
async function record(name: string, seed: number): Promise<string> {
  const file = path.join(folder, name)
  const log = openEventLog(file, seed, policy, (line) => expect.fail(line))
  const scheduler = new Scheduler(policy, seededRandom(seed))
  const tell = (event: SchedulerEvent, nowMs: number) => {
    log.event(event, nowMs)
    const actions = scheduler.handle(event, nowMs)
    log.said(actions)
    return actions
  }
  const endpoints = ['a', 'b', 'c'].map((id, index) => ({
    ...{ id, index, model: 'chat', subProcessor: id, country: 'NL', concurrencyMax: 1 },
    provider: { apiKey: 'a-secret' },
  }))
  const eligible = eligibilityOf([0, 1, 2], 3, 1)
  tell({ kind: 'endpoints-changed', version: 1, endpoints, routing: { chat: 'interactive' } }, 0.25)
  for (let n = 1; n <= 5; n++) {
    const request = {
      ...{
        id: `req_${n}`,
        tenant: 'acme',
        serviceClass: classOf(n),
        model: 'chat',
        arrivedAtMs: n,
        affinity: `acme/${n}`,
      },
      ...{ waitMsMax: 1_000, deadlineMs: 9_000, tokens: { input: 1, cachedInput: 0, output: 1 }, eligible },
    }
    tell({ kind: 'request-arrived', request }, n + 0.125)
  }
  tell({ kind: 'attempt-failed', attemptId: 1, failure: { kind: 'reset' } }, 7)
  tell({ kind: 'eligibility-changed', requestId: 'req_4', eligible: eligibilityOf([2], 3, 1) }, 8)
  tell({ kind: 'woken' }, 1_500)
  await log.close()
  return file
}

const replay = async (file: string, ...options: string[]) => {
  const { code, out, err } = await runInPipe(['replay-decisions', file, ...options], folder)
  return { code, out, err }
}

describe('an event log', () => {
  test('is decided again as it was decided then', async () => {
    const { code, out } = await replay(await record('same', 7), '--json')
    expect(code).toBe(0)
    const { same, runs } = JSON.parse(out)
    expect(same).toBe(true)
    expect(runs).toEqual([
      { seed: 7, events: 9, actions: expect.any(Number), digest: expect.stringMatching(/^sha256:\w{32}$/) },
    ])
    expect(runs[0].actions).toBeGreaterThan(5)
  })

  test('of several runs is decided run by run', async () => {
    await record('twice', 1)
    const { out } = await replay(await record('twice', 2))
    expect(out).toMatch(/^run 1, seed 1: .+: the same as then\nrun 2, seed 2: .+: the same as then\n$/)
  })

  test('shows the first event to which something else is said', async () => {
    const file = await record('other', 7)
    const lines = readFileSync(file, 'utf8').split('\n')
    const at = lines.findIndex((line) => line.includes('"dispatch":2'))
    writeFileSync(file, lines.with(at, (lines[at] as string).replace(/"endpoint":"."/, '"endpoint":"z"')).join('\n'))
    const { code, out } = await replay(file)
    expect(code).toBe(1)
    expect(out).toContain(`comes out differently from line ${at} on`)
    expect(out).toMatch(
      /then: \[\{"dispatch":2.+"endpoint":"z"\}\]\n {2}now: {2}\[\{"dispatch":2.+"endpoint":"[abc]"\}\]/,
    )
  })

  test('shows an event that the scheduler cannot take', async () => {
    const file = await record('bug', 7)
    writeFileSync(
      file,
      `${readFileSync(file, 'utf8')}{"nowMs":2000,"event":{"kind":"attempt-answering","attemptId":99}}\n`,
    )
    const { code, out } = await replay(file)
    expect([code, out]).toEqual([1, expect.stringContaining('attempt-answering for attempt 99, which is not running')])
  })

  test('is printed decision by decision where that is asked for', async () => {
    const { out } = await replay(await record('printed', 7), '--print')
    expect(out).toMatch(
      /^1\.125 request-arrived\n {2}\{"dispatch":1,"request":"req_1","number":1,"endpoint":"[abc]"\}$/m,
    )
  })

  test('of a process that was killed ends where it ends', async () => {
    const file = await record('killed', 7)
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.slice(0, text.lastIndexOf('{"said"') + 20))
    expect(await replay(file)).toMatchObject({ code: 0 })
  })

  test('that is damaged is said to be, and where', async () => {
    const file = await record('damaged', 7)
    const lines = readFileSync(file, 'utf8').split('\n')
    writeFileSync(file, lines.with(3, 'nonsense').join('\n'))
    expect(await replay(file)).toMatchObject({ code: 1, err: expect.stringContaining('line 4 is not JSON') })
    writeFileSync(file, '{"eventLog":99}\n')
    expect(await replay(file)).toMatchObject({ code: 1, err: expect.stringContaining('line 1: a log of format 99') })
  })

  test('holds nothing of an endpoint but what the scheduler knows', async () => {
    expect(readFileSync(await record('secrets', 7), 'utf8')).not.toContain('secret')
  })
})
