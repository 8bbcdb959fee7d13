/**
 * Rendezvous hashing (Thaler and Ravishankar 1998, highest random weight): every affinity has its own order of
 * endpoints, and one that goes away moves only what was its own.
 */
export function rendezvousWeight(affinity: number, endpoint: number): number {
  // Murmur3's 32-bit finalizer over the two mixed: integer arithmetic only.
  let hash = Math.imul(affinity ^ Math.imul(endpoint, 0x9e3779b1), 0x85ebca6b)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 13
  return hash >>> 0
}

/** FNV-1a (Fowler, Noll, Vo), 32 bit, over UTF-16 code units. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}
