import { type AcceleratorFacts, accelerators, type ModelFacts, models, weightBytes } from './facts.ts'
import type { Point } from './points.ts'

/** Attention, shared experts and embeddings: read for every token, as a part of the active parameters. */
const alwaysReadShare = 0.4

/** What a step has to do on ideal hardware, ms; each is as much of the truth as its coefficient says. */
function loads({ accelerator, weights, precision, gpus, input, output, concurrency }: Point) {
  const model = models[weights] as ModelFacts
  const { teraflops, terabytesPerSecond, generation } = accelerators[accelerator] as AcceleratorFacts
  const bytes = weightBytes[precision] as number
  const speedUp = precision === 'bf16' ? 0.5 : precision === 'fp4' && generation === 'blackwell' ? 2 : 1
  const { parameters, active, layers, kvBytes, experts, expertsPerToken } = model
  // Each sequence of a batch is sent to experts of its own; what no sequence needs is not read.
  const touched = 1 - (1 - expertsPerToken / experts) ** concurrency
  const always = experts === 1 ? parameters : alwaysReadShare * active
  const readGigabytes = (always + (parameters - always) * touched) * bytes
  const prompt = (2 * active * input) / (gpus * teraflops * speedUp)
  return {
    layers,
    weights: readGigabytes / (gpus * terabytesPerSecond),
    cache: (concurrency * (input + output / 2) * kvBytes) / 1e9 / (gpus * terabytesPerSecond),
    prompt,
    /** Of others, which are read between one's own tokens. */
    promptsBetween: (prompt * concurrency) / output,
    concurrency,
    alone: gpus === 1,
  }
}

/** Parts of which the time to the first token is a sum. */
export function firstTokenParts(point: Point): number[] {
  const { layers, weights, prompt, concurrency } = loads(point)
  return [layers, weights, prompt, prompt * concurrency, concurrency]
}

/** Parts of which the time for each further token is a sum. */
export function eachTokenParts(point: Point): number[] {
  const { layers, weights, cache, promptsBetween, concurrency, alone } = loads(point)
  return [layers, alone ? 0 : layers, layers * Math.log2(concurrency), weights, cache, promptsBetween]
}
