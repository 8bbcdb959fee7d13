import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lookEveryMs, watchFiles } from './watch-files.ts'

let dir: string
let file: string
let settled = 0
let watching: { close(): void } | undefined

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  dir = mkdtempSync(path.join(tmpdir(), 'spillway-watch-'))
  file = path.join(dir, 'spillway.yaml')
  settled = 0
})
afterEach(() => {
  watching?.close()
  vi.useRealTimers()
  rmSync(dir, { recursive: true })
})

/** Lets it look once, and gives the look the time it needs. */
const look = async (): Promise<void> => {
  vi.advanceTimersByTime(lookEveryMs)
  await new Promise((resolve) => setTimeout(resolve, 20))
}
const settles = (times: number) =>
  vi.waitFor(
    async () => {
      await look()
      expect(settled).toBe(times)
    },
    { timeout: 10_000, interval: 0 },
  )
const watch = async (): Promise<void> => {
  watching = watchFiles(
    () => [file],
    () => settled++,
  )
  await settles(1)
}

describe('a watched file', () => {
  test('is looked at once more after the start, since it may have changed since it was read', async () => {
    writeFileSync(file, 'a')
    await watch()
  })

  test('is seen to change when it is written, replaced, taken away and put back', async () => {
    writeFileSync(file, 'a')
    await watch()
    writeFileSync(file, 'b')
    await settles(2)
    writeFileSync(`${file}.new`, 'c')
    renameSync(`${file}.new`, file)
    await settles(3)
    rmSync(file)
    await settles(4)
    writeFileSync(file, 'd')
    await settles(5)
  })

  test('is seen to change where the folder behind its link is switched, as Kubernetes does', async () => {
    for (const name of ['v1', 'v2']) {
      mkdirSync(path.join(dir, name))
      writeFileSync(path.join(dir, name, 'spillway.yaml'), name)
    }
    symlinkSync('v1', path.join(dir, '..data'))
    symlinkSync('..data/spillway.yaml', file)
    await watch()
    symlinkSync('v2', path.join(dir, '..data-next'))
    renameSync(path.join(dir, '..data-next'), path.join(dir, '..data'))
    await settles(2)
  })

  test('is not taken before it has stayed as it is from one look to the next', async () => {
    writeFileSync(file, '')
    await watch()
    for (let i = 0; i < 10; i++) {
      writeFileSync(file, 'x'.repeat(i + 1))
      await look()
    }
    expect(settled).toBe(1)
    await settles(2)
  })
})
