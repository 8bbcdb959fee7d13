import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SpillwayError } from '../core/spillway-error.ts'
import { readControlFile } from './control-file.ts'
import { startControlSocket } from './control-socket.ts'

let dir: string
const opened: { close(): Promise<void> }[] = []
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'spillway-control-'))
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()))
  rmSync(dir, { recursive: true })
})

const handlers = {
  double: (value: number) => value * 2,
  refuse: () => {
    throw new SpillwayError('not_found', 'there is none')
  },
}
const start = async (dataDir = dir) => {
  const control = await startControlSocket(dataDir, handlers)
  opened.push(control)
  const file = readControlFile(dataDir)
  if (file === undefined) throw new Error('no control file')
  return { control, ...file }
}

function ask(
  socketPath: string,
  token: string,
  name: string,
  body: string,
): Promise<{ status: number; line: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: `/${name}`, method: 'POST', headers: { authorization: `Bearer ${token}` } },
      (answer) => {
        let text = ''
        answer.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, line: JSON.parse(text) }))
      },
    )
    call.on('error', reject)
    call.end(body)
  })
}

describe('the control socket', () => {
  test('answers who has read its file, which is for its user alone', async () => {
    const { socket, token } = await start()
    expect(statSync(path.join(dir, 'control.json')).mode & 0o777).toBe(0o600)
    expect(await ask(socket, token, 'double', '21')).toEqual({ status: 200, line: { result: 42 } })
    expect(await ask(socket, `${token}0`, 'double', '21')).toMatchObject({ status: 401 })
    expect(await ask(socket, '', 'double', '21')).toMatchObject({ status: 401 })
  })

  test('says in words what it does not know, and what it refuses', async () => {
    const { socket, token } = await start()
    expect(await ask(socket, token, 'treble', '1')).toMatchObject({
      status: 404,
      line: { message: expect.stringContaining('another version') },
    })
    expect(await ask(socket, token, 'constructor', '1')).toMatchObject({ status: 404 })
    expect(await ask(socket, token, 'refuse', 'null')).toEqual({ status: 404, line: { message: 'there is none' } })
    expect(await ask(socket, token, 'double', `"${'x'.repeat(2_000_000)}"`)).toMatchObject({ status: 413 })
  })

  test('takes the place of one that was left by a process that is gone', async () => {
    writeFileSync(path.join(dir, 'control.sock'), '')
    writeFileSync(path.join(dir, 'control.json'), '{"socket":"/nowhere","token":"old"}', { mode: 0o644 })
    const { socket, token } = await start()
    expect(await ask(socket, token, 'double', '1')).toMatchObject({ status: 200 })
    expect(statSync(path.join(dir, 'control.json')).mode & 0o777).toBe(0o600)
  })

  test('leaves nothing behind', async () => {
    const { control, socket } = await start()
    await control.close()
    expect(existsSync(socket)).toBe(false)
    expect(readControlFile(dir)).toBeUndefined()
  })

  test('lies elsewhere, closed to others, where the path of the data directory is too long for a socket', async () => {
    const long = path.join(dir, 'x'.repeat(60), 'y'.repeat(60))
    mkdirSync(long, { recursive: true })
    const first = await start(long)
    expect(Buffer.byteLength(first.socket)).toBeLessThan(104)
    expect(statSync(path.dirname(first.socket)).mode & 0o777).toBe(0o700)
    expect(await ask(first.socket, first.token, 'double', '1')).toMatchObject({ status: 200 })
    // As a process that was killed leaves it: the next one clears it away.
    const second = await start(long)
    expect(existsSync(path.dirname(first.socket))).toBe(false)
    expect(await ask(second.socket, second.token, 'double', '1')).toMatchObject({ status: 200 })
    await second.control.close()
    expect(existsSync(path.dirname(second.socket))).toBe(false)
  })
})
