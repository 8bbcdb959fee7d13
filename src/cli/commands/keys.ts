import { type Command, UsageError } from '../command.ts'
import { withData } from '../control.ts'
import {
  actionIn,
  dataHelp,
  dataOptions,
  limitHelp,
  limitOptions,
  limitsIn,
  noWords,
  oneWord,
  readOptions,
} from '../options.ts'
import { minuteOf } from '../wall-time.ts'

export const command: Command = {
  name: 'keys',
  summary: 'create, list and revoke API keys',
  usage: `spillway keys create --tenant ID [--label TEXT] [limits]
spillway keys list
spillway keys revoke KEY-ID

A key is shown once, when it is made. A revoked key is refused within a second.

  --tenant ID                 whose key it is
  --label TEXT                what it is for
${limitHelp('this key, beside those of its tenant')}
${dataHelp}`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      ...dataOptions,
      ...limitOptions,
      tenant: { type: 'string' },
      label: { type: 'string' },
    })
    const { action, rest } = actionIn(positionals, ['create', 'list', 'revoke'])
    switch (action) {
      case 'create': {
        noWords(rest)
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
        noWords(rest)
        const keys = await withData(values, terminal, (call) => call('keys.list', null))
        const rows = keys.map((key) => [
          key.id,
          key.tenant,
          key.label,
          `…${key.hint}`,
          key.origin === 'file' ? 'in the file' : minuteOf(key.createdWallMs),
          key.revokedWallMs === null ? '' : minuteOf(key.revokedWallMs),
        ])
        terminal.result(
          keys,
          keys.length === 0
            ? 'no keys; make one: spillway keys create --tenant ID'
            : terminal.table(['id', 'tenant', 'label', 'ends in', 'made (UTC)', 'revoked (UTC)'], rows),
        )
        return 0
      }
      case 'revoke': {
        const id = oneWord(rest, 'the id of the key')
        await withData(values, terminal, (call) => call('keys.revoke', id))
        terminal.result({ id, revoked: true }, `${id} is revoked`)
        return 0
      }
    }
  },
}
