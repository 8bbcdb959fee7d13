import type { Config } from '../config/config.ts'
import { endpointsOf } from '../config/endpoints.ts'
import type { Terminal } from './command.ts'
import { spelled } from './command-line.ts'
import { configFile } from './config-source.ts'
import type { DemoSetting } from './demo-setting.ts'
import { discoverCapacity, type FoundCapacity } from './discover.ts'
import { foundYaml, notYetIn } from './found-yaml.ts'
import type { Host } from './host.ts'
import { hostInUrl } from './url.ts'

/** What a person needs to know once it serves, in words and as facts for `--json`. */
export async function banner(
  { config, gateway, metricsUrl }: Host,
  terminal: Terminal,
  file: string,
  demo: DemoSetting | undefined,
): Promise<{ readonly text: string; readonly facts: object }> {
  const scheme = config.tls === undefined ? 'http' : 'https'
  const endpoint = `${scheme}://${hostInUrl(config.listen.host)}:${gateway.port}/v1`
  const models = Object.keys(config.models)
  await gateway.firstProbe
  const places = placesOf(config, gateway.unreachable)
  const atHand = await discoverCapacity(terminal.env)
  // The demo's own clouds are no reason to leave out real ones of the same vendor.
  const found = demo === undefined ? notYetIn(config, atHand) : atHand
  const isUsual = demo !== undefined || file === configFile(undefined, terminal)
  const fileOption = isUsual ? '' : ` --config ${file}`
  const lines = [
    '',
    `${terminal.bold('Spillway')} serves ${models.join(', ')} from ${countOf(places)}`,
    '',
    `  endpoint  ${terminal.bold(endpoint)}`,
    ...(metricsUrl === undefined ? [] : [`  metrics   ${metricsUrl}`]),
    ...(demo === undefined ? keyLines(config, fileOption) : demoLines(demo, endpoint, terminal)),
    '',
    ...(found.length === 0 ? [] : foundLines(found, demo !== undefined, fileOption)),
  ]
  return {
    text: lines.join('\n'),
    facts: {
      endpoint,
      metrics: metricsUrl ?? null,
      key: demo?.key ?? null,
      models,
      places,
      found: found.map(({ what, name }) => ({ what, name })),
    },
  }
}

interface PlaceInUse {
  readonly provider: string
  readonly subProcessor: string | undefined
  readonly country: string | undefined
  readonly reached: boolean
}

/** The providers that some model uses. */
function placesOf(config: Config, unreachable: ReadonlyMap<string, string>): readonly PlaceInUse[] {
  const names = new Set(endpointsOf(config).map(({ providerName }) => providerName))
  return [...names].map((provider) => ({
    provider,
    subProcessor: config.providers[provider]?.subProcessor,
    country: config.providers[provider]?.country,
    reached: !unreachable.has(provider),
  }))
}

function countOf(places: readonly PlaceInUse[]): string {
  const reached = places.filter((place) => place.reached).length
  return `${reached === places.length ? '' : `${reached} of `}${places.length} ${places.length === 1 ? 'place' : 'places'}`
}

function keyLines({ tenants }: Config, fileOption: string): string[] {
  const [tenant] = Object.keys(tenants)
  return [
    '',
    tenant === undefined
      ? `Add a tenant:  ${spelled('tenants add --help')}`
      : `Make a key:  ${spelled(`keys create --tenant ${tenant}${fileOption}`)}`,
  ]
}

function demoLines({ key, failCommand }: DemoSetting, endpoint: string, terminal: Terminal): string[] {
  return [
    `  key       ${terminal.bold(key)}`,
    '',
    terminal.dim('  The clouds behind it are simulations on this machine, each vendor a process of its own.'),
    '',
    'Ask it:',
    '',
    `  curl ${endpoint}/chat/completions -H 'authorization: Bearer ${key}' \\`,
    `    -H 'content-type: application/json' -N \\`,
    `    -d '{"model":"chat-large","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
    '',
    'Take a cloud down, such as the one that answered, and ask again:',
    '',
    `  ${failCommand}`,
  ]
}

/** `whole`: there is no configuration yet that this could be added to. */
function foundLines(found: readonly FoundCapacity[], whole: boolean, fileOption: string): string[] {
  const yaml = foundYaml(found, whole)
  const hint = 'Put values in place of <…>; <COUNTRY> is where it is processed, in two letters such as GB.'
  return [
    `Real capacity was found: ${found.map(({ what }) => what).join('; ')}.`,
    whole
      ? 'Nothing is sent there before it stands in spillway.yaml. This would be that file:'
      : 'Nothing is sent there before it stands in the configuration. To add it:',
    '',
    yaml.replace(/^/gm, '  '),
    '',
    ...(yaml.includes('<') ? [hint] : []),
    `Check it with  ${spelled(`config check${fileOption}`)}`,
    '',
  ]
}
