/** A command as it is typed here: through npm in a clone, by its own name where it is installed. */
export function spelled(words: string): string {
  return `${import.meta.url.endsWith('.ts') ? 'npm run spillway -- ' : 'spillway '}${words}`
}
