import { closest, distance } from 'fastest-levenshtein';

/** Returns the known word that a misspelt word most likely means; undefined when no word is close. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const best = closest(
    word.toLowerCase(),
    candidates.map((candidate) => candidate.toLowerCase()),
  );
  const original = candidates.find((candidate) => candidate.toLowerCase() === best);
  return distance(word.toLowerCase(), best) <= Math.max(2, Math.floor(word.length / 3))
    ? original
    : undefined;
}

/** Returns the hint for an unknown word: the word that it most likely means, or another hint if no word is close. */
export function suggestionHint(word: string, candidates: readonly string[], otherwise: string): string {
  const suggestion = suggest(word, candidates);
  return suggestion === undefined ? otherwise : `did you mean ${suggestion}?`;
}
