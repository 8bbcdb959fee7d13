import type { ServedEndpoint } from './plane.ts'

/**
 * Names of OpenTelemetry's conventions for generative AI, version 1.41.0 (in development there: names have moved
 * before). The same words serve metrics and traces.
 */
const operationNames: Readonly<Record<string, string>> = {
  'chat/completions': 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
}

const providerNames: Readonly<Record<string, string>> = {
  azure: 'azure.ai.openai',
  vertex: 'gcp.vertex_ai',
  bedrock: 'aws.bedrock',
}

export function genAiOperation(operation: string): string {
  return operationNames[operation] ?? operation
}

/** The vendor's name where the conventions have one, else that of the sub-processor. */
export function genAiProvider({ provider, subProcessor }: ServedEndpoint): string {
  return providerNames[provider?.kind ?? ''] ?? subProcessor
}

/** Upper bounds of the histograms, as the conventions give them. */
export const genAiBounds = {
  requestSeconds: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  timeToFirstTokenSeconds: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  timePerOutputTokenSeconds: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
  tokens: [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
} as const
