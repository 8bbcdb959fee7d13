/**
 * Reads JSON where it lies: says whether bytes are one valid JSON value (RFC 8259) and where the members of the
 * outermost object stand, without building anything. One pass, of half a nanosecond a byte in long text and
 * never more than a few: a body can be forwarded as it came while routing still knows its model.
 */

/** Bounds that make a hostile body cheap (promise P13). */
export interface JsonLimits {
  readonly depthMax: number
  /** Members of any one object. */
  readonly membersMax: number
  /** Elements of any one array. */
  readonly elementsMax: number
  /** Members and elements over the whole text. */
  readonly valuesMax: number
}

/** A million values are three times the tokens that OpenAI takes in one embeddings request. */
export const requestJsonLimits: JsonLimits = {
  depthMax: 64,
  membersMax: 10_000,
  elementsMax: 20_000,
  valuesMax: 1_000_000,
}

/** For vendors' answers: embeddings carry long arrays. */
export const answerJsonLimits: JsonLimits = {
  depthMax: 256,
  membersMax: 10_000_000,
  elementsMax: 10_000_000,
  valuesMax: 10_000_000,
}

/** Names of outermost members are decoded to be told apart; none that any dialect knows comes near this. */
const outerNameBytesMax = 1_024
/** Among so many members a name is looked for one by one. */
const membersSearched = 16

/** Where one member of the outermost object stands. Offsets are in bytes; the end is exclusive. */
export interface JsonMember {
  readonly key: string
  readonly valueStart: number
  readonly valueEnd: number
  /** Elements, where the value is an array; 0 otherwise. */
  readonly elements: number
}

export interface JsonScan {
  /** In order of appearance. Empty where the outermost value is no object. */
  readonly members: readonly JsonMember[]
  readonly isObject: boolean
  /** Members anywhere named as media parts are (`image_url`, `file` …): their tokens do not follow from their bytes. */
  readonly mediaParts: number
  /** Bytes of the outermost object after its last member: where another can be put in. -1 where it is no object. */
  readonly closeAt: number
}

/** What is wrong, and at which byte. */
export class JsonProblem {
  readonly message: string
  readonly at: number
  constructor(message: string, at: number) {
    this.message = message
    this.at = at
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** 1 for the bytes that may follow a backslash, 2 for `u`. */
const escapes = new Uint8Array(256)
for (const char of '"\\/bfnrt') escapes[char.charCodeAt(0)] = 1
escapes[0x75] = 2

/** 1 for hexadecimal digits. */
const hexDigits = new Uint8Array(256)
for (const char of '0123456789abcdefABCDEF') hexDigits[char.charCodeAt(0)] = 1

/** 1 where a string needs a closer look: its end, an escape, a control character. */
const special = new Uint8Array(256)
special.fill(1, 0, 0x20)
special[QUOTE] = 1
special[BACKSLASH] = 1

/**
 * Scans one JSON text. Gives a `JsonProblem` for anything that is not exactly one valid value within the limits, and
 * for a member name that appears twice in the outermost object (readers differ on which one counts). UTF-8 inside
 * strings is not checked here.
 */
export function scanJson(bytes: Uint8Array, limits: JsonLimits): JsonScan | JsonProblem {
  const scanner = new Scanner(bytes, limits)
  return scanner.scan()
}

/** Decodes the string that stands at `start` (its opening quote) to `end` (past its closing quote). ASCII and UTF-8. */
export function readJsonString(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let plain = true
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at] as number
    if (byte >= 0x80 || byte === BACKSLASH) {
      plain = false
      break
    }
    text += String.fromCharCode(byte)
  }
  return plain ? text : (JSON.parse(decodeUtf8(bytes, start, end)) as string)
}

/** Decodes UTF-8; ill-formed bytes become U+FFFD. Pure: the ring has no TextDecoder. */
function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let at = start
  while (at < end) {
    const lead = bytes[at++] as number
    if (lead < 0x80) {
      text += String.fromCharCode(lead)
      continue
    }
    const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1
    let point = lead & (0x3f >> more)
    let taken = 0
    while (taken < more && at < end && ((bytes[at] as number) & 0xc0) === 0x80) {
      point = (point << 6) | ((bytes[at++] as number) & 0x3f)
      taken++
    }
    text += taken === more && point <= 0x10ffff ? String.fromCodePoint(point) : '\uFFFD'
  }
  return text
}

class Scanner {
  readonly #bytes: Uint8Array
  /** The same bytes, by fours. */
  readonly #words: Int32Array
  readonly #limits: JsonLimits
  readonly #members: JsonMember[] = []
  /** Names of the outermost members, once they are many. */
  #names: Set<string> | undefined
  #at = 0
  #values = 0
  #mediaParts = 0
  #closeAt = -1
  /** Elements of the array read last; valid right after `#value`. */
  #elements = 0
  #problem: JsonProblem | undefined

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = bytes
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset & ~3, (bytes.length + (bytes.byteOffset & 3)) >> 2)
    this.#limits = limits
  }

  scan(): JsonScan | JsonProblem {
    this.#space()
    const isObject = this.#bytes[this.#at] === OPEN_BRACE
    const valid = isObject ? this.#object(1, true) : this.#value(0)
    if (valid) {
      this.#space()
      if (this.#at < this.#bytes.length) this.#fail('something follows the end of the JSON value')
    }
    if (this.#problem !== undefined) return this.#problem
    return { members: this.#members, isObject, mediaParts: this.#mediaParts, closeAt: this.#closeAt }
  }

  #fail(message: string): false {
    this.#problem ??= new JsonProblem(message, this.#at)
    return false
  }

  #space(): void {
    const bytes = this.#bytes
    let at = this.#at
    while (at < bytes.length) {
      const byte = bytes[at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      at++
    }
    this.#at = at
  }

  /** Reads one value at the position; `depth` is how many arrays and objects are open around it. */
  #value(depth: number): boolean {
    this.#elements = 0
    const byte = this.#bytes[this.#at]
    switch (byte) {
      case QUOTE:
        return this.#string()
      case OPEN_BRACE:
        return this.#object(depth + 1, false)
      case OPEN_BRACKET:
        return this.#array(depth + 1)
      case 0x74:
        return this.#literal('true')
      case 0x66:
        return this.#literal('false')
      case 0x6e:
        return this.#literal('null')
      case undefined:
        return this.#fail('the JSON ends too early')
      default:
        return this.#number()
    }
  }

  #object(depth: number, outermost: boolean): boolean {
    if (depth > this.#limits.depthMax) return this.#fail(`nested deeper than ${this.#limits.depthMax}`)
    const bytes = this.#bytes
    this.#at++
    this.#space()
    if (bytes[this.#at] === CLOSE_BRACE) {
      if (outermost) this.#closeAt = this.#at
      this.#at++
      return true
    }
    let members = 0
    for (;;) {
      if (bytes[this.#at] !== QUOTE) return this.#fail('a member name in double quotes is missing')
      const keyStart = this.#at
      if (!this.#string()) return false
      const keyEnd = this.#at
      if (++members > this.#limits.membersMax) {
        return this.#fail(`an object of more than ${this.#limits.membersMax} members`)
      }
      if (!this.#countValue()) return false
      this.#space()
      if (bytes[this.#at] !== COLON) return this.#fail('a colon is missing after a member name')
      this.#at++
      this.#space()
      const valueStart = this.#at
      if (!this.#value(depth)) return false
      if (outermost) {
        if (keyEnd - keyStart > outerNameBytesMax)
          return this.#fail(`a member name of more than ${outerNameBytesMax} bytes`)
        const key = readJsonString(bytes, keyStart, keyEnd)
        if (this.#stands(key)) return this.#fail(`the member ${JSON.stringify(key)} stands twice`)
        this.#members.push({ key, valueStart, valueEnd: this.#at, elements: this.#elements })
      } else if (isMediaName(bytes, keyStart, keyEnd)) {
        this.#mediaParts++
      }
      this.#space()
      const next = bytes[this.#at]
      if (next === COMMA) {
        this.#at++
        this.#space()
        continue
      }
      if (next !== CLOSE_BRACE) return this.#fail('a comma or closing brace is missing')
      if (outermost) this.#closeAt = this.#at
      this.#at++
      this.#elements = 0
      return true
    }
  }

  /** Whether the outermost object has a member of this name already. A request has a few: only of many a set is made. */
  #stands(key: string): boolean {
    const members = this.#members
    if (members.length < membersSearched) return members.some((member) => member.key === key)
    this.#names ??= new Set(members.map((member) => member.key))
    if (this.#names.has(key)) return true
    this.#names.add(key)
    return false
  }

  #array(depth: number): boolean {
    if (depth > this.#limits.depthMax) return this.#fail(`nested deeper than ${this.#limits.depthMax}`)
    const bytes = this.#bytes
    this.#at++
    this.#space()
    if (bytes[this.#at] === CLOSE_BRACKET) {
      this.#at++
      this.#elements = 0
      return true
    }
    let elements = 0
    for (;;) {
      if (++elements > this.#limits.elementsMax) {
        return this.#fail(`an array of more than ${this.#limits.elementsMax} elements`)
      }
      if (!this.#countValue()) return false
      if (!this.#value(depth)) return false
      this.#space()
      const next = bytes[this.#at]
      if (next === COMMA) {
        this.#at++
        this.#space()
        continue
      }
      if (next !== CLOSE_BRACKET) return this.#fail('a comma or closing bracket is missing')
      this.#at++
      this.#elements = elements
      return true
    }
  }

  #countValue(): boolean {
    return ++this.#values <= this.#limits.valuesMax || this.#fail(`more than ${this.#limits.valuesMax} values`)
  }

  #string(): boolean {
    const bytes = this.#bytes
    const length = bytes.length
    let at = this.#at + 1
    for (;;) {
      at = plainEnd(bytes, this.#words, at)
      const byte = bytes[at]
      if (byte === QUOTE) {
        this.#at = at + 1
        return true
      }
      if (byte === BACKSLASH) {
        const kind = escapes[bytes[at + 1] ?? 0]
        if (kind === 1) {
          at += 2
          continue
        }
        if (kind === 2 && this.#isHex4(at + 2)) {
          at += 6
          continue
        }
        this.#at = at
        return this.#fail('a backslash that begins no escape')
      }
      this.#at = at
      return this.#fail(at >= length ? 'a string has no end' : 'a control character inside a string')
    }
  }

  #isHex4(at: number): boolean {
    for (let i = at; i < at + 4; i++) if (hexDigits[this.#bytes[i] ?? 0] !== 1) return false
    return true
  }

  #literal(word: string): boolean {
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return this.#fail('not a JSON value')
    }
    this.#at += word.length
    return true
  }

  #number(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    if (bytes[at] === 0x2d) at++
    if (bytes[at] === 0x30) at++
    else {
      const from = at
      while (isDigit(bytes[at])) at++
      if (at === from) return this.#fail('not a JSON value')
    }
    if (bytes[at] === 0x2e) {
      const from = ++at
      while (isDigit(bytes[at])) at++
      if (at === from) return this.#fail('a number without digits after its point')
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      at++
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++
      const from = at
      while (isDigit(bytes[at])) at++
      if (at === from) return this.#fail('a number without digits in its exponent')
    }
    this.#at = at
    return true
  }
}

/**
 * Where the first byte from `at` on is that needs a closer look, or the end. Four bytes at a step: of a word, the test
 * for a byte below n is `(word - n×0x01010101) & ~word & 0x80808080` (Warren, Hacker's Delight, 6-1), which also finds a
 * given byte, once that is made zero. `words` are the same bytes; the last few that fill no word are not among them.
 */
function plainEnd(bytes: Uint8Array, words: Int32Array, at: number): number {
  const { length } = bytes
  const shift = bytes.byteOffset & 3
  let end = at
  for (; ((end + shift) & 3) !== 0; end++) if (end >= length || special[bytes[end] as number] === 1) return end
  let index = (end + shift) >> 2
  for (; index < words.length; index++) {
    const word = words[index] as number
    const quote = word ^ 0x22222222
    const backslash = word ^ 0x5c5c5c5c
    const control = (word - 0x20202020) & ~word
    const found = control | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)
    if ((found & 0x80808080) !== 0) break
  }
  end = (index << 2) - shift
  while (end < length && special[bytes[end] as number] === 0) end++
  return end
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

const mediaNames = ['image_url', 'input_audio', 'file', 'video_url', 'audio_url']
const mediaNameBytes = mediaNames.map((name) => Uint8Array.from(name, (char) => char.charCodeAt(0)))
/** Every letter of the longest written as an escape of six bytes. */
const mediaNameBytesMax = 6 * Math.max(...mediaNames.map((name) => name.length))

/** The key between these quotes names a media part, however it is spelled. */
function isMediaName(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start - 2 > mediaNameBytesMax) return false
  for (let at = start + 1; at < end - 1; at++) {
    if (bytes[at] === BACKSLASH) return mediaNames.includes(readJsonString(bytes, start, end))
  }
  for (const name of mediaNameBytes)
    if (name.length === end - start - 2 && standsAt(bytes, start + 1, name)) return true
  return false
}

function standsAt(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let index = 0; index < word.length; index++) if (bytes[at + index] !== word[index]) return false
  return true
}
