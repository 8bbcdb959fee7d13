import type { TokenCount } from '../../core/request.ts'
import type { CountCalibration } from './count-calibration.ts'
import type { AnswerProgress } from './provider.ts'
import { outputTokensIn, tokensOf } from './usage.ts'

/** Knows how far one answer has come: by our own count, and by the vendor's word once that is of all of it. */
export class AnswerMeter {
  readonly #calibration: CountCalibration
  /** The vendor leaves thoughts out of its count of the output. */
  readonly #thoughtsBeside: boolean
  readonly #factor: number
  #counted = 0
  #usage: TokenCount | undefined
  /** The usage stood in an event of its own: it is of the whole answer. */
  #standsAlone = false
  #countedAtUsage = 0

  constructor(calibration: CountCalibration, thoughtsBeside: boolean) {
    this.#calibration = calibration
    this.#thoughtsBeside = thoughtsBeside
    this.#factor = calibration.factor
  }

  /** An event, or the choices of a whole answer, as JSON. */
  count(json: string): void {
    this.#counted += outputTokensIn(json)
  }

  /** The vendor's usage object, of all that was counted so far. Gives false where it is none. */
  said(usage: unknown, standsAlone: boolean): boolean {
    const tokens = tokensOf(usage, this.#thoughtsBeside)
    if (tokens === undefined) return false
    this.#usage = tokens
    this.#standsAlone = standsAlone
    this.#countedAtUsage = this.#counted
    return true
  }

  /** `whole`: the answer has come to its end, so that the last word on usage is the last there will be. */
  progress(whole: boolean): AnswerProgress {
    // Said by the way, it may be of one choice of several; followed by more content, it is not of all of it.
    const covers = this.#countedAtUsage === this.#counted && (whole || this.#standsAlone)
    return {
      outputTokensCounted: Math.ceil(this.#counted * this.#factor),
      usage: covers ? this.#usage : undefined,
    }
  }

  /** The progress of a stream that has come to its end; the vendor's word corrects the counts of later ones. */
  end(): AnswerProgress {
    const progress = this.progress(true)
    if (progress.usage !== undefined) this.#calibration.learn(this.#counted, progress.usage.output)
    return progress
  }
}
