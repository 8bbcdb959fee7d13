import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess, runCli, until } from './gateway-process.ts'
import { keysEnv, otherKey, yamlFor } from './setting.ts'
import { streamChat } from './stream-chat.ts'

let vendors: readonly FakeVendor[]
let gateway: GatewayProcess

beforeAll(async () => {
  vendors = [await FakeVendor.start(), await FakeVendor.start(), await FakeVendor.start()]
  const places = ['azure-gb', 'own-no', 'own-nl'].map((name, at) => ({
    name,
    vendor: vendors[at] as FakeVendor,
    subProcessor: at === 0 ? 'microsoft' : 'self',
    country: name.slice(-2).toUpperCase(),
  }))
  gateway = await GatewayProcess.start(`eventLog: ./events.log\n${yamlFor(places, { concurrencyMax: 2 })}`, keysEnv)
}, 30_000)

afterAll(async () => {
  await gateway?.dispose()
  await Promise.all((vendors ?? []).map((vendor) => vendor.down()))
})

test('what a gateway decided under load, faults and a reload is decided again from its event log', async () => {
  const [gb, no, nl] = vendors as [FakeVendor, FakeVendor, FakeVendor]
  const chats = (count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        streamChat(gateway.port, {
          maxTokens: 5,
          content: `hello ${n % 4}`,
          ...(n % 3 === 0 && { key: otherKey }),
          ...(n % 7 === 6 && { leavesAfterMs: 40 }),
        }),
      ),
    )
  for (const vendor of vendors) vendor.behaviour = { everyMs: 10 }
  await chats(30)
  gb.behaviour = { script: ({ socket }) => socket.destroy() }
  no.behaviour = { status: 429, headers: { 'retry-after-ms': '150' } }
  await chats(30)
  nl.behaviour = { cutAfter: 2 }
  const during = chats(30)
  gateway.edit((text) =>
    text.replace('concurrencyMax: 2', 'concurrencyMax: 5').replace('routing: interactive', 'routing: pinned'),
  )
  await until(() => gateway.said.includes('the configuration was read again'))
  for (const vendor of vendors) vendor.behaviour = {}
  await during
  await chats(10)
  expect(await gateway.end()).toBe(0)

  const { code, out } = await runCli(['replay-decisions', 'events.log', '--json'], gateway.dir)
  const { same, runs } = JSON.parse(out)
  expect(runs[0].difference).toBeUndefined()
  expect([code, same, runs.length]).toEqual([0, true, 1])
  // A hundred arrivals, and as many tries, waits and ends.
  expect(runs[0].events).toBeGreaterThan(300)
  expect(runs[0].actions).toBeGreaterThan(100)
}, 60_000)
