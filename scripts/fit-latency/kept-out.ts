import { hashText } from '../../src/core/rendezvous.ts'
import { predictTimes } from './cross-group.ts'
import { middle, percent } from './middle.ts'
import { type Point, settingOf } from './points.ts'

const turns = 5
/** Of groups that were kept out of every choice that was made, not only out of the fit. */
const testTurns = new Set([0, 1])

interface GroupError {
  readonly group: string
  readonly points: number
  readonly first: number
  readonly each: number
  /** What no other group has. */
  readonly unknown: readonly string[]
}

/**
 * How far the times of whole (accelerator, model) groups can be told from those of the others. A hash gives each group
 * one of five turns. Parts, kinships and reaches were chosen on groups of the turns 2 to 4 alone; those of 0 and 1 are
 * the test, kept out together; and each alone, where others of the test may be known. Of the rest each is kept out
 * alone: how well what was chosen fits what it was chosen on.
 */
export function* keptOut(points: readonly Point[], pointsMin: number): Generator<string> {
  const turnOf = (point: Point) => (hashText(groupOf(point)) >>> 0) % turns
  const test = points.filter((point) => testTurns.has(turnOf(point)))
  const rest = points.filter((point) => !testTurns.has(turnOf(point)))
  const enough = ({ points: count }: GroupError) => count >= pointsMin
  yield '\nwhat the others tell about groups kept out of the fit; median relative error, first and each further token:'
  yield* linesOf('the test: chosen by hash, seen for the first time', errorsOf(test, rest).filter(enough))
  const alone = (some: readonly Point[], all: readonly Point[]) =>
    [...new Set(some.map(groupOf))]
      .sort()
      .flatMap((group) =>
        errorsOf(
          some.filter((point) => groupOf(point) === group),
          all.filter((point) => groupOf(point) !== group),
        ),
      )
      .filter(enough)
  yield* linesOf('the same, each kept out alone', alone(test, points))
  yield* linesOf('each kept out alone, of those that the choices were made on', alone(rest, rest))
  yield '  what the measurements themselves differ by where the same was measured again:'
  const pairs = repeated(points)
  for (const sameVersion of [true, false]) {
    const some = pairs.filter(([a, b]) => (a.version === b.version) === sameVersion)
    const differ = (of: (point: Point) => number) =>
      percent(middle(some.map(([a, b]) => Math.abs(of(a) / of(b) - 1)))).padStart(6)
    yield `    ${`${sameVersion ? 'the same' : 'another'} version of the engine`.padEnd(38)} ${String(some.length).padStart(4)} pairs   ${differ(({ firstTokenMs }) => firstTokenMs)}  ${differ(({ eachTokenMs }) => eachTokenMs)}`
  }
}

function groupOf({ accelerator, weights }: Point): string {
  return `${accelerator} ${weights}`
}

function errorsOf(asked: readonly Point[], known: readonly Point[]): GroupError[] {
  const first = predictTimes('first', known, asked)
  const each = predictTimes('each', known, asked)
  const off = asked.map((point, i) => ({
    point,
    first: Math.abs((first[i] as number) / point.firstTokenMs - 1),
    each: Math.abs((each[i] as number) / point.eachTokenMs - 1),
  }))
  return [...Map.groupBy(off, ({ point }) => groupOf(point))].sort().map(([group, members]) => {
    const [{ point }] = members as [(typeof off)[number]]
    const isKnown = (trait: 'accelerator' | 'weights') => known.some((other) => other[trait] === point[trait])
    return {
      group,
      points: members.length,
      first: middle(members.map((member) => member.first)),
      each: middle(members.map((member) => member.each)),
      unknown: [...(isKnown('accelerator') ? [] : ['accelerator']), ...(isKnown('weights') ? [] : ['model'])],
    }
  })
}

function* linesOf(title: string, errors: readonly GroupError[]): Generator<string> {
  yield `  ${title}:`
  for (const { group, points, first, each, unknown } of errors)
    yield `    ${group.padEnd(38)} ${String(points).padStart(4)} points  ${percent(first).padStart(6)}  ${percent(each).padStart(6)}  ${unknown.map((what) => `${what} in no other group`).join(', ')}`.trimEnd()
  yield `    ${'median over the groups'.padEnd(51)}  ${percent(middle(errors.map(({ first }) => first))).padStart(6)}  ${percent(middle(errors.map(({ each }) => each))).padStart(6)}`
}

/** Pairs of measurements of the same setting. */
function repeated(points: readonly Point[]): [Point, Point][] {
  return [...Map.groupBy(points, settingOf).values()].flatMap((group) =>
    group.flatMap((a, i) => group.slice(i + 1).map((b): [Point, Point] => [a, b])),
  )
}
