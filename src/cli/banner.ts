import { endpointsOf } from '../config/endpoints.ts'
import type { Terminal } from './command.ts'
import { spelled } from './command-line.ts'
import { configFile } from './config-source.ts'
import type { DemoSetting } from './demo-setting.ts'
import { discoverCapacity } from './discover.ts'
import { foundYaml, notYetIn } from './found-yaml.ts'
import type { Host } from './host.ts'

/** What a person needs to know once it serves, in words and as facts for `--json`. */
export async function banner(
  { config, gateway, metricsUrl }: Host,
  terminal: Terminal,
  file: string,
  demo: DemoSetting | undefined,
): Promise<{ readonly text: string; readonly facts: object }> {
  const scheme = config.tls === undefined ? 'http' : 'https'
  const shownHost = config.listen.host === '0.0.0.0' || config.listen.host === '::' ? 'localhost' : config.listen.host
  const url = `${scheme}://${shownHost}:${gateway.port}/v1`
  const isUsual = demo !== undefined || file === configFile(undefined, terminal)
  const fileOption = isUsual ? '' : ` --config ${file}`
  const models = Object.keys(config.models)
  await gateway.firstProbe
  const used = [...new Set(endpointsOf(config).map(({ providerName }) => providerName))]
  const reached = used.filter((name) => !gateway.unreachable.has(name))
  const count = `${reached.length === used.length ? '' : `${reached.length} of `}${used.length} ${used.length === 1 ? 'place' : 'places'}`
  const lines = [
    '',
    `${terminal.bold('Spillway')} serves ${models.join(', ') || 'no model'} from ${count}`,
    '',
    `  endpoint  ${terminal.bold(url)}`,
  ]
  if (metricsUrl !== undefined) lines.push(`  metrics   ${metricsUrl}`)
  if (demo === undefined) {
    const [tenant] = Object.keys(config.tenants)
    lines.push(
      '',
      tenant === undefined
        ? `Add a tenant:  ${spelled('tenants add --help')}`
        : `Make a key:  ${spelled(`keys create --tenant ${tenant}${fileOption}`)}`,
      '',
    )
  } else {
    lines.push(
      `  key       ${terminal.bold(demo.key)}`,
      '',
      terminal.dim('  The clouds behind it are simulations on this machine, each vendor a process of its own.'),
      '',
      'Ask it:',
      '',
      `  curl ${url}/chat/completions -H 'authorization: Bearer ${demo.key}' \\`,
      `    -H 'content-type: application/json' -N \\`,
      `    -d '{"model":"chat-large","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
      '',
      'Take a cloud down, such as the one that answered, and ask again:',
      '',
      `  ${demo.failCommand}`,
      '',
    )
  }
  const atHand = await discoverCapacity(terminal.env)
  // The demo's own clouds are no reason to leave out real ones of the same vendor.
  const found = demo === undefined ? notYetIn(config, atHand) : atHand
  if (found.length > 0) {
    const yaml = foundYaml(found, demo !== undefined)
    lines.push(
      `Real capacity was found: ${found.map(({ what }) => what).join('; ')}.`,
      demo === undefined
        ? 'Nothing is sent there before it stands in the configuration. To add it:'
        : 'Nothing is sent there before it stands in spillway.yaml. This would be that file:',
      '',
      yaml.replace(/^/gm, '  '),
      '',
      ...(yaml.includes('<')
        ? ['Put values in place of <…>; <COUNTRY> is where it is processed, in two letters such as GB.']
        : []),
      `Check it with  ${spelled(`config check${fileOption}`)}`,
      '',
    )
  }
  return {
    text: lines.join('\n'),
    facts: {
      endpoint: url,
      metrics: metricsUrl ?? null,
      key: demo?.key ?? null,
      models,
      places: used.map((name) => ({
        provider: name,
        subProcessor: config.providers[name]?.subProcessor,
        country: config.providers[name]?.country,
        reached: reached.includes(name),
      })),
      found: found.map(({ what, name }) => ({ what, name })),
    },
  }
}
