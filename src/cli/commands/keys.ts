import { type Command, UsageError } from '../command.ts'
import { withData } from '../control.ts'
import { dataOptions, limitOptions, limitsIn, oneWord, readOptions } from '../options.ts'

export const command: Command = {
  name: 'keys',
  summary: 'create, list and revoke API keys',
  usage: `spillway keys create --tenant ID [--label TEXT] [limits]
spillway keys list
spillway keys revoke KEY-ID

A key is shown once, when it is made. A revoked key is refused within a second.

  --tenant ID                   whose key it is
  --label TEXT                  what it is for
  --tokens-per-minute N, --requests-per-minute N, --concurrent-requests N, --budget-usd-per-month N
                                limits of this key, beside those of its tenant
  --config FILE, --data DIR     whose data (default: ./spillway.yaml, else the demo's)`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      ...dataOptions,
      ...limitOptions,
      tenant: { type: 'string' },
      label: { type: 'string' },
    })
    const [action, ...words] = positionals
    switch (action) {
      case 'create': {
        if (values.tenant === undefined) throw new UsageError('--tenant ID is missing')
        const options = { tenant: values.tenant, label: values.label ?? '', limits: limitsIn(values) }
        const made = await withData(values, terminal, (call) => call('keys.create', options))
        terminal.result(
          made,
          `${terminal.bold(made.key)}\n${terminal.dim(`This is ${made.id} of ${options.tenant}. It is shown only now: keep it safe.`)}`,
        )
        return 0
      }
      case 'list': {
        const keys = await withData(values, terminal, (call) => call('keys.list', null))
        const rows = keys.map((key) => [
          key.id,
          key.tenant,
          key.label,
          `…${key.hint}`,
          key.createdWallMs === 0 ? '' : day(key.createdWallMs),
          key.revokedWallMs === null ? '' : day(key.revokedWallMs),
          key.origin === 'file' ? 'file' : '',
        ])
        terminal.result(
          keys,
          keys.length === 0
            ? 'no keys'
            : terminal.table(['id', 'tenant', 'label', 'ends in', 'created', 'revoked', 'from'], rows),
        )
        return 0
      }
      case 'revoke': {
        const id = oneWord(words, 'the id of the key')
        await withData(values, terminal, (call) => call('keys.revoke', id))
        terminal.result({ id, revoked: true }, `${id} is revoked`)
        return 0
      }
      default:
        throw new UsageError(
          action === undefined ? 'say what to do: create, list or revoke' : `there is no action ${action}`,
        )
    }
  },
}

function day(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 16).replace('T', ' ')
}
