import { readFileSync } from 'node:fs'
import type { ConfigIssue } from '../../config/config.ts'
import { findingsOf } from '../../config/schema-issues.ts'
import { type Finding, pathText, readYaml } from '../../config/yaml-text.ts'
import { scenarioFindings } from '../../simulator/scenario-check.ts'
import { type Scenario, scenarioSchema } from '../../simulator/scenario-schema.ts'
import { issueLines } from '../config-source.ts'

/** Reads a scenario whole; throws one Error that lists every mistake with its line. */
export function readScenario(file: string): Scenario {
  const result = parseScenario(textOf(file))
  if (!Array.isArray(result)) return result as Scenario
  const issues = result as readonly ConfigIssue[]
  throw new Error(
    `${file} has ${issues.length} ${issues.length === 1 ? 'mistake' : 'mistakes'}:\n${issueLines(issues)}`,
  )
}

/** The scenario that a text says, or every mistake in it. Never throws. */
export function parseScenario(text: string): Scenario | readonly ConfigIssue[] {
  const yaml = readYaml(text)
  if (!('value' in yaml)) return yaml
  const locate = ({ path, message }: Finding): ConfigIssue => {
    const line = yaml.lineOf(path)
    return { path: pathText(path), message, ...(line !== undefined && { line }) }
  }
  if (yaml.value === null) return [{ path: '', message: 'the file is empty' }]
  const parsed = scenarioSchema.safeParse(yaml.value)
  const findings = [
    ...yaml.findings,
    ...(parsed.error?.issues ?? []).flatMap((issue) => findingsOf(issue, yaml.value, scenarioSchema)),
    ...(parsed.data === undefined ? [] : scenarioFindings(parsed.data)),
  ]
  return parsed.data !== undefined && findings.length === 0 ? parsed.data : findings.map(locate)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Error(`cannot read ${file}: ${missing ? 'there is no such file' : (error as Error).message}`)
  }
}
