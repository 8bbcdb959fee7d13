import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseDocument } from 'yaml'
import type { ConfigIssue } from './config.ts'

/** Promise P37. */
const charsMax = 4 * 1024 * 1024
const entriesMax = 10_000
const depthMax = 32
/** Words, marks, blanks and line ends; a file of `entriesMax` entries has half of it. Bounds the time to read to 0.5 s. */
const tokensMax = 20 * entriesMax
const issuesMax = 100

export type Path = readonly PropertyKey[]

/** Such as `tenants.acme.countries[1]`. */
export function pathText(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`))
    .join('')
}

/** A mistake and where it is, before its line is known. */
export interface Finding {
  readonly path: Path
  readonly message: string
}

/** What a text says, and where each part of it stands. */
export interface YamlText {
  /** Plain data: objects, lists, strings, numbers, booleans, null. */
  readonly value: unknown
  /** What YAML allows and a configuration does not, such as the same key twice. */
  readonly findings: readonly Finding[]
  /** The line (1-based) of the part at a path, or of the nearest part above it that stands in the text. */
  lineOf(path: Path): number | undefined
}

/**
 * Reads YAML 1.2 into plain data. Bounded in time and memory before anything is built, since a file that is read while
 * requests are served must not stop them. Never throws; text that cannot be read gives what is wrong with it.
 */
export function readYaml(text: string): YamlText | readonly ConfigIssue[] {
  const tooMuch = excess(text)
  if (tooMuch !== undefined) return [{ path: '', message: tooMuch }]
  const counter = new LineCounter()
  // The library compares each key with every other; `Reader` does it with a set.
  const document = parseDocument(text, {
    lineCounter: counter,
    uniqueKeys: false,
    prettyErrors: false,
    resolveKnownTags: false,
    logLevel: 'error',
  })
  const problems = [...document.errors, ...document.warnings]
  if (problems.length > 0) {
    // One slip of the pen is often many mistakes to a parser.
    return problems.slice(0, issuesMax).map(({ message, pos }) => ({
      path: '',
      message: /call stack/i.test(message) ? tooDeep : lowerFirst(message),
      line: counter.linePos(pos[0]).line,
    }))
  }
  // In YAML 1.1 the country NO is the word for false, and a configuration must mean one thing.
  if (document.directives?.yaml.version === '1.1')
    return [{ path: '', message: 'the file asks for YAML 1.1; take its %YAML line out', line: 1 }]
  const reader = new Reader((offset) => counter.linePos(offset).line)
  try {
    const value = reader.read(document.contents, [])
    return { value, findings: reader.findings, lineOf: (path) => reader.lineOf(value, path) }
  } catch (error) {
    if (error instanceof TooMuch) return [{ path: '', message: error.message }]
    throw error
  }
}

/** Says what is too much about a text, by its length and its tokens alone. */
function excess(text: string): string | undefined {
  if (text.length > charsMax) return 'the file is larger than 4 MiB'
  let tokens = 0
  let depth = 0
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth++
    else if (token === ']' || token === '}') depth--
    if (depth > depthMax) return tooDeep
    if (++tokens > tokensMax) return `the file has more than ${tokensMax} words, marks and line ends`
  }
  return undefined
}

const tooDeep = 'the file is nested too deep'
const tooManyEntries = `the file has more than ${entriesMax} entries`

class TooMuch extends Error {}

/** Makes plain data out of the library's nodes and remembers the line of each part. */
class Reader {
  readonly findings: Finding[] = []
  readonly #line: (offset: number) => number
  /** Lines by container and key. */
  readonly #lines = new Map<unknown, Map<PropertyKey, number>>()
  readonly #anchors = new Map<string, { readonly value: unknown; readonly entries: number } | 'being read'>()
  #entries = 0

  constructor(line: (offset: number) => number) {
    this.#line = line
  }

  read(node: unknown, path: Path): unknown {
    if (path.length > depthMax) throw new TooMuch(tooDeep)
    if (isAlias(node)) return this.#alias(node.source, path)
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined
    if (anchor !== undefined) this.#anchors.set(anchor, 'being read')
    const before = this.#entries
    const value = this.#plain(node, path)
    if (anchor !== undefined) this.#anchors.set(anchor, { value, entries: this.#entries - before })
    return value
  }

  lineOf(root: unknown, path: Path): number | undefined {
    let container = root
    let line: number | undefined
    for (const part of path) {
      line = this.#lines.get(container)?.get(part) ?? line
      if (typeof container !== 'object' || container === null || !Object.hasOwn(container, part)) return line
      container = (container as Record<PropertyKey, unknown>)[part]
    }
    return line
  }

  #plain(node: unknown, path: Path): unknown {
    if (isMap(node)) return this.#map(node.items, path)
    if (isSeq(node)) {
      const lines = new Map<PropertyKey, number>()
      const list = node.items.map((item, index) => {
        this.#count(1)
        this.#note(lines, index, item as Node | null)
        return this.read(item, [...path, index])
      })
      this.#lines.set(list, lines)
      return list
    }
    return isScalar(node) ? node.value : null
  }

  #map(items: readonly { readonly key: unknown; readonly value: unknown }[], path: Path): Record<string, unknown> {
    const entries = new Map<string, unknown>()
    const lines = new Map<PropertyKey, number>()
    for (const { key, value } of items) {
      this.#count(1)
      if (!isScalar(key)) {
        this.findings.push({ path, message: 'a key must be one word' })
        continue
      }
      const name = String(key.value)
      const inner = [...path, name]
      if (entries.has(name)) this.findings.push({ path: inner, message: 'this key stands here twice' })
      else if (name === '<<') this.findings.push({ path: inner, message: 'merge keys are not taken; write it out' })
      this.#note(lines, name, key)
      entries.set(name, name === '<<' ? undefined : this.read(value, inner))
    }
    entries.delete('<<')
    // Unlike an assignment this makes even __proto__ a key like any other.
    const object = Object.fromEntries(entries)
    this.#lines.set(object, lines)
    return object
  }

  /** The same data once more. It counts as if it were written out, so that a few lines cannot stand for millions. */
  #alias(name: string, path: Path): unknown {
    const known = this.#anchors.get(name)
    if (known === undefined || known === 'being read') {
      const message = known === undefined ? `there is no anchor &${name} before this` : `*${name} holds itself`
      this.findings.push({ path, message })
      return undefined
    }
    this.#count(known.entries)
    return known.value
  }

  #count(entries: number): void {
    this.#entries += entries
    if (this.#entries > entriesMax) throw new TooMuch(tooManyEntries)
  }

  #note(lines: Map<PropertyKey, number>, key: PropertyKey, node: Node | null): void {
    const start = node?.range?.[0]
    if (start !== undefined) lines.set(key, this.#line(start))
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
