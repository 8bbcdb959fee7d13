/** What is known of a model from its own card, whoever runs it. */
export interface ModelFacts {
  /** Parameters in billions: all, and those that one token passes. */
  readonly parameters: number
  readonly active: number
  readonly layers: number
  /** Of the KV cache at 16 bits, for one token in all layers. */
  readonly kvBytes: number
  /** Experts in a layer, and how many of them a token is sent to; 1 and 1 where the model is dense. */
  readonly experts: number
  readonly expertsPerToken: number
  /** Dense, a mixture of experts, or one whose attention works on a compressed cache. */
  readonly family: 'dense' | 'mixture' | 'latent'
}

/** From the configurations that the models are published with. */
export const models: Readonly<Record<string, ModelFacts>> = {
  'deepseek-r1': {
    parameters: 671,
    active: 37,
    layers: 61,
    kvBytes: 70_272,
    experts: 256,
    expertsPerToken: 8,
    family: 'latent',
  },
  'kimi-k2.5': {
    parameters: 1_026,
    active: 32,
    layers: 61,
    kvBytes: 70_272,
    experts: 384,
    expertsPerToken: 8,
    family: 'latent',
  },
  // Every other layer looks back over 128 tokens only.
  'gpt-oss-120b': {
    parameters: 117,
    active: 5.1,
    layers: 36,
    kvBytes: 36_864,
    experts: 128,
    expertsPerToken: 4,
    family: 'mixture',
  },
  'minimax-m2.5': {
    parameters: 229,
    active: 10,
    layers: 62,
    kvBytes: 253_952,
    experts: 256,
    expertsPerToken: 8,
    family: 'mixture',
  },
  // Three of four layers keep a state instead of a cache.
  'qwen3.5-397b-a17b': {
    parameters: 397,
    active: 17,
    layers: 60,
    kvBytes: 30_720,
    experts: 512,
    expertsPerToken: 10,
    family: 'mixture',
  },
  'llama-3.1-70b': {
    parameters: 70.6,
    active: 70.6,
    layers: 80,
    kvBytes: 327_680,
    experts: 1,
    expertsPerToken: 1,
    family: 'dense',
  },
  'llama-3.1-8b': {
    parameters: 8,
    active: 8,
    layers: 32,
    kvBytes: 131_072,
    experts: 1,
    expertsPerToken: 1,
    family: 'dense',
  },
}

/** What is known of an accelerator from its data sheet. */
export interface AcceleratorFacts {
  /** Dense 8-bit arithmetic, TFLOP/s. */
  readonly teraflops: number
  /** Memory, TB/s. */
  readonly terabytesPerSecond: number
  readonly generation: 'hopper' | 'blackwell'
}

export const accelerators: Readonly<Record<string, AcceleratorFacts>> = {
  h100: { teraflops: 1_979, terabytesPerSecond: 3.35, generation: 'hopper' },
  h200: { teraflops: 1_979, terabytesPerSecond: 4.8, generation: 'hopper' },
  b200: { teraflops: 4_500, terabytesPerSecond: 8, generation: 'blackwell' },
  b300: { teraflops: 4_500, terabytesPerSecond: 8, generation: 'blackwell' },
  gb200: { teraflops: 5_000, terabytesPerSecond: 8, generation: 'blackwell' },
}

/** Bytes of a weight. The 4-bit forms carry a scale for every 16 or 32 weights. */
export const weightBytes: Readonly<Record<string, number>> = { fp4: 0.56, int4: 0.56, fp8: 1, bf16: 2 }
