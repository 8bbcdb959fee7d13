// Makes src/adapters/price-book/list-prices.json out of dated snapshots of LiteLLM's price file.
//
//   node scripts/import-prices.ts SNAPSHOT-YYYY-MM-DD.csv[.gz] [SNAPSHOT …]
//
// A snapshot is CSV with the columns model, litellm_provider, mode, input_cost_per_token, output_cost_per_token and
// cache_read_input_token_cost. A price counts from the date of the first snapshot that has it.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

const target = path.join(import.meta.dirname, '../src/adapters/price-book/list-prices.json')
/** LiteLLM's providers by our kinds, and what they put before the vendor's own model name. */
const kinds: readonly { kind: string; provider: RegExp; prefix: RegExp }[] = [
  { kind: 'azure', provider: /^azure(_ai|_text)?$/, prefix: /^azure(_ai)?\// },
  { kind: 'vertex', provider: /^vertex_ai/, prefix: /^vertex_ai\// },
  { kind: 'bedrock', provider: /^bedrock/, prefix: /^bedrock(_mantle|_converse)?\// },
  { kind: 'openai', provider: /^(text-completion-)?openai$/, prefix: /^openai\// },
]
const modes = new Set(['chat', 'completion', 'embedding', 'responses'])

type Price = [fromDate: string, input: number, cachedInput: number, output: number]

const book: Record<string, Record<string, Price[]>> = {}
const files = process.argv.slice(2).sort()
if (files.length === 0) {
  process.stderr.write('usage: node scripts/import-prices.ts SNAPSHOT-YYYY-MM-DD.csv[.gz] …\n')
  process.exit(2)
}

for (const file of files) {
  const date = /(\d{4}-\d{2}-\d{2})/.exec(path.basename(file))?.[1]
  if (date === undefined)
    throw new Error(`${file}: the name has no date (YYYY-MM-DD), which says from when its prices count`)
  const bytes = readFileSync(file)
  const [head = '', ...lines] = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').split(/\r?\n/)
  const columns = head.split(',')
  const column = (name: string) => {
    const at = columns.indexOf(name)
    if (at < 0) throw new Error(`${file}: there is no column ${name}`)
    return at
  }
  const at = {
    model: column('model'),
    provider: column('litellm_provider'),
    mode: column('mode'),
    input: column('input_cost_per_token'),
    output: column('output_cost_per_token'),
    cached: column('cache_read_input_token_cost'),
  }
  for (const line of lines) {
    // No field that is read here is ever quoted; a quoted one later in the line does no harm.
    const cells = line.split(',')
    const model = cells[at.model] ?? ''
    const found = kinds.find(({ provider }) => provider.test(cells[at.provider] ?? ''))
    if (found === undefined || !modes.has(cells[at.mode] ?? '') || cells[at.input] === '') continue
    const name = model.replace(found.prefix, '')
    // Names with a region or a commitment in front are other offers of the same model.
    if (found.kind === 'bedrock' && name.includes('/')) continue
    const input = perMillion(cells[at.input])
    const output = cells[at.output] === '' ? 0 : perMillion(cells[at.output])
    const cached = cells[at.cached] === '' ? input : perMillion(cells[at.cached])
    // Nothing at all is a preview's price, or a gap in the list: taken for true it would keep no budget.
    if (input === 0 && output === 0) continue
    book[found.kind] ??= {}
    const models = book[found.kind] as Record<string, Price[]>
    models[name] ??= []
    const prices = models[name] as Price[]
    const last = prices.at(-1)
    if (last?.[0] === date) continue
    if (last === undefined || last[1] !== input || last[2] !== cached || last[3] !== output)
      prices.push([date, input, cached, output])
  }
}

/** Dollars per token as dollars per million, without the digits that only binary fractions have. */
function perMillion(text: string | undefined): number {
  const value = Number(Number((Number(text) * 1e6).toPrecision(9)))
  if (!Number.isFinite(value) || value < 0) throw new Error(`not a price: ${text}`)
  return value
}

const lines = Object.keys(book)
  .sort()
  .map((kind) => {
    const models = book[kind] as Record<string, Price[]>
    const rows = Object.keys(models)
      .sort()
      .map((name) => `    ${JSON.stringify(name)}: ${JSON.stringify(models[name])}`)
    return `  ${JSON.stringify(kind)}: {\n${rows.join(',\n')}\n  }`
  })
writeFileSync(target, `{\n${lines.join(',\n')}\n}\n`)
process.stdout.write(`${Object.values(book).reduce((sum, models) => sum + Object.keys(models).length, 0)} models\n`)
