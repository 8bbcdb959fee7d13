/**
 * Input tokens for each byte of a body, learned from what vendors reported. A cut or cancelled answer brings no usage;
 * its input is settled by this, flagged as counted, never above the proven bound.
 */
export class InputEstimate {
  /** A token of English is near four bytes; the first answer corrects it. */
  #tokensPerByte = 0.25

  learn(bodyBytes: number, inputTokens: number): void {
    if (bodyBytes <= 0 || inputTokens <= 0) return
    // An EWMA over about 32 answers: follows a change of use within seconds, is not thrown by one odd prompt.
    this.#tokensPerByte += (inputTokens / bodyBytes - this.#tokensPerByte) / 32
  }

  tokens(bodyBytes: number, inputTokensMax: number): number {
    return Math.min(inputTokensMax, Math.max(1, Math.ceil(bodyBytes * this.#tokensPerByte)))
  }
}
