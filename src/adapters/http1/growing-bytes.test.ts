import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GrowingBytes } from './growing-bytes.ts'

test('pieces of any size come out as one', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), fc.nat(500), (pieces, bytesMax) => {
      const growing = new GrowingBytes(bytesMax)
      for (const [index, piece] of pieces.entries()) {
        if (index === 0) growing.adopt(Buffer.from(piece))
        else growing.append(Buffer.from(piece))
      }
      expect(growing.bytes.equals(Buffer.concat(pieces))).toBe(true)
      expect(growing.length).toBe(growing.bytes.length)
    }),
  )
})

test('what was given out is not written over by what comes after it is cleared', () => {
  const growing = new GrowingBytes(100)
  growing.append(Buffer.from('one'))
  growing.append(Buffer.from('two'))
  const kept = growing.bytes
  growing.clear()
  growing.append(Buffer.from('three'))
  expect([kept.toString(), growing.bytes.toString()]).toEqual(['onetwo', 'three'])
})

test('a piece that is written over elsewhere does not change what was appended', () => {
  const growing = new GrowingBytes(100)
  const piece = Buffer.from('one')
  growing.append(piece)
  piece.fill('x')
  expect(growing.bytes.toString()).toBe('one')
})

test('memory that is freed is gone at once, and what is appended then has its own', () => {
  const growing = new GrowingBytes(100)
  growing.append(Buffer.from('one'))
  growing.append(Buffer.from('two'))
  const given = growing.bytes
  growing.free()
  expect(given.length).toBe(0)
  growing.append(Buffer.from('three'))
  expect(growing.bytes.toString()).toBe('three')
})

test('a piece that was adopted is not freed', () => {
  const growing = new GrowingBytes(100)
  const piece = Buffer.from('one')
  growing.adopt(piece)
  growing.free()
  expect(piece.toString()).toBe('one')
})
