import path from 'node:path'
import { type Command, UsageError } from '../command.ts'
import { configFileThere, issueLines, readConfig } from '../config-source.ts'
import { actionIn, readOptions } from '../options.ts'
import { missingSecrets } from '../secrets.ts'

export const command: Command = {
  name: 'config',
  summary: 'check a configuration',
  usage: `spillway config check [FILE]

Checks a configuration, and that every secret it names is there. Lists every mistake at once; exit code 1 where there
is one.

  FILE            (default: $SPILLWAY_CONFIG, else ./spillway.yaml, else the demo's; --config FILE is the same)`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, { config: { type: 'string' } })
    const { rest } = actionIn(positionals, ['check'])
    const [named, extra] = rest
    if (extra !== undefined || (named !== undefined && values.config !== undefined))
      throw new UsageError(`unexpected ${JSON.stringify(extra ?? named)}`)
    const file = configFileThere(named ?? values.config, terminal)
    const dir = path.dirname(file)
    const result = readConfig(file)
    const issues = result.kind === 'invalid' ? result.issues : missingSecrets(result, { env: terminal.env, dir })
    const warnings = result.kind === 'valid' ? result.warnings : []
    const parts = [
      issues.length === 0
        ? terminal.good(`${file} is valid`)
        : terminal.bad(`${file} has ${issues.length} ${issues.length === 1 ? 'mistake' : 'mistakes'}:`),
      ...(issues.length > 0 ? [issueLines(issues)] : []),
      ...(warnings.length > 0 ? ['likely not what is meant:', issueLines(warnings)] : []),
    ]
    terminal.result({ file, valid: issues.length === 0, issues, warnings }, parts.join('\n'))
    return issues.length === 0 ? 0 : 1
  },
}
